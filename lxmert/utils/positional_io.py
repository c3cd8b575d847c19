"""Reading and writing at a given place of an open file, which threads may do at the same time."""

from __future__ import annotations

import os
from threading import Lock

_POSITION = Lock()  # Windows has one position per file


def read_at(handle: int, buffer: memoryview, offset: int) -> int:
    """Fill a buffer with the bytes of a file from `offset` on.

    Args:
        handle: the file descriptor.
        buffer: contiguous and writable, such as `array.data`.
        offset: in the file.

    Returns:
        How many bytes were read: fewer than the buffer has only where the file ends.
    """
    rest = buffer.cast("B") if buffer.nbytes else memoryview(b"")
    done = 0
    while len(rest):
        if hasattr(os, "preadv"):
            count = os.preadv(handle, [rest], offset + done)
        else:
            with _POSITION:
                os.lseek(handle, offset + done, os.SEEK_SET)
                piece = os.read(handle, len(rest))
            count = len(piece)
            rest[:count] = piece
        if not count:
            break
        rest, done = rest[count:], done + count
    return done


def write_at(handle: int, content: bytes | memoryview, offset: int) -> int:
    """Write all bytes of a contiguous buffer into a file at `offset`, and return how many these are.

    Raises:
        OSError: the disk is full, say.
    """
    view = memoryview(content)
    rest = view.cast("B") if view.nbytes else memoryview(b"")
    done = 0
    while len(rest):
        if hasattr(os, "pwrite"):
            count = os.pwrite(handle, rest, offset + done)
        else:
            with _POSITION:
                os.lseek(handle, offset + done, os.SEEK_SET)
                count = os.write(handle, rest)
        rest, done = rest[count:], done + count
    return done
