"""What the commands that ask a model about an image share: the image, the questions, the model and its regions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_backend, import_quietly
from .detector import add_detector, detector_options
from .options import SOURCE_HELP, add_model_files, overrides

if TYPE_CHECKING:
    from lxmert.detection.region_detector import RegionDetector
    from lxmert.inference.answering import ScoredAnswer, VisualQuestionAnswering
    from lxmert.vision.detections import ImageDetections


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Declare the image and the questions."""
    parser.add_argument(
        "image", help="the image: a PNG, JPEG or other image file; with --features its name in the region store"
    )
    parser.add_argument(
        "questions", nargs="+", metavar="question", help='a question, such as "what color is the circle?"'
    )


def add_answerer(parser: argparse.ArgumentParser) -> None:
    """Declare the model, what it may lack, and the detector."""
    add_backend(parser)
    parser.add_argument(
        "--model",
        metavar="SOURCE",
        default="easy-vqa",
        help="easy-vqa or scenes (LXMERT), easy-vqa-visual-bert or scenes-visual-bert; or "
        f"{SOURCE_HELP} (default: easy-vqa)",
    )
    add_model_files(parser, "region stores of images, instead of a detector")
    add_detector(parser, "shapes, where the model reads them")


def photograph_of(arguments: argparse.Namespace) -> str | None:
    """The file of the image, which is there; None with `--features`, where the image is a name.

    Raises:
        FileNotFoundError, ValueError: there is no such file.
    """
    from lxmert.vision.image_files import check_file

    if arguments.features:
        return None
    check_file(Path(arguments.image))
    return str(arguments.image)


def open_answerer(arguments: argparse.Namespace) -> VisualQuestionAnswering:
    """Load the model with all that belongs to it.

    Raises:
        ValueError: options that contradict each other, or files that are missing, all of which are listed.
    """
    changed, options = overrides(arguments), detector_options(arguments)
    import_quietly(arguments.backend)
    from lxmert.inference.answering import VisualQuestionAnswering

    return VisualQuestionAnswering.from_pretrained(
        arguments.model,
        backend=arguments.backend,
        vocabulary=arguments.vocabulary,
        answers=arguments.answers,
        detector=arguments.detector,
        features=arguments.features,
        detector_options=options,
        quantize=arguments.quantize,
        revision=arguments.revision,
        **changed,
    )


def answers_text(answered: Sequence[tuple[str, Sequence[ScoredAnswer]]]) -> str:
    """Questions, one a line, with their answers in percent."""
    from lxmert.utils.messages import escaped

    width = max(len(question) for question, _ in answered)
    return "\n".join(
        f"{question:<{width}}  " + ", ".join(f"{escaped(a['answer'])} {a['score']:.2%}" for a in answers)
        for question, answers in answered
    )


def region_rows(detector: RegionDetector, found: ImageDetections) -> list[dict[str, Any]]:
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
