"""What several commands about weights share: options, the bar that shows how far they are, tables and JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxmert.utils.progress import ProgressBar

TIMES = "\N{MULTIPLICATION SIGN}"  # before the number of layers that a row of a table covers
SOURCE_HELP = (
    "a folder or a file of weights in any published format, detected by its content; or a model on the hub, owner/name"
)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Declare `--set`."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        type=_field,
        metavar="FIELD=VALUE",
        help="fields of the configuration to override: numbers, true, false, null, or else text",
    )


def add_revision(parser: argparse.ArgumentParser) -> None:
    """Declare `--revision`."""
    parser.add_argument("--revision", metavar="REV", help="the branch, tag or commit of a model on the hub")


def add_model_files(parser: argparse.ArgumentParser, features: str) -> None:
    """Declare what a model may lack beside its weights: `--features`, `--vocabulary`, `--answers`; and how to load it.

    Args:
        parser: of the command.
        features: the help of `--features`.
    """
    parser.add_argument("--features", nargs="+", metavar="FOLDER", help=features)
    parser.add_argument(
        "--vocabulary",
        metavar="PATH",
        help="a vocab.txt or a folder of a tokenizer (default: the tokenizer next to the weights)",
    )
    parser.add_argument(
        "--answers",
        metavar="FILE",
        help="the table of the model's answers in the order of its scores (default: answers.json next to the weights)",
    )
    parser.add_argument(
        "--quantize",
        choices=("int8",),
        help="round the weights of the encoders to int8, and compute in int8 (default: as they are stored)",
    )
    add_set(parser)
    add_revision(parser)


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of `--set`.

    Raises:
        ValueError: a field that no configuration has; the message names the nearest.
    """
    from lxmert.common.config import ALL_CONFIGS
    from lxmert.utils.messages import unknown_keyword_message

    known = list(dict.fromkeys(name for config in ALL_CONFIGS.values() for name in config.field_names()))
    for name, _ in arguments.set:
        if name not in known:
            raise ValueError(f"--set: {unknown_keyword_message(name, known, 'field')}")
    return dict(arguments.set)


@contextmanager
def progress_bar(doing: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that advances a bar on a terminal, and tells a line a minute elsewhere, from any thread.

    Args:
        doing: what the bar is called.
        quiet: whether nothing is to be shown.
    """
    from lxmert.utils.progress import ProgressBar

    lock = Lock()
    bar: ProgressBar | None = None

    def advance(size: int, total: int) -> None:
        nonlocal bar
        with lock:
            # Made with the first bytes: what is said before them stays on lines of its own.
            if bar is None:
                bar = ProgressBar(doing, total, "B", shown=not quiet)
            bar.update(size)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """A table of text.

    Args:
        titles: of the columns.
        rows: of the table.
        left: how many of the columns are aligned at the left; the others are numbers, aligned at the right.
    """
    lines = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if i < left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def some_of(names: Iterable[str], every: bool) -> str:
    """The first few of some names, or every one, and how many more there are."""
    from lxmert.utils.messages import first_few

    return first_few(names, None if every else 8, " (--all)")


def json_text(value: Any) -> str:
    """JSON to print: text as it is read, but for what a terminal obeys or lacks, which is escaped as JSON does."""
    from lxmert.utils.messages import is_plain

    from .process import can_print

    text = json.dumps(plain_json(value), indent=2, ensure_ascii=False)
    escaped = {ord(c): json.dumps(c)[1:-1] for c in set(text) if c != "\n" and not (is_plain(c) and can_print(c))}
    return text.translate(escaped)


def plain_json(value: Any) -> Any:
    """A data class as JSON has it: objects, lists, and the numbers that JSON has not as text ("NaN", "Infinity")."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
