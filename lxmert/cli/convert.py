"""`lxmert convert`: weights from one backend's files to the other's."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .backends import import_quietly

if TYPE_CHECKING:
    from lxmert.common.convert import Conversion
    from lxmert.common.model_config import ModelConfig

SUMMARY = "convert weights between PyTorch and Keras, bit by bit, in any direction"

_TITLES = {
    "folder": "folder with config.json and model.safetensors",
    "weights.h5": "Keras weights (.weights.h5)",
    "keras": "Keras model (.keras)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder with config.json and model.safetensors, or a .safetensors, .weights.h5 or .keras file",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="NAME.weights.h5, NAME.keras, or else a folder, for config.json and model.safetensors",
    )
    parser.add_argument("--config", metavar="PATH", help="the config.json to use (default: the one that SOURCE has)")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="afterwards run SOURCE in PyTorch and TARGET in Keras and compare every output; needs both",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(arguments: argparse.Namespace) -> int:
    """Convert, tell what was written, and compare if asked to; the exit status is 1 if the outputs differ."""
    from lxmert.common.config import config_from_pretrained
    from lxmert.common.loading import listed

    config = None if arguments.config is None else config_from_pretrained(arguments.config)
    if arguments.verify:
        import_quietly("tf")
        from lxmert.verify import TOLERANCE, verify  # before converting: it says at once if a framework is missing

    done = _convert(arguments, config)
    if not arguments.quiet:
        print(
            f"wrote {done.target}: {done.architecture}, {done.tensors:,} tensors, {done.size:,} bytes, "
            f"{_TITLES[done.format]}"
        )
        left = done.report.unexpected
        if left:
            print(f"left out {len(left)} tensors that the configuration has no use for{listed(left)}")
    if not arguments.verify:
        return 0
    comparison = verify(done.source, done.target, config)
    if not arguments.quiet:
        print(comparison.table())
        if comparison.agrees:
            print(f"every output agrees, within {TOLERANCE:g} (times its largest value, where that is above 1)")
    if not comparison.agrees:
        print(f"lxmert convert: error: {comparison.complaint()}", file=sys.stderr)
        return 1
    return 0


def _convert(arguments: argparse.Namespace, config: ModelConfig | None) -> Conversion:
    """Convert, with a progress bar where someone watches."""
    from tqdm import tqdm

    from lxmert.common.convert import convert

    shown = sys.stderr.isatty() and not arguments.quiet
    with tqdm(unit="B", unit_scale=True, desc="converting", file=sys.stderr, leave=False, disable=not shown) as bar:

        def advance(size: int, total: int) -> None:
            bar.total = total
            bar.update(size)

        return convert(arguments.source, arguments.target, config, progress=advance)
