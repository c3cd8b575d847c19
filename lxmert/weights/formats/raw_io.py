"""Arrays read and written at their places in a file, by several threads and with little memory.

safetensors, HDF5 as Keras writes it, and uncompressed archives store an array contiguously, row by row. Their libraries
find the places; the values are moved here, without the libraries' copies and locks.
"""

from __future__ import annotations

import math
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import ml_dtypes
import numpy as np

from lxmert.utils.positional_io import read_at, write_at

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS: Mapping[str, np.dtype] = {name: np.dtype(name) for name in ("float64", "float32", "float16")} | {
    "bfloat16": BFLOAT16
}
# Two threads keep a disk and a CPU busy; more would only use more memory.
_WRITERS = 2
BLOCK = 8 * 2**20


def is_float(dtype: np.dtype) -> bool:
    """Whether this is a float dtype, bfloat16 included (which NumPy does not count as one)."""
    return dtype in FLOATS.values()


class FileBytes:
    """An open file that threads may read at any place. If the file is replaced, the old one is read on."""

    def __init__(self, path: Path):
        self._file = path.open("rb", buffering=0)
        self._lock = Lock()
        self._map: mmap.mmap | None = None

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def array(self, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """Read a little-endian array from `offset` on.

        Raises:
            ValueError: the file ends before it.
        """
        values = empty_aligned(shape, dtype.newbyteorder("<"))
        done = read_at(self._file.fileno(), values.reshape(-1).view(np.uint8).data, offset)
        if done < values.nbytes:
            raise ValueError(f"{self._file.name} ends at byte {offset + done}, inside of an array; it is truncated.")
        return values.astype(dtype, copy=False)

    def mapped(self, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The same as a private memory map, where the system and the alignment allow it."""
        size = math.prod(shape)
        if os.name != "posix" or sys.byteorder != "little" or offset % dtype.itemsize or not size:
            return self.array(offset, dtype, shape)
        with self._lock:
            if self._map is None:
                self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self._map, dtype, size, offset).reshape(shape)

    def close(self) -> None:
        """Close the file; its memory maps stay."""
        self._file.close()


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialized array, aligned so that frameworks can use its memory without a copy."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    return room[start : start + size].view(dtype).reshape(shape)


ALIGNED = 64  # bytes, the width of the widest registers


def contiguous(values: np.ndarray) -> np.ndarray:
    """The same values, contiguous; NumPy takes up to four times as long to copy a transposed matrix."""
    if values.ndim != 2 or values.flags.c_contiguous or values.strides[0] > values.strides[1]:
        return np.ascontiguousarray(values)
    result = empty_aligned(values.shape, values.dtype)
    columns = max(1, 64 // values.dtype.itemsize)  # one cache line
    for start in range(0, values.shape[1], columns):
        result[:, start : start + columns] = values[:, start : start + columns]
    return result


class Slot(NamedTuple):
    """An offset in a file, and a function that returns the array to write there, of any float dtype and layout."""

    name: str
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def write_slots(path: str | Path, slots: Sequence[Slot]) -> dict[str, int]:
    """Write arrays to their places in an existing file, little-endian, row by row.

    Returns:
        For each array that overflowed how many finite values became infinite, because its dtype is too narrow.

    Raises:
        ValueError: values of another shape than announced.
        OSError: the disk is full, say.
    """
    overflowed: dict[str, int] = {}
    with Path(path).open("r+b", buffering=0) as file:

        def write(slot: Slot) -> None:
            lost = 0
            offset = slot.offset
            for rows in _blocks(slot):
                with np.errstate(over="ignore"):  # counted below
                    narrow = rows.astype(slot.dtype) if rows.dtype != slot.dtype else rows
                if narrow.dtype.itemsize < rows.dtype.itemsize or narrow.dtype.kind != rows.dtype.kind:
                    lost += int(np.count_nonzero(np.isinf(narrow)) - np.count_nonzero(np.isinf(rows)))
                little = contiguous(narrow).astype(slot.dtype.newbyteorder("<"), copy=False)
                offset += write_at(file.fileno(), little.reshape(-1).view(np.uint8).data, offset)
            if lost:
                overflowed[slot.name] = lost

        with ThreadPoolExecutor(_WRITERS) as pool:
            jobs = [pool.submit(write, slot) for slot in slots]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return {slot.name: overflowed[slot.name] for slot in slots if slot.name in overflowed}


def _blocks(slot: Slot) -> Iterator[np.ndarray]:
    """The values in blocks of a few megabytes, so that no transposed or converted copy is made of them all."""
    values = slot.read()
    if values.shape != tuple(slot.shape):
        raise ValueError(f"{slot.name} must have shape {list(slot.shape)}; got {list(values.shape)}.")
    if values.ndim < 2 or not values.size:
        yield values
        return
    rows = max(1, BLOCK // (math.prod(values.shape[1:]) * values.dtype.itemsize))
    for start in range(0, len(values), rows):
        yield values[start : start + rows]
