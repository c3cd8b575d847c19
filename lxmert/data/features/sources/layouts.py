"""A row of the table of layouts: how a layout of region features is named, found, recognized and opened."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from lxmert.utils.messages import first_few

from .base import Source, SourceOptions
from .found import Found

_FILES = (".tsv", ".tsv.gz", ".csv", ".h5", ".hdf5")  # each is passed by itself, not by its folder


class Layout(NamedTuple):
    """A layout of region features.

    Attributes:
        name: in a few words, such as "TSV of LXMERT".
        contains: its columns, keys or files, and whose files look like this.
        example: what follows `lxmert features import` on the command line.
        kinds: the values of `Found.kind` that such a source has.
        recognize: whether a source of one of these kinds has this layout.
        open: opens it.
        extra: the optional dependencies that it takes, such as "datasets" of `pip install "lxmert[datasets]"`.
        options: those of `SourceOptions` that it heeds.
    """

    name: str
    contains: str
    example: str
    kinds: tuple[str, ...]
    recognize: Callable[[Found, SourceOptions], bool]
    open: Callable[[Found, SourceOptions], Source]
    extra: str | None = None
    options: tuple[str, ...] = ()


def check_options(layout: Layout, options: SourceOptions, path: Path) -> None:
    """Refuse options that would change nothing: the user expects other numbers then."""
    given = [name for name, value in options._asdict().items() if value is not None and name not in layout.options]
    if options.boxes == "xyxy" and "boxes" in given:  # what every layout has
        given.remove("boxes")
    if given:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{named} cannot be used with {path}, whose layout is: {layout.name}. Leave it out.")


def describe_layouts(layouts: Iterable[Layout], width: int = 100) -> str:
    """Every layout in a line, with an example."""
    lines = []
    for layout in layouts:
        extra = f' (pip install "lxmert[{layout.extra}]")' if layout.extra else ""
        lines.append(textwrap.fill(f"{layout.name}: {layout.contains}{extra}", width, subsequent_indent="    "))
        lines.append(f"    lxmert features import {layout.example}")
    return "\n".join(lines)


def unknown_layout(found: Found, layouts: Iterable[Layout]) -> ValueError:
    """The error for a source of no known layout: what it is, and the nearest layouts."""
    layouts = list(layouts)
    near = [layout for layout in layouts if found.kind in layout.kinds] or layouts[:1]
    inside = [name for name in found.names if name.endswith(_FILES)] if found.kind == "folder" else []
    if inside:
        return ValueError(
            f"{found.path} is {found.describe()}, which is not a known layout of region features. Pass its files "
            f"instead: {first_few(inside)}."
        )
    known = "; ".join(f"{layout.name} ({layout.contains})" for layout in near)
    return ValueError(
        f"{found.path} is {found.describe()}, which is not a known layout of region features. The nearest that is "
        f"read: {known}. `lxmert features import --help` lists every layout; NumPy arrays of your own are written with "
        "lxmert.data.features.RegionWriter."
    )
