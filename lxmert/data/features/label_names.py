"""Lists of the names of objects and attributes, in the files that detectors are published with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lxmert.utils.foreign_files import read_small, reading
from lxmert.utils.messages import shown
from lxmert.utils.setting_names import setting

_MOST_BYTES = 16 * 2**20


def read_label_names(path: str | Path) -> list[str]:
    """Read a list of names: one concept a line, of whose synonyms, separated by commas, the first is the name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not UTF-8 text, has a line without a name, or is too large for a list of names.
    """
    path = Path(path)
    with reading(path, "is no list of names in UTF-8"):
        lines = read_small(path, _MOST_BYTES, "a list of names").decode().removesuffix("\n").split("\n")
    names = [line.split(",")[0].strip().lower() for line in lines]
    empty = [number for number, name in enumerate(names, start=1) if not name]
    if empty:
        raise ValueError(
            f"{path} must have a name in each line, the classes in the order of their ids; line {empty[0]} has none."
        )
    return names


def label_names(
    given: Sequence[str] | str | Path | None, kind: str, least: int, most: int | None = None
) -> list[str] | None:
    """The names of classes in the order of their ids; None if none are given.

    Args:
        given: the names, or the file that lists them.
        kind: the setting, "objects" or "attributes".
        least, most: how many there may be, any number from `least` on by default.

    Raises:
        TypeError: neither a list of texts nor a path.
        ValueError: another number of names; and see `read_label_names`.
    """
    if given is None:
        return None
    names = read_label_names(given) if isinstance(given, (str, Path)) else given
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"{setting(kind)} must be a list of names in the order of their ids, or its file; got {shown(given)}."
        )
    if len(names) < least or (most is not None and len(names) > most):
        wanted = f"{least:,}" if least == most else f"at least {least:,}"
        source = f"those in {given}" if isinstance(given, (str, Path)) else "those given"
        raise ValueError(
            f"{setting(kind)} must be {wanted} names, one for each id in order; {source} are {len(names):,}."
        )
    return list(names)
