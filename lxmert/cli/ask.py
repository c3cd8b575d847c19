"""`lxmert ask`: questions about an image."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_backend, import_quietly
from .detector import add_detector, detector_options
from .options import SOURCE_HELP, add_model_files, json_text, overrides, table

if TYPE_CHECKING:
    from lxmert.detection.region_detector import RegionDetector
    from lxmert.vision.detections import ImageDetections

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
    add_model_files(parser, "region stores of images, instead of a detector")
    add_detector(parser, "shapes, where the model reads them")
    parser.add_argument(
        "--list-regions", action="store_true", help="print the regions too: boxes in pixels, objects and attributes"
    )
    parser.add_argument("--draw", metavar="FILE", help="draw the image with its regions into a .png or .jpg file")


def run(arguments: argparse.Namespace) -> int:
    """Answer the questions, and print the answers."""
    from lxmert.data.features.drawing import check_drawing
    from lxmert.inference.answering import VisualQuestionAnswering
    from lxmert.utils.messages import escaped
    from lxmert.vision.images import check_file

    changed, options = overrides(arguments), detector_options(arguments)
    photograph = None if arguments.features else arguments.image
    if photograph is not None:
        check_file(Path(photograph))
    if arguments.draw is not None:
        check_drawing(arguments.draw, photograph)
    import_quietly(arguments.backend)
    answerer = VisualQuestionAnswering.from_pretrained(
        arguments.model,
        backend=arguments.backend,
        vocabulary=arguments.vocabulary,
        answers=arguments.answers,
        detector=arguments.detector,
        features=arguments.features,
        detector_options=options,
        revision=arguments.revision,
        **changed,
    )
    regions = answerer.find_regions([arguments.image])
    found: Any = answerer(regions, arguments.questions, top_k=arguments.top_k)
    answered = list(zip(arguments.questions, found, strict=True))
    detector = answerer.detector
    assert detector is not None  # it found the regions
    rows = _region_rows(detector, regions[0]) if arguments.list_regions else []
    if arguments.json:
        answers = [{"question": question, "answers": answers} for question, answers in answered]
        print(json_text({"answers": answers, "regions": rows} if arguments.list_regions else answers))
    else:
        width = max(map(len, arguments.questions))
        for question, answers in answered:
            print(f"{question:<{width}}  " + ", ".join(f"{escaped(a['answer'])} {a['score']:.2%}" for a in answers))
        _print_regions(rows)
    if arguments.draw is not None:  # last: a full disk costs no answers
        detector.draw(regions[0], arguments.draw, photograph)
    return 0


def _region_rows(detector: RegionDetector, found: ImageDetections) -> list[dict[str, Any]]:
    """The regions of an image as JSON has them: box in pixels, and object and attribute where they are known."""
    rows: list[dict[str, Any]] = []
    for number, box in enumerate(found.boxes.tolist()):
        row: dict[str, Any] = {"box": [round(side, 1) for side in box]}
        for kind, ids, scores, names in (
            ("object", found.object_ids, found.object_scores, detector.objects),
            ("attribute", found.attribute_ids, found.attribute_scores, detector.attributes),
        ):
            if ids is not None and ids[number] >= 0:
                row[kind] = int(ids[number]) if names is None else names[ids[number]]
                row[f"{kind}_score"] = None if scores is None else round(float(scores[number]), 4)
        rows.append(row)
    return rows


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
