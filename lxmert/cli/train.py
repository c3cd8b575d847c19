"""`lxmert train`: the tasks of both papers, from files."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_backend, import_quietly
from .options import add_set, overrides

if TYPE_CHECKING:
    from lxmert.training.settings import Settings

SUMMARY = "train a model: pretrain, vqa, gqa, nlvr2 on files in the published formats, or easy-vqa"

_VARIANTS = 2  # changed versions of each training image of easy-VQA


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lxmert.training.recipes import TASKS

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task, text in TASKS.items():
        _add_settings(tasks.add_parser(task, help=text, description=f"Train on {text}."), task)
    text = "questions of easy-VQA, from scratch, as the checkpoints of this package were made"
    about = "Short for `lxmert data easy-vqa`, `lxmert train vqa` and `lxmert evaluate vqa`."
    _add_easy_vqa(tasks.add_parser("easy-vqa", help=text, description=about))


def _add_settings(parser: argparse.ArgumentParser, task: str) -> None:
    """An option for every setting of a run."""
    from lxmert.training.recipes import SETTINGS_OF
    from lxmert.training.settings import PATHS, Settings, make_settings, setting_type

    defaults = make_settings(task, {"output": "."})
    parser.add_argument("--config", metavar="FILE", help="settings in TOML or JSON, which the command line overrides")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in the output folder exactly; no other option is needed",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_set(parser)
    for entry in dataclasses.fields(Settings):
        if entry.name in ("task", "model_config", "backend") or task not in SETTINGS_OF.get(entry.name, (task,)):
            continue
        option = f"--{entry.name.replace('_', '-')}"
        default = getattr(defaults, entry.name)
        shown = "" if default in (None, (), False) or entry.name == "output" else f" (default: {_shown(default)})"
        (kind, _), choices = setting_type(entry.name), entry.metadata["choices"] or None
        options: dict[str, Any] = {"help": entry.metadata["help"] + shown, "default": None}
        if kind is bool:
            parser.add_argument(option, action=argparse.BooleanOptionalAction, **options)
        elif kind is tuple:
            parser.add_argument(option, nargs="+", choices=choices, metavar=None if choices else "PATH", **options)
        else:
            metavar = None if choices else "PATH" if entry.name in PATHS else "VALUE"
            parser.add_argument(option, type=kind, choices=choices, metavar=metavar, **options)
    add_backend(parser)
    parser.set_defaults(backend_default=parser.get_default("backend"), backend=None)


def _shown(default: Any) -> str:
    return (
        " ".join(default)
        if isinstance(default, tuple)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


def _add_easy_vqa(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", metavar="FOLDER", required=True, help="a new folder: for the data and for the run")
    parser.add_argument(
        "--architecture",
        choices=("lxmert", "visual_bert"),
        default="lxmert",
        help="the model (default: lxmert)",
    )
    parser.add_argument("--seed", type=int, help="of the weights and the order of the examples")
    parser.add_argument("--epochs", type=int, help="passes over the examples")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_backend(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and print the scores."""
    from lxmert.utils.malloc import keep_memory

    keep_memory()
    return _run_easy_vqa(arguments) if arguments.task == "easy-vqa" else _run_task(arguments)


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings on the command line, by name."""
    from lxmert.training.settings import field_names

    given = {name: getattr(arguments, name, None) for name in field_names()}
    changes = overrides(arguments)
    return {name: value for name, value in given.items() if value is not None} | (
        {"model_config": changes} if changes else {}
    )


def _run_task(arguments: argparse.Namespace) -> int:
    from lxmert.training.checkpoints import run_settings
    from lxmert.training.settings import make_settings, read_settings
    from lxmert.utils.paths import check_path

    file = read_settings(arguments.config) if arguments.config else {}
    given = given_settings(arguments)
    output = given.get("output", file.get("output"))
    if output is None:
        raise ValueError("--output must be given: the folder for checkpoints and logs.")
    check_path("--output", output)
    # A resumed run has its settings; those that are given again must be the same.
    before = run_settings(output) if arguments.resume else {}
    settings = make_settings(arguments.task, {"backend": arguments.backend_default}, before, file, given)
    _train(settings, arguments.resume, arguments.quiet)
    return 0


def _train(settings: Settings, resume: bool, quiet: bool) -> None:
    import_quietly(settings.backend)
    from lxmert.training.backends import shutdown_distributed
    from lxmert.training.processes import is_main_process
    from lxmert.training.run import train

    start = time.perf_counter()
    scores = train(settings, resume, progress=not quiet)
    shutdown_distributed(settings.backend)
    if is_main_process(settings.backend):
        for name, score in scores.items():
            print(f"{name:<24} {score:.4f}")
        name = "best" if (Path(settings.output) / "best").is_dir() else "last"
        print(f"the {name} checkpoint is {Path(settings.output) / name} ({time.perf_counter() - start:.0f} s)")


def _run_easy_vqa(arguments: argparse.Namespace) -> int:
    """What `lxmert data easy-vqa`, `lxmert train vqa` and `lxmert evaluate vqa` do, one after the other."""
    from lxmert.data.synthetic.easy_vqa_export import write_easy_vqa
    from lxmert.training.settings import make_settings, read_settings
    from lxmert.utils.paths import check_path

    check_path("--output", arguments.output)
    data, run = Path(arguments.output) / "data", Path(arguments.output) / "run"
    if (run / "last").is_dir():
        raise FileExistsError(
            f"{run} holds a run. To continue it: lxmert train vqa --resume --output {run}. To start another one, pass "
            "another --output."
        )
    import_quietly(arguments.backend)  # says what is missing, before data are written
    write_easy_vqa(data, variants=_VARIANTS, progress=not arguments.quiet)
    file = "vqa.toml" if arguments.architecture == "lxmert" else "vqa-visual-bert.toml"
    given = {name: getattr(arguments, name) for name in ("backend", "seed", "epochs")}
    given = {name: value for name, value in given.items() if value is not None}
    _train(make_settings("vqa", read_settings(data / file), {"output": str(run)}, given), False, arguments.quiet)
    from lxmert.training.trained_model import TrainedModel

    model = TrainedModel(run / "best", "vqa", [str(data / "vqa" / "test.json")])
    print(f"{model.scores()['accuracy']:.2f} % of {len(model.data):,} test questions are answered rightly")
    return 0
