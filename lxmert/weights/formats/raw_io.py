"""Arrays written at their places in a file, by several threads and with little memory.

safetensors, HDF5 as Keras writes it, and uncompressed archives store an array contiguously, row by row. Their libraries
find the places; the values are moved here and in `file_bytes`, without the libraries' copies and locks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from lxmert.utils.file_bytes import empty_aligned
from lxmert.utils.positional_io import write_at
from lxmert.utils.write_errors import naming

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
        OSError: the disk is full, say; the error names the file.
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
                with naming(path):
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
