"""Columns of texts and of repeated values: sequences of millions of entries in little memory.

A list of millions of Python objects takes twice the memory, and a forked worker that reads it copies it, as every
access changes a reference count. These columns keep their entries in a few arrays, which forked workers share. They can
be read like lists, and are equal to the lists that they were made from.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

Value = TypeVar("Value")
Mapped = TypeVar("Mapped")


def row_numbers(rows: ArrayLike, length: int) -> np.ndarray:
    """Row numbers as int64 ``[K]``, of integers or of one boolean per row.

    Raises:
        IndexError: a row does not exist.
        TypeError: neither integers nor booleans.
    """
    numbers = np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (length,):
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        given = f"{numbers.dtype} {list(numbers.shape)}"
        raise TypeError(f"rows must be a list of integers, or {length} booleans; got {given}.")
    numbers = numbers.astype(np.int64)
    if numbers.size and (numbers.min() < -length or numbers.max() >= length):
        given = f"{numbers.min():,} to {numbers.max():,}"
        raise IndexError(f"rows must be below {length:,}, the number of rows; got {given}.")
    return np.where(numbers < 0, numbers + length, numbers)


class _Column(Sequence[Value]):
    """Equality with any sequence, and a short representation."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        first = ", ".join(map(repr, islice(self, 3)))
        return f"<{type(self).__name__} of {len(self):,}: {first}{', ...' if len(self) > 3 else ''}>"


class TextColumn(_Column[str]):
    """N texts in one block of UTF-8: ``texts[row] = block[ends[row - 1] : ends[row]]``."""

    def __init__(self, texts: Iterable[str] = ()):
        self._block = bytearray()
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add one text; a UnicodeEncodeError for half a character (a lone surrogate), which no tokenizer can read."""
        self._block += text.encode()
        self._ends.append(len(self._block))

    def take(self, rows: ArrayLike) -> TextColumn:
        """The texts of some rows, in their order."""
        taken = TextColumn()
        for row in row_numbers(rows, len(self)).tolist():
            taken._block += self._block[self._ends[row] : self._ends[row + 1]]
            taken._ends.append(len(taken._block))
        return taken

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> TextColumn: ...
    def __getitem__(self, row: int | slice) -> str | TextColumn:
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        place = row + len(self) if row < 0 else row
        if not 0 <= place < len(self):
            raise IndexError(f"row must be below {len(self):,}, the number of rows; got {row}.")
        return self._block[self._ends[place] : self._ends[place + 1]].decode()


class CategoricalColumn(_Column[Value], Generic[Value]):
    """N values with many repetitions: ``column[row] = categories[codes[row]]``.

    Equal values are one object: do not change it.

    Args:
        entries: the values, row by row.
        key: distinguishes values that cannot be keys of a dict themselves.
    """

    def __init__(self, entries: Iterable[Value] = (), key: Callable[[Value], Hashable] | None = None):
        self._categories: list[Value] = []
        self._codes = array("i")
        self._code_by_key: dict[Hashable, int] | None = {}
        self._key = key
        for entry in entries:
            self.append(entry)

    @classmethod
    def from_codes(cls, categories: Sequence[Value], codes: np.ndarray) -> CategoricalColumn[Value]:
        """A column of distinct values and each row's index into them."""
        column: CategoricalColumn[Value] = cls()
        column._categories = list(categories)
        column._codes = array("i", np.asarray(codes, np.int32).tobytes())
        column._code_by_key = None
        return column

    @property
    def categories(self) -> list[Value]:
        """The distinct values."""
        return self._categories

    @property
    def codes(self) -> np.ndarray:
        """int32 ``[N]``, each row's index into `categories`. A view: append nothing while it is in use."""
        return np.frombuffer(self._codes, np.int32) if self._codes else np.zeros(0, np.int32)

    def append(self, value: Value) -> None:
        """Add one row."""
        self._codes.append(self.code_of(value))

    def code_of(self, value: Value) -> int:
        """The index of a value in `categories`, where a new value is added; no row is added."""
        if self._code_by_key is None:
            raise TypeError("the column is complete; make a new one to add values.")
        code = self._code_by_key.setdefault(value if self._key is None else self._key(value), len(self._categories))
        if code == len(self._categories):
            self._categories.append(value)
        return code

    def append_code(self, code: int, times: int = 1) -> None:
        """Add rows with the value of a code."""
        self._codes.extend([code] * times)

    def complete(self) -> CategoricalColumn[Value]:
        """Free what only adding values needs."""
        self._code_by_key = self._key = None
        return self

    def take(self, rows: ArrayLike) -> CategoricalColumn[Value]:
        """The values of some rows, in their order; `categories` has only theirs."""
        kept, codes = np.unique(self.codes[row_numbers(rows, len(self))], return_inverse=True)
        return CategoricalColumn.from_codes([self._categories[code] for code in kept.tolist()], codes)

    def map_categories(self, function: Callable[[Value], Mapped]) -> CategoricalColumn[Mapped]:
        """The column of `function(value)`; it is called once for each distinct value."""
        return CategoricalColumn.from_codes([function(value) for value in self._categories], self.codes)

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, row: int) -> Value: ...
    @overload
    def __getitem__(self, row: slice) -> CategoricalColumn[Value]: ...
    def __getitem__(self, row: int | slice) -> Value | CategoricalColumn[Value]:
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        return self._categories[self._codes[row]]
