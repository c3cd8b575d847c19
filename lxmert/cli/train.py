"""`lxmert train`: the tasks of the paper from files, and the checkpoint that comes with the package."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

from .backends import add_backend, import_quietly
from .options import add_set, overrides

SUMMARY = "train a model: pretrain, vqa, gqa, nlvr2 on files in the published formats, or easy-vqa"

_TASKS = {
    "pretrain": "sentences and questions, with masked words and regions, mismatched pairs and answers",
    "vqa": "questions of VQA v2, in the authors' or the official layout",
    "gqa": "questions of GQA, in the authors' or the official layout",
    "nlvr2": "statements about two images of NLVR2, in the authors' or the official layout",
}


# Settings that say nothing to a task.
_NOT_FOR = {
    "pretrain": ("answer_labels",),
    "vqa": ("losses",),
    "gqa": ("losses",),
    "nlvr2": ("losses", "answers", "model_answers", "answer_labels"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task, text in _TASKS.items():
        _add_settings(tasks.add_parser(task, help=text, description=f"Train on {text}."), task)
    text = "the checkpoint that comes with the package, from scratch, measured"
    _add_easy_vqa(tasks.add_parser("easy-vqa", help=text, description=f"Make {text}."))


def _add_settings(parser: argparse.ArgumentParser, task: str) -> None:
    """An option for every setting of a run."""
    from lxmert.training.settings import PATHS, Settings, make_settings

    defaults = make_settings(task, {"output": "."})
    parser.add_argument(
        "--config", metavar="FILE", help="settings in TOML or JSON; what the command line says goes before"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on, exactly, with the run in the output folder; no other option is needed",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_set(parser)
    for entry in dataclasses.fields(Settings):
        if entry.name in ("task", "model_config", "backend", *_NOT_FOR[task]):
            continue
        option = f"--{entry.name.replace('_', '-')}"
        default = getattr(defaults, entry.name)
        shown = "" if default in (None, (), False) or entry.name == "output" else f" (default: {_shown(default)})"
        kind, choices = str(entry.type), entry.metadata["choices"] or None
        told: dict[str, Any] = {"help": entry.metadata["help"] + shown, "default": None}
        if kind == "bool":
            parser.add_argument(option, action=argparse.BooleanOptionalAction, **told)
        elif kind.startswith("tuple"):
            parser.add_argument(option, nargs="+", choices=choices, metavar=None if choices else "PATH", **told)
        else:
            number = {"int": int, "float": float}.get(kind.split(" |")[0], str)
            metavar = None if choices else "PATH" if entry.name in PATHS else "VALUE"
            parser.add_argument(option, type=number, choices=choices, metavar=metavar, **told)
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
    parser.add_argument("output", metavar="FOLDER", help="where the checkpoint goes")
    parser.add_argument(
        "--model",
        type=lambda name: name.replace("-", "_"),
        choices=("lxmert", "visual_bert"),
        default="lxmert",
        help="the kind of model (default: lxmert)",
    )
    add_backend(parser)
    parser.add_argument("--epochs", type=int, help="passes over the data (default: the recipe's)")
    parser.add_argument(
        "--seed", type=int, help="of the initial weights and the order of the data (default: the recipe's)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, write."""
    from lxmert.utils.malloc import keep_memory

    keep_memory()
    return _run_easy_vqa(arguments) if arguments.task == "easy-vqa" else _run_task(arguments)


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives, by name."""
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
    # A run that goes on has its settings; what is given again must be the same.
    before = run_settings(output) if arguments.resume else {}
    settings = make_settings(arguments.task, {"backend": arguments.backend_default}, before, file, given)
    import_quietly(settings.backend)
    from lxmert.training.run import shutdown_distributed, train

    start = time.perf_counter()
    scores = train(settings, arguments.resume, progress=not arguments.quiet)
    shutdown_distributed(settings.backend)
    if _is_main():
        for name, score in scores.items():
            print(f"{name:<24} {score:.4f}")
        print(f"the best checkpoint is {Path(settings.output) / 'best'} ({time.perf_counter() - start:.0f} s)")
    return 0


def _is_main() -> bool:
    import os

    return os.environ.get("RANK", "0") == "0"


def _run_easy_vqa(arguments: argparse.Namespace) -> int:
    from lxmert.data.synthetic.easy_vqa import load
    from lxmert.data.synthetic.recipe import RECIPES
    from lxmert.training.easy_vqa import accuracy, scores_of_split, train_easy_vqa, with_changes
    from lxmert.utils.paths import check_path

    check_path("FOLDER", arguments.output)
    recipe = with_changes(RECIPES[arguments.model], arguments.epochs, arguments.seed)
    Path(arguments.output).mkdir(parents=True, exist_ok=True)  # told now if it cannot be, not after the training
    import_quietly(arguments.backend)
    start = time.perf_counter()
    answerer = train_easy_vqa(arguments.backend, recipe, progress=not arguments.quiet and sys.stderr.isatty())
    seconds = time.perf_counter() - start
    answerer.save_pretrained(arguments.output)
    data = load("test")
    right = accuracy(answerer, data, scores_of_split(answerer, data))
    print(f"trained {answerer.model.num_parameters():,} parameters in {seconds:.0f} s, seed {recipe.seed}")
    print(f"right: {right:.2%} of {len(data):,} test questions ({round((1 - right) * len(data))} wrong)")
    print(f"wrote {arguments.output}")
    return 0
