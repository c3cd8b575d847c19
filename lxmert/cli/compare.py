"""`lxmert compare`: whether two weight files hold the same weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .options import (
    SOURCE_HELP,
    TIMES,
    add_revision,
    add_set,
    json_text,
    overrides,
    plain_json,
    progress_bar,
    some_of,
    table,
)

if TYPE_CHECKING:
    from lxmert.weights.compare import Comparison, ModuleDifference, Side

SUMMARY = "compare two weight files of any format: whether they hold the same weights, and which modules differ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="A", help=SOURCE_HELP)
    parser.add_argument("second", metavar="B", help="the second source, of any format")
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        help="the largest difference of two values that count as equal (default: equal bit for bit)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every field")
    parser.add_argument("--all", action="store_true", help="list every module of every layer, equal ones too")
    add_set(parser)
    add_revision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print the result; the exit status is 0 if both hold the same weights, else 1."""
    from lxmert.utils.messages import escaped
    from lxmert.weights.compare import compare

    with progress_bar("comparing", arguments.json) as progress:
        comparison = compare(
            arguments.first,
            arguments.second,
            progress,
            tolerance=arguments.tolerance,
            folded=not arguments.all,
            hub={"revision": arguments.revision},
            **overrides(arguments),
        )
    status = 0 if comparison.same else 1
    if arguments.json:
        print(json_text({"same": comparison.same, **plain_json(comparison)}))
        return status
    print(escaped(f"A  {_side(comparison.first)}"))
    print(escaped(f"B  {_side(comparison.second)}"))
    for name, (a, b) in comparison.config.items():
        print(escaped(f"configuration: {name} is {json.dumps(a)} in A and {json.dumps(b)} in B"))
    for letter, names in (("A", comparison.only_first), ("B", comparison.only_second)):
        if names:
            print(f"only in {letter}, {len(names):,}: {some_of(names, arguments.all)}")
    for letter, side in (("A", comparison.first), ("B", comparison.second)):
        if side.unused:
            print(f"not compared, unknown in {letter}, {len(side.unused):,}: {some_of(side.unused, arguments.all)}")
    for module in comparison.modules:
        for name, a, b in module.shapes:
            print(f"{name} is {list(a)} in A and {list(b)} in B")
    shown = [module for module in comparison.modules if arguments.all or module.differing]
    if shown:
        print(table(("module", "dtype", "values", "differing", "largest difference"), map(_row, shown), left=2))
    print(_verdict(comparison))
    return status


def _side(side: Side) -> str:
    kind = ", ".join([side.model, " or ".join(side.architectures)] if side.architectures else [side.model])
    return f"{side.path}: {kind}; {side.format}; names: {side.naming}; configuration: {side.config_source}"


def _row(module: ModuleDifference) -> Sequence[str]:
    dtypes = [", ".join(names) for names in module.dtypes]
    return (
        module.path + (f" {TIMES}{module.layers}" if module.layers > 1 else ""),
        dtypes[0] if dtypes[0] == dtypes[1] else " / ".join(dtypes),
        f"{module.parameters:,}",
        f"{module.differing:,}",
        f"{module.largest:.3g}" if module.differing else "0",
    )


def _verdict(comparison: Comparison) -> str:
    if not comparison.comparable:
        return f"different models: A is {comparison.first.model}, B is {comparison.second.model}"
    values = sum(module.parameters for module in comparison.modules)
    within = "bit for bit" if comparison.tolerance is None else f"within {comparison.tolerance:g}"
    if comparison.same:
        configurations = "; the configurations differ" if comparison.config else ""
        return f"the same weights: {values:,} values, {within}{configurations}"
    reasons = []
    differing = sum(module.differing for module in comparison.modules)
    if differing:
        reasons.append(f"{differing:,} of {values:,} values differ")
    shapes = sum(len(module.shapes) for module in comparison.modules)
    if shapes:
        reasons.append(f"{shapes:,} parameters have other shapes")
    if not reasons:
        reasons.append(f"the common part is the same, {values:,} values, {within}")
    for letter, names in (("A", comparison.only_first), ("B", comparison.only_second)):
        if names:
            reasons.append(f"{len(names):,} parameters are only in {letter}")
    return f"not the same weights: {'; '.join(reasons)}"
