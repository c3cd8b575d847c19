"""An array in an HDF5 file of others: what the file says of it, checked against the size of the file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import index
from typing import Any, NamedTuple

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.file_bytes import is_possible
from lxmert.utils.messages import escaped

_SAME_SIZE = {2, 3}  # numbers of filters that keep all bytes: one reorders them, one adds checksums
_MOST_AXES = 32


class Chunks(NamedTuple):
    """The chunks that an array is stored in.

    Attributes:
        shape: of each.
        table: [N, rank + 3]: of each its position in the array, its offset in the file (-1: never written), its size
            there, and a mask of skipped filters.
    """

    shape: tuple[int, ...]
    table: np.ndarray


@dataclass(slots=True, eq=False)
class Hdf5Array:
    """An array in an HDF5 file, of which nothing has been read.

    Attributes:
        name: with those of its groups: "layers/dense/vars/0".
        dtype: of its numbers, with their byte order; that of objects if it holds anything else.
        kind: what it holds, for messages.
        shape: of it.
        stored: bytes that the file stores of it.
        elsewhere: whether its values are in other files.
        filters: the numbers of those that its chunks went through.
        attributes: texts, numbers and lists of these by name; None for others.
        unread: the names of attributes that the library cannot read, each with its message.
        texts: its values, if it holds texts of any length.
        offset: where its values are in the file, if they are there in one piece.
        inline: its values, if they are in its header.
        chunks: if it has any.
        is_checked: whether nothing is wrong with it; see `problem`.
    """

    name: str
    dtype: np.dtype
    kind: str
    shape: tuple[int, ...]
    stored: int
    elsewhere: bool
    filters: list[int]
    attributes: dict[str, Any] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    texts: list[str] | None = None
    offset: int | None = None
    inline: bytes | None = None
    chunks: Chunks | None = None
    is_checked: bool = False

    @property
    def size(self) -> int:
        """The bytes of its values, by its shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def chunk_size(self) -> int:
        """The bytes of one of its chunks, unpacked."""
        return math.prod(self.chunks.shape) * self.dtype.itemsize if self.chunks else 0

    @property
    def place(self) -> int | None:
        """Where its values are in the file, row by row and little-endian; None if they are anything else."""
        return self.offset if self.dtype.newbyteorder("<") == self.dtype else None

    def problem(self, file_size: int) -> str:
        """What is wrong with it in a file of a size: it claims more than is stored, say. "" if nothing is."""
        if self.elsewhere:
            return "has its values in another file, which is not followed."
        if self.dtype.hasobject:
            return f"holds {escaped(self.kind)}, which is not read."
        claims = f"claims to be {list(self.shape)}, more than the file can hold in the {self.stored} bytes of it."
        possible = max_unpacked_size(self.stored) if self.filters else self.stored
        if self.size > possible or not is_possible(self.shape):
            return claims
        end = 0 if self.offset is None else self.offset + self.size
        if self.chunks:
            if self.chunk_size > max(2 * self.size, 2**20):
                return "has larger chunks than it has values."
            offsets, sizes = self.chunks.table[:, -3], self.chunks.table[:, -2]
            if (sizes < 0).any() or sizes.sum(dtype=object) > self.stored:
                return claims
            if set(self.filters) <= _SAME_SIZE and (sizes[offsets >= 0] < self.chunk_size).any():
                return "has chunks that are smaller than its shape says."  # the library would read on behind them
            end = int((offsets + sizes).max(initial=0, where=offsets >= 0))
        if not 0 <= end <= file_size or (self.offset or 0) < 0:
            return "reaches behind the end of the file; it is truncated."
        return ""


def array_of(record: dict[str, Any], content: bytes) -> Hdf5Array:
    """The array that a record of `description` tells of; whatever it raises is damage."""
    shape = tuple(record["shape"])
    dtype = np.dtype("O" if record["dtype"] is None else record["dtype"])
    kind, stored = record["kind_of_values"], index(record["stored"])
    array = Hdf5Array(record["name"], dtype, kind, shape, stored, record["elsewhere"], record["filters"])
    array.attributes, array.unread = record.get("attributes", {}), record.get("unread", {})
    array.texts, array.offset = record.get("texts"), record.get("offset")
    chunk_shape = tuple(record.get("chunk_shape", ()))
    if len(shape) > _MOST_AXES or any(type(length) is not int or length < 0 for length in (*shape, *chunk_shape)):
        raise ValueError(f"an array has the shape {shape[:_MOST_AXES]}")
    if chunk_shape:
        if len(chunk_shape) != len(shape) or 0 in chunk_shape:
            raise ValueError("the chunks of an array have other axes than the array")
        array.chunks = Chunks(chunk_shape, np.frombuffer(content, np.int64).reshape(-1, len(chunk_shape) + 3))
    elif content:
        if len(content) != array.size:
            raise ValueError("an array has other values than its shape says")
        array.inline = content
    return array
