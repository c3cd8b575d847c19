"""`lxmert explain`: why a model gives its answers to questions about an image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asking import add_answerer, add_questions, open_answerer, photograph_of, region_rows
from .explanation_text import explanation_json, explanation_text
from .options import json_text

if TYPE_CHECKING:
    from lxmert.explain.views import ImageView
    from lxmert.inference.answering import VisualQuestionAnswering

SUMMARY = "show which words and regions an answer to a question about an image comes from"
FIRST = "relevancy"  # the method that is shown by default
_OTHER_HEADS = "Other scores (NLVR2, pre-training, VCR) are explained in Python, by lxmert.explain.explain."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lxmert.explain.methods import METHODS

    add_questions(parser)
    parser.add_argument(
        "--method",
        dest="methods",
        nargs="+",
        action="extend",
        choices=tuple(METHODS),
        metavar="NAME",
        help=f"how to explain: {', '.join(METHODS)} (default: {FIRST})",
    )
    parser.add_argument(
        "--top-k", type=int, default=3, metavar="K", help="number of answers to explain per question (default: 3)"
    )
    parser.add_argument(
        "--answer",
        dest="explained",
        action="append",
        default=[],
        metavar="TEXT",
        help="explain this answer too; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print JSON: the number of every word and region")
    add_answerer(parser)
    parser.set_defaults(option_names={**parser.get_default("option_names"), "methods": "--method"})
    parser.epilog = f"The model must answer questions. {_OTHER_HEADS}"


def run(arguments: argparse.Namespace) -> int:
    """Explain the answers, and print the explanations."""
    photograph_of(arguments)
    view, regions = _explain(_open_answerer(arguments), arguments)
    print(json_text(explanation_json(view, regions)) if arguments.json else explanation_text(view, regions))
    return 0


def _open_answerer(arguments: argparse.Namespace) -> VisualQuestionAnswering:
    from lxmert.weights.model_files import MissingHeadsError

    try:
        return open_answerer(arguments)
    except MissingHeadsError as error:
        raise ValueError(f"{error} {_OTHER_HEADS}") from None


def _explain(
    answerer: VisualQuestionAnswering, arguments: argparse.Namespace
) -> tuple[ImageView, list[dict[str, Any]]]:
    """What to show, and the regions in pixels."""
    from lxmert.explain.questions import answer_numbers, explain_questions

    answer_numbers(answerer.answers, arguments.explained)  # a misspelled one costs no search for regions
    (found,) = answerer.find_regions([arguments.image])
    view = explain_questions(
        answerer,
        found,
        arguments.questions,
        methods=arguments.methods or FIRST,
        top_k=arguments.top_k,
        answers=arguments.explained,
        name=Path(arguments.image).name,
    )
    detector = answerer.detector
    assert detector is not None  # it found the regions
    return view, region_rows(detector, found)
