"""Columns of texts and of repeated values: sequences of millions of entries that need little memory.

Separate, because a list of millions of Python objects costs twice the memory, and a worker process that only reads it
copies it: every look changes the count of references that lies beside the object. Here the entries lie in a few arrays,
which forked workers share. Both columns are read like lists, and are equal to the lists they were made of.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload

import numpy as np

Value = TypeVar("Value")
Mapped = TypeVar("Mapped")


def row_numbers(rows: Any, length: int) -> np.ndarray:
    """Numbers of rows as int64 ``[K]``.

    Args:
        rows: integers, or one boolean per row for those to be taken.
        length: how many rows there are.

    Raises:
        IndexError: a row that is not there.
        TypeError: no integers.
    """
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (length,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise TypeError(f"rows must be a list of integers, or {length} booleans; got {rows.dtype} {list(rows.shape)}.")
    rows = rows.astype(np.int64)
    if rows.size and (rows.min() < -length or rows.max() >= length):
        raise IndexError(f"rows must be below {length:,}, the number of rows; got {rows.min():,} to {rows.max():,}.")
    return np.where(rows < 0, rows + length, rows)


class _Column(Sequence[Value]):
    """What both columns share: equality with any sequence, and a short representation."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, islice(self, 3)))
        return f"<{type(self).__name__} of {len(self):,}: {shown}{', ...' if len(self) > 3 else ''}>"


class Texts(_Column[str]):
    """N texts in one block of UTF-8: ``texts[row] = block[ends[row - 1] : ends[row]]``."""

    def __init__(self, texts: Iterable[str] = ()):
        self._block = bytearray()
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add one text at the end.

        Raises:
            UnicodeEncodeError: half a character (a lone surrogate), which no tokenizer can read.
        """
        self._block += text.encode()
        self._ends.append(len(self._block))

    def take(self, rows: Any) -> Texts:
        """The texts of some rows, in their order."""
        taken = Texts()
        for row in row_numbers(rows, len(self)).tolist():
            taken._block += self._block[self._ends[row] : self._ends[row + 1]]
            taken._ends.append(len(taken._block))
        return taken

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Texts: ...
    def __getitem__(self, row: int | slice) -> str | Texts:
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        place = row + len(self) if row < 0 else row
        if not 0 <= place < len(self):
            raise IndexError(f"row must be below {len(self):,}, the number of rows; got {row}.")
        return self._block[self._ends[place] : self._ends[place + 1]].decode()


class Coded(_Column[Value], Generic[Value]):
    """N values of which many are equal: ``coded[row] = values[codes[row]]``.

    Equal values are one object: do not change it.
    """

    def __init__(self, entries: Iterable[Value] = (), key: Callable[[Value], Hashable] | None = None):
        """Take the entries in.

        Args:
            entries: the values, row by row.
            key: what tells values apart where they cannot be keys of a dict themselves.
        """
        self._values: list[Value] = []
        self._codes = array("i")
        self._numbers: dict[Hashable, int] | None = {}
        self._key = key
        for entry in entries:
            self.append(entry)

    @classmethod
    def of(cls, values: Sequence[Value], codes: np.ndarray) -> Coded[Value]:
        """A column of distinct values and the number of the value of every row."""
        column: Coded[Value] = cls()
        column._values = list(values)
        column._codes = array("i", np.asarray(codes, np.int32).tobytes())
        column._numbers = None
        return column

    @property
    def values(self) -> list[Value]:
        """The distinct values."""
        return self._values

    @property
    def codes(self) -> np.ndarray:
        """int32 ``[N]``, the number of the value of every row. No copy: append nothing while it is in use."""
        return np.frombuffer(self._codes, np.int32) if self._codes else np.zeros(0, np.int32)

    def append(self, value: Value) -> None:
        """Add one row."""
        self._codes.append(self.number(value))

    def number(self, value: Value) -> int:
        """The number of a value among the distinct ones, where it is put if it is new; no row is added."""
        if self._numbers is None:
            raise TypeError("the column is complete; make a new one to add values.")
        number = self._numbers.setdefault(value if self._key is None else self._key(value), len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number

    def repeat(self, number: int, times: int = 1) -> None:
        """Add so many rows of the value of a number."""
        self._codes.extend([number] * times)

    def complete(self) -> Coded[Value]:
        """Free what was needed to add values."""
        self._numbers = None
        self._key = None
        return self

    def take(self, rows: Any) -> Coded[Value]:
        """The values of some rows, in their order; `values` has only those that are left."""
        codes = self.codes[row_numbers(rows, len(self))]
        kept, codes = np.unique(codes, return_inverse=True)
        return Coded.of([self._values[number] for number in kept.tolist()], codes)

    def mapped(self, function: Callable[[Value], Mapped]) -> Coded[Mapped]:
        """The column with another value for each distinct one: `function` is called once for each of these."""
        return Coded.of([function(value) for value in self._values], self.codes)

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, row: int) -> Value: ...
    @overload
    def __getitem__(self, row: slice) -> Coded[Value]: ...
    def __getitem__(self, row: int | slice) -> Value | Coded[Value]:
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        return self._values[self._codes[row]]
