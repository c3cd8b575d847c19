"""`lxmert plot`: the losses and scores of runs as a picture."""

from __future__ import annotations

import argparse

SUMMARY = "draw the losses and scores of one or several runs of training, as PNG or SVG"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="output folders of `lxmert train`; a run may still be going on"
    )
    parser.add_argument(
        "--output", default="losses.png", metavar="FILE", help="a file .png or .svg (default: losses.png)"
    )
    parser.add_argument("--all", action="store_true", help="draw the scores of each type of question too")


def run(arguments: argparse.Namespace) -> int:
    """Draw, and say where."""
    from lxmert.training.plots import plot_runs

    names = plot_runs(arguments.runs, arguments.output, arguments.all)
    print(f"wrote {arguments.output}: {', '.join(names)}")
    return 0
