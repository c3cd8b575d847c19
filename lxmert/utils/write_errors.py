"""Errors of writing that name the file: a full disk, a quota, a read-only file system, a missing permission."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .foreign_files import error_text

# What a write may raise without the name of the file: of a full or broken disk, a quota, a limit, no permission.
OF_WRITING = {
    getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM")
} - {None}


@contextmanager
def naming(path: str | Path, temporary: str | Path | None = None) -> Iterator[None]:
    """Name `path` in errors of the system about a write that name no file, or the temporary one.

    Args:
        path: what is written in the end.
        temporary: what is written first; a file below it is named below `path`.
    """
    try:
        yield
    except OSError as error:
        found, hidden = error.filename, None if temporary is None else str(temporary)
        if found is None and error.errno in OF_WRITING:
            found = str(path)
        elif hidden and isinstance(found, str) and (found == hidden or found.startswith(hidden + os.sep)):
            found = str(path) + found[len(hidden) :]
        if found == error.filename:
            raise
        raise type(error)(error.errno, error.strerror, found) from None


@contextmanager
def library_writes(path: str | Path) -> Iterator[None]:
    """Turn what a library says where it cannot write a file (h5py, PyTorch) into an error of the system that names it.

    Such libraries tell in words of their own, or not at all, why they failed; the next write tells.

    Raises:
        OSError: "No space left on device", for example; what the library said where the next write succeeds.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        number = getattr(error, "errno", None)
        if number is None:
            number = _reason(path)
        if number is None:
            raise OSError(f"{path} cannot be written: {error_text(error)}") from error
        raise OSError(number, os.strerror(number), getattr(error, "filename", None) or str(path)) from None


def _reason(path: str | Path) -> int | None:
    """Why nothing more can be written to a file; None if something can."""
    try:
        with open(path, "ab", buffering=0) as file:
            for _ in range(2):  # the first may still write a part
                file.write(bytes(2**16))
    except OSError as error:
        return error.errno
    return None
