"""`lxmert features extract`: photographs into a store, by a region detector."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import TYPE_CHECKING

from lxmert.cli.backends import add_backend, import_quietly
from lxmert.cli.cluster import add_cluster, cluster_of, stdout_to_stderr
from lxmert.cli.detector import add_detector, detector_options
from lxmert.cli.options import json_text

from .importing import read_names
from .reporting import print_skipped, summary

if TYPE_CHECKING:
    from lxmert.detection.extraction import ExtractionReport


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the arguments."""
    parser = actions.add_parser(
        "extract",
        help="make a store of photographs by a region detector; if interrupted, the same command continues",
        description="Make a store of photographs. If it is interrupted, the same command continues. Several processes "
        "divide the photographs: torchrun --nproc-per-node 4 -m lxmert features extract ...",
    )
    parser.add_argument(
        "photographs",
        nargs="+",
        metavar="PHOTOS",
        help="image files; folders, with all image files below them; patterns such as 'photos/*.jpg'; lists of paths, "
        "list.txt or @list, a path in each line",
    )
    parser.add_argument("store", metavar="STORE", help="the folder of the store, made by this command")
    add_detector(parser, required=True)
    add_backend(parser)
    add_cluster(parser)
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="dtype of the features in the store: float16 takes half the disk and rounds each number, by up to 2^-11 "
        "(0.05%%) of it (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="how many photographs are computed together, by a Visual Genome detector those of one size, which may be "
        "faster on a GPU; the last bits may differ then (default: 1)",
    )
    parser.add_argument(
        "--readers",
        type=int,
        default=2,
        metavar="N",
        help="threads that open photographs while others are computed (default: %(default)s)",
    )
    parser.add_argument(
        "--names",
        metavar="PATTERN",
        help="the images' names in the store: {id}, the file's name without its ending; {path}, the same with the "
        "folders below the given one; or such as COCO_val2014_{id:012} (default: {id})",
    )
    parser.add_argument(
        "--rename", metavar="FILE", help="a JSON object of files' names without their ending and the names in the store"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first damaged photograph, skip none")
    parser.add_argument("--all", action="store_true", help="list every damaged photograph that was skipped")
    unfinished = parser.add_mutually_exclusive_group()
    unfinished.add_argument(
        "--resume", action="store_true", help="continue an interrupted extraction (default: this, where there is one)"
    )
    unfinished.add_argument(
        "--restart", action="store_true", help="start over, without what an interrupted extraction computed"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print JSON, with every damaged photograph")


def run(arguments: argparse.Namespace) -> int:
    """Extract; the exit status is 1 where no photograph has regions."""
    from lxmert.detection.extraction import extract_features
    from lxmert.detection.extraction.parts import this_process
    from lxmert.detection.extraction.photographs import FoundPhotographs
    from lxmert.detection.extraction.ray import DetectorOnRay
    from lxmert.detection.region_detector import RegionDetector

    options = detector_options(arguments)
    process = this_process()
    rename = read_names(arguments.rename) if arguments.rename else {}
    # Its errors come before weights are loaded.
    found = FoundPhotographs.of(arguments.photographs, arguments.names, rename)
    if arguments.batch_size is not None:
        options["batch_size"] = arguments.batch_size
    options["backend"] = arguments.backend
    import_quietly(arguments.backend)
    cluster = cluster_of(arguments, gpus=None)
    detector: RegionDetector | DetectorOnRay
    if cluster is None:
        detector = RegionDetector.from_pretrained(arguments.detector, **options)
    else:
        detector = DetectorOnRay(arguments.detector, options, cluster)
    with nullcontext() if cluster is None else stdout_to_stderr():
        report = extract_features(
            found,
            arguments.store,
            detector,
            dtype=arguments.dtype,
            strict=arguments.strict,
            restart=arguments.restart,
            readers=arguments.readers,
            progress=not (arguments.quiet or arguments.json),
        )
    if process.rank == 0:
        _print(report, arguments)
    return 0


def _print(report: ExtractionReport, arguments: argparse.Namespace) -> None:
    from lxmert.utils.messages import escaped

    if arguments.json:
        print(json_text(report))
        return
    print_skipped(report.skipped, "" if arguments.all else "--all")
    print(escaped(summary(report)))
