"""The options of commands that find regions in photographs: which detector, and how it chooses."""

from __future__ import annotations

import argparse
import re
from typing import Any

_OPTIONS = (
    "profile",
    "regions",
    "score_threshold",
    "precision",
    "device",
    "objects",
    "attributes",
    "sha256",
    "detector_revision",
)
DETECTOR_HELP = (
    "weights of the Visual Genome detector, a file, a folder or a model on the hub (unc-nlp/frcnn-vg-finetuned); "
    "grid:NAME, the features of an image backbone; vcr:NAME, the objects that VCR gives with an image; or shapes, for "
    "drawn images"
)


def add_detector(parser: argparse.ArgumentParser, default: str = "", required: bool = False) -> None:
    """Declare `--detector`, and the options of `RegionDetector.from_pretrained`.

    Args:
        parser: of the command.
        default: what the help says of a command without `--detector`.
        required: whether it must be given.
    """
    group = parser.add_argument_group("the regions of photographs")
    ending = f" (default: {default})" if default else ""
    group.add_argument(
        "--detector", metavar="SOURCE", required=required, help=f"what finds the regions: {DETECTOR_HELP}{ending}"
    )
    group.add_argument(
        "--profile",
        choices=("caffe", "hf"),
        help="how a Visual Genome detector chooses regions: as the published features and models had them, or as the "
        "port of Hugging Face does (default: caffe)",
    )
    group.add_argument(
        "--regions",
        type=_regions,
        metavar="COUNT",
        help="how many regions an image has: 36, or 10-100 for at least 10 and at most 100 (default: 36)",
    )
    group.add_argument(
        "--score-threshold",
        type=float,
        metavar="P",
        help="the least score of a region where there are enough (default: 0.2)",
    )
    group.add_argument("--precision", choices=("float32", "bfloat16"), help="dtype of the detector (default: float32)")
    group.add_argument(
        "--device",
        metavar="NAME",
        help="where the detector computes: cpu, cuda or cuda:1 (default: a GPU where there is one)",
    )
    group.add_argument(
        "--objects",
        metavar="FILE",
        help="the names of the detector's objects, one a line (default: objects_vocab.txt next to its weights)",
    )
    group.add_argument(
        "--attributes", metavar="FILE", help="the same of attributes (default: attributes_vocab.txt next to them)"
    )
    group.add_argument(
        "--detector-sha256", dest="sha256", metavar="HEX", help="refuse detector weights with another SHA-256"
    )
    group.add_argument("--detector-revision", metavar="REV", help="the revision of a detector on the hub")
    names = {"sha256": "--detector-sha256"}
    parser.set_defaults(option_names={**(parser.get_default("option_names") or {}), **names})


def detector_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `RegionDetector.from_pretrained` that are given, without the backend.

    Raises:
        ValueError: options without `--detector`.
    """
    given = {name: getattr(arguments, name) for name in _OPTIONS if getattr(arguments, name) is not None}
    if given and arguments.detector is None:
        options = ", ".join(f"--{'detector-sha256' if name == 'sha256' else name.replace('_', '-')}" for name in given)
        raise ValueError(f"{options} is about a detector; pass --detector too.")
    if "detector_revision" in given:
        given["revision"] = given.pop("detector_revision")
    return given


def _regions(text: str) -> int | tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number such as 36 nor a range such as 10-100")
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))
