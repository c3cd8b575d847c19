"""`lxmert predict`: what a trained checkpoint answers, as the official result file of its task."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import default_backend, import_quietly
from .cluster import add_cluster, cluster_of, stdout_to_stderr
from .options import SOURCE_HELP, add_model_files, overrides

if TYPE_CHECKING:
    from lxmert.training.trained_model import TrainedModel
    from lxmert.utils.ray_cluster import RayCluster

SUMMARY = "write the official result file of a trained checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lxmert.training.recipes import PREDICTED

    parser.add_argument("task", choices=PREDICTED, help="what the checkpoint was trained for")
    parser.add_argument(
        "checkpoint", metavar="SOURCE", help=f"a checkpoint of `lxmert train`, OUTPUT/best say; or {SOURCE_HELP}"
    )
    parser.add_argument(
        "--questions", nargs="+", metavar="FILE", required=True, help="files of questions, statements or splits"
    )
    parser.add_argument("--output", metavar="FILE", required=True, help="the result file")
    parser.add_argument(
        "--join",
        metavar="FILE",
        help="VCR: a result file of the other model, of answers or reasons, whose columns are added; both together are "
        "what the leaderboard takes",
    )
    add_checkpoint_options(parser)
    add_cluster(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")


def add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    """The options that override the settings of a checkpoint's training."""
    trained = "(default: as in training)"
    add_model_files(parser, f"region stores of the images {trained}")
    parser.add_argument("--backend", choices=("pt", "tf"), help=f"PyTorch or Keras {trained}")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float64"), help=f"dtype {trained}")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help=f"where to compute {trained}")
    parser.add_argument("--batch-size", type=int, metavar="VALUE", help=f"examples that are run at once {trained}")
    parser.set_defaults(option_names={"evaluate_batch_size": "--batch-size"})


def open_trained_model(arguments: argparse.Namespace) -> TrainedModel:
    """The checkpoint and the files that it is evaluated on, as the command line says."""
    from lxmert.utils.malloc import keep_memory

    keep_memory()
    given = trained_model_arguments(arguments)
    import_quietly(given["backend"])
    from lxmert.training.trained_model import TrainedModel

    return TrainedModel(**given)


def trained_model_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `TrainedModel`, as the command line says."""
    from lxmert.weights.model_files import find_model

    changed = overrides(arguments)
    path = find_model(arguments.checkpoint, {"revision": arguments.revision})
    return {
        "source": path,
        "task": arguments.task,
        "files": arguments.questions,
        "features": arguments.features or (),
        "vocabulary": arguments.vocabulary,
        "answers": arguments.answers,
        "config": changed,
        "backend": arguments.backend or trained_backend(path) or default_backend(),
        "precision": arguments.precision,
        "quantize": arguments.quantize,
        "device": arguments.device,
        "evaluate_batch_size": arguments.batch_size,
        "strategy": "auto",
    }


def trained_backend(path: Path) -> str | None:
    """The backend that a checkpoint of `lxmert train` was trained in; None for other models."""
    from lxmert.training.checkpoints import PROGRESS_NAME, saved_settings

    return saved_settings(path).get("backend") if (path / PROGRESS_NAME).is_file() else None


def run(arguments: argparse.Namespace) -> int:
    """Predict and write."""
    from lxmert.training.trained_model import check_output

    check_output(arguments.output)
    if arguments.join is not None and arguments.task != "vcr":
        raise ValueError(f"--join is for vcr, whose results are of two models; the task is {arguments.task}.")
    cluster = cluster_of(arguments, gpus=False if arguments.device == "cpu" else None)
    if cluster is not None:
        return _predict_on_ray(arguments, cluster)
    model = open_trained_model(arguments)
    count = model.predict(arguments.output, progress=model.is_main and not arguments.quiet)
    model.close()
    if model.is_main:
        _finish(arguments, count)
    return 0


def _predict_on_ray(arguments: argparse.Namespace, cluster: RayCluster) -> int:
    from lxmert.training.ray_prediction import predict_on_ray

    with stdout_to_stderr():
        count = predict_on_ray(
            arguments.output, trained_model_arguments(arguments), cluster, progress=not arguments.quiet
        )
    _finish(arguments, count)
    return 0


def _finish(arguments: argparse.Namespace, count: int) -> None:
    from lxmert.data.metrics import join_vcr_results

    if arguments.join is not None:
        join_vcr_results([arguments.join, arguments.output], arguments.output)
    print(f"wrote {count:,} predictions to {arguments.output}")
