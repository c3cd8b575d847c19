"""Write records into JSON files, one per line: readable, and without a second copy in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lxmert.utils.atomic_files import replacing


def write_records(
    path: str | Path, records: Iterable[Any], header: Mapping[str, Any] | None = None, name: str = ""
) -> None:
    """Write a list of records, or an object that has one.

    Args:
        path: of the file, which is replaced when it is complete.
        records: what to write.
        header: the other members of the object; None writes a list alone.
        name: the key of the list in the object.

    Raises:
        OSError: it cannot be written; the error names it.
    """
    before, after = "[", "]\n"
    if header is not None:
        members = "".join(f"{json_text(key)}: {json_text(value)},\n" for key, value in header.items())
        before, after = f"{{{members}{json_text(name)}: [", "]}\n"
    _write(path, map(json_text, records), before, after)


def write_members(path: str | Path, members: Iterable[tuple[str, Any]]) -> None:
    """Write an object of records; see `write_records`."""
    _write(path, (f"{json_text(key)}: {json_text(value)}" for key, value in members), "{", "}\n")


def write_lines(path: str | Path, records: Iterable[Any]) -> None:
    """Write one record per line; see `write_records`."""
    _write(path, map(json_text, records), "", "\n", "\n")


def json_text(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _write(path: str | Path, texts: Iterable[str], before: str, after: str, separator: str = ",\n") -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(before)
        for number, text in enumerate(texts):
            file.write(f"{separator}{text}" if number else text)
        file.write(after)
