"""`lxmert convert`: weights from any published format to any that is written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .backends import import_quietly
from .options import SOURCE_HELP, add_revision, add_set, overrides, progress_bar

if TYPE_CHECKING:
    from lxmert.weights.convert import Conversion

SUMMARY = "convert weights from any published format to any other, bit by bit"

# The keys of the tables in lxmert.weights, which are slow to import.
_FORMATS = ("folder", "tf_model.h5", "weights.h5", "keras")
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int8")


class _Tasks:
    """The tasks of all model classes, imported when they are printed or checked."""

    def __iter__(self) -> Iterator[str]:
        from lxmert.common.specs import tasks

        return iter(tasks())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="NAME.weights.h5, NAME.keras, NAME.h5, or else a folder, for config.json and model.safetensors",
    )
    parser.add_argument(
        "--to", choices=_FORMATS, help="the format to write (default: inferred from the name of TARGET)"
    )
    parser.add_argument(
        "--head",
        choices=_Tasks(),
        metavar="TASK",
        help="the task of the model to write: %(choices)s (default: the task of the heads in SOURCE)",
    )
    parser.add_argument(
        "--dtype",
        choices=_DTYPES,
        help="dtype of the weights (default: unchanged); int8, for folders: of the encoders' matrices, with scales",
    )
    parser.add_argument(
        "--max-shard-size",
        metavar="SIZE",
        help="split a folder's weights into files of at most this size, such as 2GB or 500MB",
    )
    parser.add_argument(
        "--answers",
        nargs="+",
        metavar="TABLE",
        help="OLD and NEW: move the answer head from one answer vocabulary to another by the text of each answer; "
        "weights of answers that OLD does not have are zero. One table: NEW, where SOURCE has its own, or else the "
        "answers of SOURCE, to be written into the folder",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="PATH",
        help="a vocab.txt or a folder of a tokenizer, to be written into the folder (default: the tokenizer of SOURCE)",
    )
    add_set(parser)
    parser.add_argument("--config", metavar="PATH", help="the configuration file to use (default: that of SOURCE)")
    add_revision(parser)
    parser.add_argument(
        "--sha256", metavar="HEX", help="the SHA-256 that SOURCE must have; another file is refused before it is read"
    )
    parser.add_argument(
        "--trusted",
        action="store_true",
        help="SOURCE is your own: open HDF5 in this process, not in one with limits on memory and time",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="then run SOURCE in PyTorch and TARGET in Keras, and compare every output; needs both frameworks",
    )
    parser.add_argument("--quiet", action="store_true", help="print only warnings and errors")
    parser.set_defaults(option_names={"task": "--head"})


def run(arguments: argparse.Namespace) -> int:
    """Convert, print a report, and verify on request; the exit status is 1 if the outputs differ."""
    from lxmert.common.config import config_from_pretrained
    from lxmert.hub import HubOptions
    from lxmert.utils.messages import escaped
    from lxmert.weights.convert import convert
    from lxmert.weights.mismatch import after_colon

    config = None if arguments.config is None else config_from_pretrained(arguments.config)
    changed = overrides(arguments)
    hub = HubOptions(revision=arguments.revision)
    if arguments.verify:
        import_quietly("tf")
        # Before the conversion, so that a missing framework is reported immediately.
        from lxmert.inference.verify import TOLERANCE, verify

    with progress_bar("converting", arguments.quiet) as progress:
        done = convert(
            arguments.source,
            arguments.target,
            config,
            progress,
            to=arguments.to,
            task=arguments.head,
            dtype=arguments.dtype,
            max_shard_size=arguments.max_shard_size,
            answers=arguments.answers,
            vocabulary=arguments.vocabulary,
            sha256=arguments.sha256,
            trusted=arguments.trusted,
            hub=hub,
            **changed,
        )
    if not arguments.quiet:
        _print_report(done)
    if done.overflowed:
        names = after_colon(f"{name} ({count:,})" for name, count in done.overflowed.items())
        print(
            f"lxmert convert: warning: {sum(done.overflowed.values()):,} values of {len(done.overflowed)} tensors are "
            f"too large for {arguments.dtype} and became infinite{names}",
            file=sys.stderr,
        )
    if not arguments.verify:
        return 0
    agreement = verify(
        done.source,
        done.written,
        config,
        architecture=done.architecture,
        dtype=arguments.dtype,
        answers=(done.tables.source, done.tables.target) if done.tables.moved else None,
        trusted=True,  # this process has written it
        hub=hub,
        **changed,
    )
    if not arguments.quiet:
        print(agreement.table())
        if agreement.agrees:
            print(f"every output agrees within {TOLERANCE:g} (times its largest value, where that is above 1)")
            if arguments.dtype is not None:
                print(f"(SOURCE ran with its weights rounded to {arguments.dtype}, as TARGET's are)")
    if not agreement.agrees:
        print(escaped(f"lxmert convert: error: {agreement.error_message()}"), file=sys.stderr)
        return 1
    return 0


def _print_report(done: Conversion) -> None:
    """Print what was read, written and left out."""
    from lxmert.utils.messages import escaped
    from lxmert.weights.convert import FORMATS
    from lxmert.weights.mismatch import after_colon

    report = done.report
    read = f"read {report.source}: {report.format}; names: {report.naming}; configuration: {report.config_source}"
    print(escaped(read))
    files = "" if done.files == 1 else f", in {done.files} files"
    title = FORMATS[done.format]
    if done.format == "tf_model.h5" and done.written == done.target:
        title = title.removeprefix("folder with config.json and ")
    wrote = f"wrote {done.target}: {done.architecture}, {done.tensors:,} tensors, {done.size:,} bytes, {title}{files}"
    print(escaped(wrote))
    if done.int8:
        print(f"{done.int8:,} matrices are in int8, with a scale of each row")
    if done.dequantized:
        print(f"{done.dequantized:,} matrices of the source are in int8; they were written as int8 times scale")
    if report.unexpected:
        print(
            f"left out {len(report.unexpected)} tensors that {done.architecture} does not use"
            f"{after_colon(report.unexpected)}"
        )
    if done.answers is not None:
        every, found = done.answers
        rest = f"; the weights of the other {every - found:,} are zero" if found < every else ""
        print(f"answers: {found:,} of {every:,} were found in the old vocabulary{rest}")
