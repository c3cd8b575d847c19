"""`lxmert train`: make the checkpoint that comes with the package."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .backends import add_backend, import_quietly

SUMMARY = "train a model on easy-VQA from scratch, measure it, and write it to a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", choices=("easy-vqa",), help="the data set")
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
    from lxmert.common.files import check_named
    from lxmert.data.easy_vqa import load
    from lxmert.data.recipe import RECIPES
    from lxmert.training import accuracy, scores_of_split, train_easy_vqa, with_changes

    check_named("FOLDER", arguments.output)
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
