"""`lxmert demo`: questions answered in both backends, the answers compared, and some of them explained on a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from lxmert.utils.atomic_files import check_writable
from lxmert.utils.paths import check_folder

from .backends import import_quietly

SUMMARY = "answer questions with both models in PyTorch and in Keras, compare, and explain some answers on a page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="easy-vqa or scenes (LXMERT), easy-vqa-visual-bert or scenes-visual-bert, or a folder such as OUTPUT/best "
        "of `lxmert train`; may be given several times (default: these four)",
    )
    parser.add_argument(
        "--page", default="lxmert-demo.html", metavar="FILE", help="the HTML page to write (default: lxmert-demo.html)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; the exit status is 1 if the backends disagree."""
    from lxmert.demo.run import CHECKPOINTS, run_demo

    page = Path(arguments.page)
    check_folder(page.parent, page.name)
    page.parent.mkdir(parents=True, exist_ok=True)
    check_writable(page)
    import_quietly("tf")
    progress = not arguments.quiet
    demo = run_demo(arguments.model or CHECKPOINTS, page, progress=progress)
    return 0 if all(comparison.agreeing == len(comparison.asked) for comparison in demo.comparisons) else 1
