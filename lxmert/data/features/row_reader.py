"""The rows of an array in a file, read by position into the arrays that are given back.

The pages stay the system's, shared by all processes, and none of them counts as the memory of a worker, as the pages of
a map do that only one worker has touched. Where the file is not in memory yet, that is many times faster than a map;
where it is, it costs up to two copies. A disk that fails is an error then, and does not end the process.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from .layout import INDEX, stored_array


class Rows:
    """The rows of an array in a file, read by position: safe among threads, and in processes that were forked."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]):
        stored = stored_in(path)
        check_announced(path, stored.dtype, stored.shape, dtype, shape)
        self.path, self.dtype, self.shape = path, dtype, shape
        self._offset = stored.offset
        self._row = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._closing = weakref.finalize(self, os.close, self._handle)
        self._lock = Lock()
        # Only where rows are stored as they are wanted do they go straight into place.
        self._straight = sys.byteorder == "little"

    def into(self, row: int, target: np.ndarray, waiting: bool = True) -> bool:
        """Read as many rows as `target` has, from `row` on, converted to its dtype.

        Args:
            row: the first one.
            target: filled, a row after the other.
            waiting: whether to wait for the disk if the rows are not in memory.

        Returns:
            Whether they were read; False only if `waiting` is.

        Raises:
            OSError: the disk cannot be read, or the file has become shorter.
        """
        straight = target.dtype == self.dtype and self._straight
        stored = target if straight else np.empty((len(target), *self.shape[1:]), self.dtype)
        if not waiting and not self._fill_at_once(self._offset + row * self._row, stored):
            return False
        if waiting:
            self._fill(self._offset + row * self._row, stored)
        if straight:
            return True
        if self.dtype.itemsize == 2 and target.dtype == np.float32 and self._straight:
            widen(stored, target)
        else:
            target[...] = stored
        return True

    def announce(self, row: int, count: int) -> None:
        """Tell the system that rows will be read, where it can be told."""
        if hasattr(os, "posix_fadvise") and self._closing.alive:  # reading says that it was closed
            size = count * self._row
            os.posix_fadvise(self._handle, self._offset + row * self._row, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Let the file go."""
        self._closing()

    def _fill_at_once(self, offset: int, target: np.ndarray) -> bool:
        """Read what is in memory; False if it is not all there, or the system cannot tell."""
        if not target.size or not self._closing.alive or not hasattr(os, "RWF_NOWAIT"):
            return not target.size
        try:
            return os.preadv(self._handle, [target.data], offset, os.RWF_NOWAIT) == target.nbytes
        except OSError:  # not in memory, or a file system that cannot tell
            return False

    def _fill(self, offset: int, target: np.ndarray) -> None:
        if not target.size:
            return
        if not self._closing.alive:
            raise ValueError(f"{self.path.parent} was closed; open the regions again.")
        if hasattr(os, "preadv"):
            done = os.preadv(self._handle, [target.data], offset)
            if done == target.nbytes:
                return
        else:  # Windows
            done = 0
        rest = target.reshape(-1).view(np.uint8).data[done:]
        offset += done
        while len(rest):
            piece = self._piece(len(rest), offset)
            if not piece:
                raise OSError(f"{self.path} has become shorter since it was opened; it ends at byte {offset:,}.")
            rest[: len(piece)] = piece
            rest, offset = rest[len(piece) :], offset + len(piece)

    def _piece(self, size: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, size, offset)
        with self._lock:
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.read(self._handle, size)


def widen(stored: np.ndarray, target: np.ndarray) -> None:
    """Write finite float16 numbers into a float32 array, exactly; NumPy's own way takes twenty times as long.

    Moved up by 13 bits, a float16 number is a float32 number with an exponent that is too small by 112.
    """
    bits = target.view(np.int32)
    bits[...] = stored.view(np.int16)  # the sign comes into the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _FLOAT16_BITS, out=bits)
    np.multiply(target, _FLOAT16_STEP, out=target)


_FLOAT16_BITS = np.int32(-0x70002000)  # 0x8FFFE000: the sign, and where the other 15 bits lie then
_FLOAT16_STEP = np.float32(2.0**112)


def stored_in(path: Path) -> Any:
    """Format, shape and place of the array in a file.

    Raises:
        ValueError: there is no such file, or no array in it.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} is not whole: it has no {path.name}. Import the regions again.")
    return stored_array(path)


def check_announced(
    path: Path, dtype: np.dtype, shape: tuple[int, ...], wanted_dtype: np.dtype, wanted: tuple[int, ...]
) -> None:
    """Refuse an array that is not what the index announces.

    Raises:
        ValueError: naming the file.
    """
    if dtype != wanted_dtype or shape != wanted:
        raise ValueError(
            f"{path} must hold {wanted_dtype} {list(wanted)}, as {INDEX} announces; it holds {dtype} {list(shape)}."
        )
