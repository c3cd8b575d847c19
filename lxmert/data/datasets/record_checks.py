"""What the readers share: which file and record an error names, the kinds of values, ids that are there twice."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.messages import escaped, first_few
from lxmert.utils.paths import check_path

from .columns import Coded, Texts
from .examples import label_key

Paths = str | Path | Sequence[str | Path]


def files_of(paths: Paths) -> list[str]:
    """One path or several as a list of texts.

    Raises:
        ValueError: none, an empty one, or one that is there twice.
    """
    files = [os.fspath(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise ValueError("paths must name one file or more; got none.")
    for file in files:
        check_path("paths", file)
        if files.count(file) > 1:
            raise ValueError(f"{file} is given twice; name each file once.")
    return files


class RecordFile:
    """A file that is being read, and the record that it is at.

    Args:
        path: of the file.
        unit: what the records are counted as: "record", or "line".
        id_name: the key of their ids, None where they have none.
    """

    def __init__(self, path: str, id_name: str | None, unit: str = "record") -> None:
        self.path, self.unit, self.id_name = path, unit, id_name
        self._number: int | None = None
        self._id: Any = None

    def at(self, value: Any, number: int | None = None, id: Any = None) -> dict[str, Any]:
        """Come to a record.

        Args:
            value: the record.
            number: its number in the file, from 1; None where it is known by its id alone.
            id: its id where that is known already.

        Raises:
            ValueError: it is no object.
        """
        self._number, self._id = number, id
        if type(value) is not dict:
            raise self.error(f"an object of keys and values is wanted; got {shown(value)}")
        if self.id_name is not None and id is None:
            self._id = value.get(self.id_name)
        return value

    def error(self, what: str) -> ValueError:
        """An error about the record, or about the file before the first one."""
        place = "" if self._number is None else f", {self.unit} {self._number:,}"
        if self._id is not None:
            place += f"{'' if place else ','} ({self.id_name} {shown(self._id)})"
        return ValueError(f"{self.path}{place}: {what}.")

    def text(self, record: dict[str, Any], key: str, empty: bool = True) -> str:
        """The text under a key.

        Raises:
            ValueError: none, no text, half a character in it, or an empty one that may not be.
        """
        value = record.get(key)
        if type(value) is not str:
            raise self._wrong(record, key, "a text")
        if not value.isascii() and not _is_whole(value):
            raise self.error(f"{key} has half a character (a lone surrogate): {shown(value)}")
        if not empty and not value:
            raise self.error(f"{key} must not be empty")
        return value

    def optional_text(self, record: dict[str, Any], key: str) -> str:
        """The text under a key, "" without one."""
        return self.text(record, key) if key in record else ""

    def number(self, record: dict[str, Any], key: str) -> int:
        """The integer under a key.

        Raises:
            ValueError: none, no integer, a negative one, or one of more than 63 bits.
        """
        value = record.get(key)
        if type(value) is not int or not 0 <= value < 2**63:
            raise self._wrong(record, key, "an integer of 0 or more")
        return value

    def name(self, record: dict[str, Any], key: str) -> str:
        """The name under a key: a text that is not empty, or an integer, which is written as one."""
        value = record.get(key)
        return str(value) if type(value) is int else self.text(record, key, empty=False)

    def label(self, value: Any) -> dict[str, float]:
        """Answers and their scores; those of score 0 are left out.

        Raises:
            ValueError: no object, or a score that is no number of 0 to 1.
        """
        if type(value) is not dict:
            raise self.error(f"label must be an object of answers and scores; got {shown(value)}")
        for answer, score in value.items():
            if type(score) not in (int, float) or not 0 <= score <= 1:
                raise self.error(f"label must have scores of 0 to 1; the answer {shown(answer)} has {shown(score)}")
            if not _is_whole(answer):
                raise self.error(f"label has half a character (a lone surrogate): {shown(answer)}")
        return {sys.intern(answer): float(score) for answer, score in value.items() if score}

    def _wrong(self, record: dict[str, Any], key: str, wanted: str) -> ValueError:
        given = f"got {shown(record[key])}" if key in record else f"the keys are {first_few(record) or 'none'}"
        return self.error(f"{key} must be {wanted}; {given}")


class Labels:
    """A column of labels that looks at each different one only once."""

    def __init__(self) -> None:
        self.column: Coded[dict[str, float] | None] = Coded(key=label_key)

    def number(self, file: RecordFile, label: Any) -> int:
        """The number of a label among the distinct ones."""
        known = len(self.column.values)
        try:
            number = self.column.number(label)
        except (TypeError, AttributeError):  # what no label is made of, which the next line tells
            file.label(label)
            raise
        if number == known and label is not None:
            self.column.values[number] = file.label(label)
        return number


def types_or_none(column: Coded[str]) -> Coded[str] | None:
    """A column of kinds, or None where no record has any."""
    return column.complete() if any(column.values) else None


def check_unique(ids: Texts | list[int], id_name: str, starts: Sequence[tuple[str, int]]) -> None:
    """Refuse ids that are there twice.

    Args:
        ids: of all files, one after the other.
        id_name: what they are called in the files.
        starts: the files that have any, and the row that each begins with.

    Raises:
        ValueError: naming the first of them, and where both are.
    """
    # By hashes, because a set of fourteen million texts would need a gigabyte.
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    order = np.argsort(hashes, kind="stable")
    equal = hashes[order[1:]] == hashes[order[:-1]]
    suspects = np.unique(np.concatenate([order[1:][equal], order[:-1][equal]]))
    if not suspects.size:
        return
    first: dict[int | str, int] = {}
    twice = [(row, first[ids[row]]) for row in suspects.tolist() if first.setdefault(ids[row], row) != row]
    if twice:
        row, earlier = twice[0]
        raise ValueError(
            f"{id_name} {shown(ids[row])} is there twice: {origin(earlier, starts)} and {origin(row, starts)}"
            + (f", and {len(twice) - 1:,} more ids are" if len(twice) > 1 else "")
            + ". Every id may be used once, in all files together."
        )


def origin(row: int, starts: Sequence[tuple[str, int]]) -> str:
    """Which file and record a row is from; `starts` as for `check_unique`."""
    path, start = starts[bisect_right([start for _, start in starts], row) - 1]
    return f"{path}, record {row - start + 1:,}"


def check_some(count: int, files: Sequence[str], what: str) -> None:
    """Refuse an empty split.

    Raises:
        ValueError: naming the files.
    """
    if not count:
        raise ValueError(f"{', '.join(files)}: there are no {what}; one or more are wanted.")


def shown(value: Any, most: int = 60) -> str:
    """A value from a file as an error shows it: on one line, and not too long."""
    text = escaped(repr(value))
    return text if len(text) <= most else f"{text[:most]}..."


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
