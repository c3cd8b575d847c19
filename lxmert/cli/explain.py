"""`lxmert explain`: why a model gives its answers to questions about an image."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import explain_evaluation
from .asking import add_answerer, add_questions, answers_text, open_answerer, photograph_of, region_rows
from .explanation_text import explanation_json, explanation_text, scored
from .options import json_text
from .parser import option_names

if TYPE_CHECKING:
    from lxmert.explain.views import ImageView
    from lxmert.inference.answering import VisualQuestionAnswering

SUMMARY = "show which words and regions an answer to a question about an image comes from"
PAGE, PICTURE = ".html", ".png"
FIRST = "relevancy"  # the method of the text and the picture
_TOP_K = 3
_OF_AN_IMAGE = ("top_k", "explained", "picture")  # settings that --evaluate does not read
_OTHER_HEADS = "Other scores (NLVR2, pre-training, VCR) are explained in Python, by lxmert.explain.explain."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lxmert.explain.methods import METHODS

    add_questions(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="a page to explore in a browser (.html), or a picture of the likeliest answers by one method (.png); with "
        "--evaluate see below (default: print text)",
    )
    parser.add_argument(
        "--method",
        dest="methods",
        nargs="+",
        action="extend",
        choices=tuple(METHODS),
        metavar="NAME",
        help=f"how to explain: {', '.join(METHODS)} (default: all on a page and with --evaluate, otherwise {FIRST})",
    )
    parser.add_argument(
        "--top-k", type=int, metavar="K", help=f"number of answers to explain per question (default: {_TOP_K})"
    )
    parser.add_argument(
        "--answer",
        dest="explained",
        action="append",
        default=[],
        metavar="TEXT",
        help="explain this answer too; may be given several times",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the number of every word and region, not its share"
    )
    parser.add_argument("--image", dest="picture", metavar="FILE", help="with --features: the photograph to show")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_answerer(parser)
    explain_evaluation.add_arguments(parser)
    names = {"methods": "--method", "explained": "--answer", "picture": "--image", "question_files": "--questions"}
    parser.set_defaults(option_names={**parser.get_default("option_names"), **names})
    parser.epilog = (
        "Percentages of words and regions are shares: all words add up to 100%, and so do all regions. --json has the "
        "numbers of the method itself. "
        f"The model must answer questions. {_OTHER_HEADS}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Explain the answers, and print the explanations or write them."""
    if arguments.evaluate:
        if arguments.image is not None:
            raise ValueError("--evaluate takes its images from --questions; leave out the image and the question.")
        _refuse(arguments, _OF_AN_IMAGE, "of answers about one image; leave out --evaluate, or them")
        return explain_evaluation.run(arguments)
    if arguments.question_files:
        raise ValueError("--questions is the files of --evaluate; questions about an image follow its name.")
    _refuse(arguments, explain_evaluation.SETTINGS, "of --evaluate; pass that too, or leave them out")
    from lxmert.utils.messages import escaped
    from lxmert.utils.output_files import check_output

    shown, output = _shown(arguments), arguments.output
    if output is not None:
        check_output(output, "output", (PAGE, PICTURE), shown)
        if output.lower().endswith(PICTURE) and len(arguments.methods or ()) > 1:
            raise ValueError(
                f"a picture shows one --method; got {', '.join(arguments.methods)}. A page shows them all."
            )
    answerer = _open_answerer(arguments)
    view, regions = _explain(answerer, arguments, shown)
    if arguments.json:
        print(json_text(explanation_json(view, regions)))
    elif output is None:
        print(explanation_text(view, regions))
    else:
        print(answers_text([(question.question, scored(question.models[0])) for question in view.questions]))
    if output is not None:  # last: a full disk costs no answers
        _write(view, output)
        if not arguments.json:
            print(f"wrote {escaped(output)}")
    return 0


def _refuse(arguments: argparse.Namespace, settings: Sequence[str], of_what: str) -> None:
    """Refuse options that would do nothing."""
    names = option_names(arguments)
    given = [names[setting] for setting in settings if getattr(arguments, setting) not in (None, [])]
    if given:
        raise ValueError(f"{', '.join(given)}: {'options' if len(given) > 1 else 'an option'} {of_what}.")


def _shown(arguments: argparse.Namespace) -> str | None:
    """The file of the image to show, which is there; None of a region store without one."""
    from lxmert.vision.image_files import check_file

    photograph, picture = photograph_of(arguments), arguments.picture
    if picture is None:
        return photograph
    if photograph is not None:
        raise ValueError("--image is the photograph of an image of --features; without them the image is shown itself.")
    check_file(Path(picture))
    return str(picture)


def _open_answerer(arguments: argparse.Namespace) -> VisualQuestionAnswering:
    from lxmert.weights.model_files import MissingHeadsError

    try:
        return open_answerer(arguments)
    except MissingHeadsError as error:
        raise ValueError(f"{error} {_OTHER_HEADS}") from None


def _explain(
    answerer: VisualQuestionAnswering, arguments: argparse.Namespace, shown: str | None
) -> tuple[ImageView, list[dict[str, Any]]]:
    """What to show, and the regions in pixels."""
    from lxmert.explain.questions import check_wanted, explain_questions
    from lxmert.vision.images import open_image

    every = arguments.output is not None and arguments.output.lower().endswith(PAGE)
    options: dict[str, Any] = {
        "methods": arguments.methods or (None if every else FIRST),
        "top_k": _TOP_K if arguments.top_k is None else arguments.top_k,
        "answers": arguments.explained,
    }
    check_wanted(answerer, **options)  # a misspelled answer costs no search for regions
    picture = None if shown is None else open_image(shown)
    (found,) = answerer.find_regions([arguments.image])
    name = Path(arguments.image).name
    options |= {"picture": picture, "name": name, "progress": not arguments.quiet}
    view = explain_questions(answerer, found, arguments.questions, **options)
    detector = answerer.detector
    assert detector is not None  # it found the regions
    return view, region_rows(detector, found)


def _write(view: ImageView, output: str) -> None:
    if output.lower().endswith(PAGE):
        from lxmert.explain.page import write_page

        write_page(output, f"Why this answer: {view.name}", [view])
    else:
        from lxmert.explain.drawing import draw_explanations

        draw_explanations(output, view, method=next(iter(view.questions[0].models[0].answers[0].methods)))
