"""`lxmert ask`: questions about an image."""

from __future__ import annotations

import argparse
from typing import Any

from .backends import add_backend, import_quietly
from .options import SOURCE_HELP, add_model_files, json_text, overrides

SUMMARY = "answer questions about an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "image", help="the image: a PNG, JPEG or other image file; with --features its name in the region store"
    )
    parser.add_argument(
        "questions", nargs="+", metavar="question", help='a question, such as "what color is the circle?"'
    )
    add_backend(parser)
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="number of answers per question (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON: for each question its answers and scores")
    parser.add_argument(
        "--model",
        metavar="SOURCE",
        default="easy-vqa",
        help=f"easy-vqa (LXMERT), easy-vqa-visual-bert; or {SOURCE_HELP} (default: easy-vqa)",
    )
    add_model_files(parser, "region stores of images, for models that read the features of an object detector")


def run(arguments: argparse.Namespace) -> int:
    """Answer the questions, and print the answers."""
    from lxmert.inference.answering import VisualQuestionAnswering
    from lxmert.utils.messages import escaped

    changed = overrides(arguments)
    import_quietly(arguments.backend)
    answerer = VisualQuestionAnswering.from_pretrained(
        arguments.model,
        backend=arguments.backend,
        vocabulary=arguments.vocabulary,
        answers=arguments.answers,
        features=arguments.features,
        revision=arguments.revision,
        **changed,
    )
    found: Any = answerer([arguments.image], arguments.questions, top_k=arguments.top_k)
    answered = list(zip(arguments.questions, found, strict=True))
    if arguments.json:
        print(json_text([{"question": question, "answers": answers} for question, answers in answered]))
        return 0
    width = max(map(len, arguments.questions))
    for question, answers in answered:
        print(f"{question:<{width}}  " + ", ".join(f"{escaped(a['answer'])} {a['score']:.2%}" for a in answers))
    return 0
