"""Read rows of an array in a file by position, into arrays of the caller.

The pages stay in the system's cache, shared by all processes. A memory map would count every page that a worker touches
as its memory, and is many times slower while the file is not cached; when it is cached, a map saves up to two copies.
A failing disk raises an error here; with a map it would end the process.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lxmert.utils.positional_io import read_at

from .layout import INDEX, StoredArray, read_npy_header


class RowReader:
    """The rows of an array in a .npy file; safe in several threads and in forked processes.

    Raises:
        ValueError: the file does not hold an array of this dtype and shape.
    """

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]):
        self.path, self.dtype, self.shape = path, dtype, shape
        self._offset = check_stored(path, dtype, shape).offset
        self._row_size = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._closing = weakref.finalize(self, os.close, self._handle)
        self._native = sys.byteorder == "little"  # files are little-endian

    def read_into(self, row: int, target: np.ndarray, wait: bool = True) -> bool:
        """Read as many rows as `target` has, starting at `row`, converted to its dtype.

        Returns:
            Whether they were read. False only if they are not cached and `wait` is false.

        Raises:
            OSError: the disk cannot be read, or the file was truncated.
            ValueError: it was closed.
        """
        direct = target.dtype == self.dtype and self._native
        stored = target if direct else np.empty((len(target), *self.shape[1:]), self.dtype)
        offset = self._offset + row * self._row_size
        if not self._read_cached(offset, stored):
            if not wait:
                return False
            self._read(offset, stored)
        if direct:
            return True
        if self.dtype.itemsize == 2 and target.dtype == np.float32 and self._native:
            widen(stored, target)
        else:
            target[...] = stored
        return True

    def all(self) -> np.ndarray:
        """All rows in memory, in the dtype of the file; the errors are those of `read_into`."""
        return next(self.blocks(max(1, self.shape[0])), np.empty(self.shape, self.dtype))

    def blocks(self, size: int, overlap: int = 0) -> Iterator[np.ndarray]:
        """The rows in blocks of a size, each with up to `overlap` rows of the next; the errors are of `read_into`."""
        for start in range(0, self.shape[0], size):
            block = np.empty((min(size + overlap, self.shape[0] - start), *self.shape[1:]), self.dtype)
            self.read_into(start, block)
            yield block

    def prefetch(self, row: int, count: int) -> None:
        """Tell the system that these rows will be read soon, where it supports that."""
        if hasattr(os, "posix_fadvise") and self._closing.alive:  # reading raises the error of a closed file
            size = count * self._row_size
            os.posix_fadvise(self._handle, self._offset + row * self._row_size, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the file."""
        self._closing()

    def _read_cached(self, offset: int, target: np.ndarray) -> bool:
        """Read rows that are cached; False if some are not, or the system cannot tell."""
        if not target.size or not self._closing.alive or not hasattr(os, "RWF_NOWAIT"):
            return not target.size
        try:
            return os.preadv(self._handle, [target.data], offset, os.RWF_NOWAIT) == target.nbytes
        except OSError:  # not cached, or the file system cannot tell
            return False

    def _read(self, offset: int, target: np.ndarray) -> None:
        if not self._closing.alive:
            raise ValueError(f"{self.path.parent} was closed; open the regions again.")
        read = read_at(self._handle, target.reshape(-1).view(np.uint8).data, offset)
        if read < target.nbytes:
            raise OSError(f"{self.path} was truncated after it was opened; it ends at byte {offset + read:,}.")


def widen(stored: np.ndarray, target: np.ndarray) -> None:
    """Convert finite float16 numbers to float32, exactly; NumPy's own conversion takes twenty times as long.

    Shifted left by 13 bits, a float16 number is a float32 number whose exponent is too small by 112.
    """
    bits = target.view(np.int32)
    bits[...] = stored.view(np.int16)  # sign extension fills the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _FLOAT16_BITS, out=bits)
    np.multiply(target, _FLOAT16_STEP, out=target)


_FLOAT16_BITS = np.int32(-0x70002000)  # 0x8FFFE000: the sign, and the shifted other 15 bits
_FLOAT16_STEP = np.float32(2.0**112)


def largest_number(dtype: np.dtype) -> float:
    """The largest finite number of a dtype. `widen` makes larger ones of infinity and NaN."""
    return float(np.finfo(dtype).max)


def are_finite(values: np.ndarray, dtype: np.dtype) -> bool:
    """Whether float32 numbers that were read from an array of `dtype` are finite."""
    limit = largest_number(dtype)
    return not values.size or bool(values.min() >= -limit and values.max() <= limit)  # NaN is neither


def check_stored(path: Path, dtype: np.dtype | None, shape: tuple[int, ...]) -> StoredArray:
    """The header of an array of a store; a ValueError unless it has this shape, and this dtype if it is not None."""
    if not path.is_file():
        raise ValueError(f"{path.parent} is incomplete: it has no {path.name}. Import the regions again.")
    stored = read_npy_header(path)
    if (dtype is not None and stored.dtype != dtype) or stored.shape != shape:
        wanted = "names" if dtype is None else dtype
        raise ValueError(
            f"{path} must hold {wanted} {list(shape)}, as {INDEX} declares; it holds {stored.dtype} "
            f"{list(stored.shape)}."
        )
    return stored
