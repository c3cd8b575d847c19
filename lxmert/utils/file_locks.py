"""Locks on open files and folders, which the system releases when the process ends, however it ends."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .messages import escaped
from .write_errors import naming

try:
    import fcntl
except ImportError:  # Windows has no such locks: two writers of one file do not notice each other there
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None


def lock(handle: int, wait: bool = False) -> bool:
    """Lock an open file or folder until the handle is closed.

    Args:
        handle: the file descriptor.
        wait: whether to wait for a process that holds the lock.

    Returns:
        Whether it is locked now. False where the system or the file system has no locks.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return False
    return True


@contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file during a block, and remove it at the end; after a killed process its lock is free.

    Without locks in the system or the file system, nothing is held.

    Args:
        path: of the lock file.
        what: what is in use while it is held, for messages.

    Raises:
        BlockingIOError: another process holds it; the message names the process.
        FileExistsError: a link, or something else that is no file, is in its place.
        OSError: it cannot be written.
    """
    handle = _locked_file(path, what) if HAS_LOCKS else None
    if handle is None:
        yield
        return
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked_file(path: Path, what: str) -> int | None:
    """Open and lock a file that says which process this is; None where the file system has no locks."""
    while True:
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise FileExistsError(
                f"{path} is a link, or no file, which this package does not make. It would be locked while {what} is "
                "in use. Look into it, and remove it."
            )
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            locked = lock(handle)
            # The holder before may have removed the file between the two steps.
            if locked and not _is_file_at(handle, path):
                os.close(handle)
                continue
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip()
            os.close(handle)
            by = f" ({escaped(holder)})" if holder else ""
            raise BlockingIOError(f"{what} is in use by another process{by}. Wait for it, or stop it.") from None
        except BaseException:
            os.close(handle)
            raise
        if not locked:
            os.close(handle)
            path.unlink(missing_ok=True)
            return None
        try:
            with naming(path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(handle)
            raise
        return handle


def _is_file_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(handle), os.stat(path))
    except FileNotFoundError:
        return False


_held: set[int] = set()


def _let_go() -> None:
    """Close the locks of the parent in a forked process: what the parent leaves behind does not hold them."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
