"""A file, or a part of one, whose bytes and arrays are read at their places, by several threads at once."""

from __future__ import annotations

import math
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from .positional_io import read_at

_MOST_AXES, _MOST_VALUES = 32, 2**48  # that every NumPy can have and address
ALIGNED = 64  # bytes, the width of the widest registers


class FileBytes:
    """An open file that threads may read at any place. If the file is replaced, the old one is read on.

    Args:
        path: of the file; for messages only, if `file` is given.
        start: where the part begins that is read; all places are relative to it.
        size: of the part in bytes, which must be in the file; up to the end by default.
        file: open already; it is closed with this.
        stored: bytes that a file of others has of it: fewer than `size` if it was unpacked from there.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        start: int = 0,
        size: int | None = None,
        file: BinaryIO | None = None,
        stored: int | None = None,
    ):
        self.path, self.start = path, start
        self._file = path.open("rb", buffering=0) if file is None else file
        self.size = os.fstat(self._file.fileno()).st_size - start if size is None else size
        self.stored = self.size if stored is None else stored
        self.seconds = 0.0  # CPU time that processes with limits took to find what is in it
        self._lock = Lock()
        self._map: mmap.mmap | None = None

    @property
    def handle(self) -> int:
        """The file descriptor."""
        return self._file.fileno()

    def bytes(self, offset: int, size: int) -> bytes:
        """Read bytes from `offset` on: fewer than `size` where the part ends."""
        content = bytearray(max(0, min(size, self.size - offset)))
        return bytes(content[: read_at(self.handle, memoryview(content), self.start + offset)])

    def array(self, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """Read a little-endian array from `offset` on.

        Raises:
            ValueError: the file ends before it.
        """
        if offset + math.prod(shape) * dtype.itemsize > self.size:
            raise ValueError(f"{self.path} ends at byte {self.size}, inside of an array; it is truncated.")
        values = empty_aligned(shape, dtype.newbyteorder("<"))
        done = read_at(self.handle, values.reshape(-1).view(np.uint8).data, self.start + offset)
        if done < values.nbytes:
            raise ValueError(f"{self.path} ends at byte {offset + done}, inside of an array; it is truncated.")
        return values.astype(dtype, copy=False)

    def mapped(self, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The same as a private memory map, where the system and the alignment allow it."""
        size = math.prod(shape)
        place = self.start + offset
        if os.name != "posix" or sys.byteorder != "little" or place % dtype.itemsize or not size:
            return self.array(offset, dtype, shape)
        with self._lock:
            if self._map is None:
                self._map = mmap.mmap(self.handle, 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self._map, dtype, size, place).reshape(shape)

    def close(self) -> None:
        """Close the file; its memory maps stay."""
        self._file.close()


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialized array, aligned so that frameworks can use its memory without a copy."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    return room[start : start + size].view(dtype).reshape(shape)


def is_possible(shape: Iterable[Any]) -> bool:
    """Whether NumPy can have an array of a shape from a file: an axis of no values does not make the others free."""
    sides = tuple(shape)
    whole = len(sides) <= _MOST_AXES and all(type(side) is int and side >= 0 for side in sides)
    return whole and math.prod(side or 1 for side in sides) < _MOST_VALUES
