"""Memory of the process that is used again, in place of being given back and asked for."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 2**30


def keep_memory() -> bool:
    """Have the process keep the memory that it frees.

    glibc gives large blocks back to the system, which then hands them out again page by page, each cleared: a training
    step of the base model spends a tenth of its time on it. A command of ours does this at its start; in a program of
    yours it is yours to call, because all of the program's memory is kept then.

    Returns:
        Whether it is so now; other libraries than glibc have no such choice.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, 2**31 - 1)]  # 0 where the value is refused
    return all(done)
