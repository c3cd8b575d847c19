"""What the readers share: errors that name file and record, types of values, unique ids."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few, shown
from lxmert.utils.paths import check_path
from lxmert.utils.text_length import LONGEST_TEXT

from .columns import CategoricalColumn, TextColumn
from .examples import label_key

Paths = str | Path | Sequence[str | Path]


def list_files(paths: Paths) -> list[str]:
    """One path or several as a list of strings; a ValueError for none, an empty one, or a repeated one."""
    files = [os.fspath(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise ValueError("paths must name one file or more; got none.")
    for file in files:
        check_path("paths", file)
        if files.count(file) > 1:
            raise ValueError(f"{file} is given twice; name each file once.")
    return files


class RecordFile:
    """A file of records and its current record; its methods check values and name both in errors.

    Each of them raises a ValueError for a missing value or one of another type.

    Args:
        path: of the file.
        id_name: the key of the records' ids, None if they have none.
        unit: how records are counted: "record", or "line".
    """

    def __init__(self, path: str, id_name: str | None, unit: str = "record") -> None:
        self.path, self.unit, self.id_name = path, unit, id_name
        self._number: int | None = None
        self._id: Any = None

    def enter(self, value: Any, number: int | None = None, id: str | None = None) -> dict[str, Any]:
        """Make a record the current one.

        Args:
            value: the record, which must be an object.
            number: its number in the file, from 1; None if it is known by its id alone.
            id: its id if that is known already.
        """
        self._number, self._id = number, id
        if type(value) is not dict:
            raise self.error(f"an object of keys and values is expected; got {shown(value)}")
        if self.id_name is not None and id is None:
            self._id = value.get(self.id_name)
        return value

    def error(self, what: str) -> ValueError:
        """An error about the current record, or about the file before the first one."""
        return ValueError(f"{self.place}: {what}.")

    @property
    def place(self) -> str:
        """The file, and the current record if there is one."""
        place = "" if self._number is None else f", {self.unit} {self._number:,}"
        if self._id is not None:
            place += f"{'' if place else ','} ({self.id_name} {shown(self._id)})"
        return f"{self.path}{place}"

    def text(self, record: dict[str, Any], key: str, empty: bool = True) -> str:
        """The string under a key; `empty` allows an empty one."""
        value = record.get(key)
        if type(value) is not str:
            raise self._wrong(record, key, "a string")
        if len(value) > LONGEST_TEXT:
            raise self.error(f"{key} must have at most {LONGEST_TEXT:,} characters; it has {len(value):,}")
        if not value.isascii() and not _is_encodable(value):
            raise self.error(f"{key} has half a character (a lone surrogate): {shown(value)}")
        if not empty and not value:
            raise self.error(f"{key} must not be empty")
        return value

    def optional_text(self, record: dict[str, Any], key: str) -> str:
        """The string under a key, "" without one."""
        return self.text(record, key) if key in record else ""

    def integer(self, record: dict[str, Any], key: str) -> int:
        """The integer under a key, from 0 and of at most 63 bits."""
        value = record.get(key)
        if type(value) is not int or not 0 <= value < 2**63:
            raise self._wrong(record, key, "an integer of 0 or more")
        return value

    def question_id(self, record: dict[str, Any], key: str) -> int | str:
        """The id under a key: an integer of 0 or more, or a text; a text like "9" is the integer 9."""
        value = canonical_id(record.get(key))
        if (type(value) is int and 0 <= value < 2**63) or (type(value) is str and value and _is_encodable(value)):
            return value
        raise self._wrong(record, key, "an integer of 0 or more, or a text")

    def name(self, record: dict[str, Any], key: str) -> str:
        """The name under a key: a string that is not empty, or an integer, which becomes one."""
        value = record.get(key)
        return str(value) if type(value) is int else self.text(record, key, empty=False)

    def label(self, value: Any) -> dict[str, float]:
        """Answers with their scores of 0 to 1; those of score 0 are left out."""
        if type(value) is not dict:
            raise self.error(f"label must be an object of answers and scores; got {shown(value)}")
        for answer, score in value.items():
            if type(answer) is not str:
                raise self.error(f"label must have answers that are texts; got {shown(answer)}")
            if type(score) not in (int, float) or not 0 <= score <= 1:
                given = f"the answer {shown(answer)} has {shown(score)}"
                raise self.error(f"label must have scores of 0 to 1; {given}")
            if not _is_encodable(answer):
                raise self.error(f"label has half a character (a lone surrogate): {shown(answer)}")
        return {sys.intern(answer): float(score) for answer, score in value.items() if score}

    def _wrong(self, record: dict[str, Any], key: str, wanted: str) -> ValueError:
        given = f"got {shown(record[key])}" if key in record else f"the keys are {first_few(record) or 'none'}"
        return self.error(f"{key} must be {wanted}; {given}")


class LabelColumn:
    """A column of labels; each distinct label is checked once."""

    def __init__(self) -> None:
        self.column: CategoricalColumn[dict[str, float] | None] = CategoricalColumn(key=label_key)

    def append(self, file: RecordFile, label: Any) -> None:
        """Add a row."""
        known = len(self.column.categories)
        try:
            code = self.column.code_of(label)
        except (TypeError, AttributeError):  # not a label: the next line raises the error
            file.label(label)
            raise
        if code == known and label is not None:
            self.column.categories[code] = file.label(label)
        self.column.append_code(code)


def canonical_id(value: Any) -> Any:
    """A question id in one spelling: the integer 9 for 9 and "9"; anything else as it is, such as "05" or "a"."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 19 and str(int(value)) == value:
        return int(value)
    return value


def types_or_none(column: CategoricalColumn[str]) -> CategoricalColumn[str] | None:
    """A column of types, or None if no record has one."""
    return column.complete() if any(column.categories) else None


def check_unique(ids: TextColumn | list[int], id_name: str, starts: Sequence[tuple[str, int]]) -> None:
    """Refuse repeated ids.

    Args:
        ids: of all files, one after the other.
        id_name: their key in the files.
        starts: the files with ids, and the first row of each.

    Raises:
        ValueError: the message has the first repeated id and its two places.
    """
    # By hashes, because a set of fourteen million texts would need a gigabyte.
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    order = np.argsort(hashes, kind="stable")
    equal = hashes[order[1:]] == hashes[order[:-1]]
    candidates = np.unique(np.concatenate([order[1:][equal], order[:-1][equal]]))
    first: dict[int | str, int] = {}
    twice = [(row, first[ids[row]]) for row in candidates.tolist() if first.setdefault(ids[row], row) != row]
    if twice:
        row, earlier = twice[0]
        raise ValueError(
            f"{id_name} {shown(ids[row])} is there twice: {origin(earlier, starts)} and {origin(row, starts)}"
            + (f", and {len(twice) - 1:,} more ids are" if len(twice) > 1 else "")
            + ". Every id may be used once, in all files together."
        )


def origin(row: int, starts: Sequence[tuple[str, int]]) -> str:
    """The file and record of a row; `starts` as for `check_unique`."""
    path, start = starts[bisect_right([start for _, start in starts], row) - 1]
    return f"{path}, record {row - start + 1:,}"


def check_not_empty(count: int, files: Sequence[str], what: str) -> None:
    """Raise a ValueError if files have no records."""
    if not count:
        raise ValueError(f"{', '.join(files)}: there are no {what}; at least one is expected.")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
