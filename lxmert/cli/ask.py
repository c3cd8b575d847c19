"""`lxmert ask`: questions about an image."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from .asking import add_answerer, add_questions, answers_text, open_answerer, photograph_of, region_rows
from .options import json_text, table

SUMMARY = "answer questions about an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_questions(parser)
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="number of answers per question (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON: for each question its answers and scores")
    add_answerer(parser)
    parser.add_argument(
        "--list-regions", action="store_true", help="print the regions too: boxes in pixels, objects and attributes"
    )
    parser.add_argument("--draw", metavar="FILE", help="draw the image with its regions into a .png or .jpg file")


def run(arguments: argparse.Namespace) -> int:
    """Answer the questions, and print the answers."""
    from lxmert.data.features.drawing import check_drawing

    photograph = photograph_of(arguments)
    if arguments.draw is not None:
        check_drawing(arguments.draw, photograph)
    answerer = open_answerer(arguments)
    regions = answerer.find_regions([arguments.image])
    found: Any = answerer(regions, arguments.questions, top_k=arguments.top_k)
    answered = list(zip(arguments.questions, found, strict=True))
    detector = answerer.detector
    assert detector is not None  # it found the regions
    rows = region_rows(detector, regions[0]) if arguments.list_regions else []
    if arguments.json:
        answers = [{"question": question, "answers": answers} for question, answers in answered]
        print(json_text({"answers": answers, "regions": rows} if arguments.list_regions else answers))
    else:
        print(answers_text(answered))
        _print_regions(rows)
    if arguments.draw is not None:  # last: a full disk costs no answers
        detector.draw(regions[0], arguments.draw, photograph)
    return 0


def _print_regions(rows: Sequence[Mapping[str, Any]]) -> None:
    from lxmert.utils.messages import escaped

    if not rows:
        return
    kinds = [kind for kind in ("object", "attribute") if any(kind in row for row in rows)]

    def label(row: Mapping[str, Any], kind: str) -> str:
        return f"{escaped(str(row[kind]))} {row[f'{kind}_score']:.2f}" if kind in row else ""

    lines = [
        (str(number), *(f"{side:.1f}" for side in row["box"]), *(label(row, kind) for kind in kinds))
        for number, row in enumerate(rows)
    ]
    print("\n" + table(("region", "x1", "y1", "x2", "y2", *kinds), lines, left=0))
