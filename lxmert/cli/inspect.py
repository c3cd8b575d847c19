"""`lxmert inspect`: the model, the configuration and the modules of a weight file."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from .options import SOURCE_HELP, TIMES, add_revision, add_set, json_text, overrides, progress_bar, some_of, table

if TYPE_CHECKING:
    from lxmert.weights.inspect import Module, StoredTensor, Summary

SUMMARY = "describe a weight file: model, heads, configuration, shapes and sizes of modules, NaN and infinite values"

_MARGIN = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON, with every field")
    parser.add_argument(
        "--all", action="store_true", help="list every module of every layer, and every tensor that is not used"
    )
    parser.add_argument(
        "--no-values", action="store_true", help="do not read the values; NaN and infinite ones are then not counted"
    )
    parser.add_argument("--sha256", action="store_true", help="print the SHA-256 of the weight file too")
    add_set(parser)
    add_revision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Describe the file; the exit status is 0 whatever it holds."""
    from lxmert.utils.messages import escaped
    from lxmert.weights.inspect import summarize

    with progress_bar("reading", arguments.json) as progress:
        summary = summarize(
            arguments.source,
            progress,
            values=not arguments.no_values,
            folded=not arguments.all,
            sha256=arguments.sha256,
            hub={"revision": arguments.revision},
            **overrides(arguments),
        )
    if arguments.json:
        print(json_text(summary))
        return 0
    for title, text in _facts(summary, arguments.all):
        width = 120 - _MARGIN
        first, *rest = textwrap.wrap(escaped(text), width, break_long_words=False, break_on_hyphens=False) or [""]
        print(f"{title:<{_MARGIN}}{first}".rstrip())
        for line in rest:
            print(" " * _MARGIN + line)
    print()
    rows = [*map(_row, summary.modules), *_other_rows(summary, arguments.all)]
    print(table(_TITLES, rows, left=3))
    if not arguments.no_values:
        found = [module.path for module in summary.modules if module.nan or module.inf]
        found += [other.name for other in (*summary.copies, *summary.unused) if other.nan or other.inf]
        print()
        if found:
            print(f"{summary.nan:,} values are NaN and {summary.inf:,} infinite, in {some_of(found, arguments.all)}")
        else:
            print("no value is NaN or infinite")
    return 0


def _facts(summary: Summary, every: bool) -> Iterator[tuple[str, str]]:
    """The facts above the table, each with its title."""
    from lxmert.common.specs import DETECTORS

    yield "file", summary.path
    if summary.sha256 is not None:
        yield "SHA-256", summary.sha256
    yield "format", summary.format
    yield "names", summary.naming
    classes = " or ".join(summary.architectures)
    more = ", which take their scores from different positions; the configuration does not say which"
    if classes:
        yield "model", f"{summary.model}, {classes}{more if len(summary.architectures) > 1 else ''}"
    else:
        yield "model", f"{summary.model}, which is a part of LXMERT or VisualBERT"
    if summary.model_type not in {spec.model for spec in DETECTORS.values()}:
        yield "heads", ", ".join(summary.heads) or "none"
    if summary.buffers:
        trained = sum(module.parameters for module in summary.modules) - summary.buffers
        yield "parameters", f"{trained:,}, and {summary.buffers:,} numbers in buffers"
    if summary.decoder is not None:
        yield "decoder", summary.decoder
    dtypes = ", ".join(f"{name} {count:,}" for name, count in summary.dtypes.items())
    yield "tensors", f"{summary.tensors:,}: {summary.parameters:,} values, {summary.size:,} bytes ({dtypes})"
    if summary.missing:
        yield "missing", f"{len(summary.missing):,}: {some_of(summary.missing, every)}"
    if summary.wrong_shape:
        yield "wrong shape", f"{len(summary.wrong_shape):,}: {some_of(summary.wrong_shape, every)}"
    if summary.unused:
        names = [f"{unused.name} {list(unused.shape)}" for unused in summary.unused]
        yield "not used", f"{len(names):,}: {some_of(names, every)}"
    values = ", ".join(f"{name}={json.dumps(value)}" for name, value in summary.config.items())
    yield "configuration", f"{summary.config_source}: {values}"


_TITLES = ("module", "shape", "dtype", "values", "bytes", "NaN", "infinite")


def _row(module: Module) -> Sequence[str]:
    return (
        module.path + (f" {TIMES}{module.layers}" if module.layers > 1 else ""),
        " ".join(str(list(shape)) for shape in module.shapes),
        *_figures([module], module.dtypes),
    )


def _other_rows(summary: Summary, every: bool) -> Iterator[Sequence[str]]:
    """The other tensors of the file: stored a second time, or not used, one by one or as a sum."""
    from lxmert.utils.messages import escaped

    for copy in summary.copies:
        yield f"a copy: {escaped(copy.name)}", str(list(copy.shape)), *_figures([copy], [copy.dtype])
    unused = summary.unused
    if every:
        for tensor in unused:
            yield f"not used: {escaped(tensor.name)}", str(list(tensor.shape)), *_figures([tensor], [tensor.dtype])
    elif unused:
        yield f"not used {TIMES}{len(unused):,}", "", *_figures(unused, dict.fromkeys(one.dtype for one in unused))


def _figures(parts: Sequence[Module | StoredTensor], dtypes: Iterable[str]) -> Sequence[str]:
    """The cells of a row that are sums; a dash where values were not read."""
    nan = [part.nan for part in parts if part.nan is not None]
    inf = [part.inf for part in parts if part.inf is not None]
    return (
        ", ".join(dtypes),
        f"{sum(part.parameters for part in parts):,}",
        f"{sum(part.size for part in parts):,}",
        f"{sum(nan):,}" if nan else "-",
        f"{sum(inf):,}" if inf else "-",
    )
