"""Locks on open files and folders, which the system releases when the process ends, however it ends."""

from __future__ import annotations

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
