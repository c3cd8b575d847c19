"""Settings of glibc's allocator: keep freed memory."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = (2**30, 2**25)  # older versions of glibc refuse more than the second
# Settings of the user, which are respected.
_USER_SETTINGS = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "glibc.malloc.trim_threshold",
    "glibc.malloc.mmap_threshold",
)


def keep_memory() -> bool:
    """Make the process keep the memory that it frees.

    glibc returns large blocks to the system, which later clears every page again: a training
    step of the base model on a CPU spends a sixth of its time on it. The commands that train and predict begin with
    this call; a training loop of your own, Keras' `fit` and bulk answering gain where you call it first. What the
    process has taken at its peak stays with it from then on; a variable of glibc's that says otherwise
    (MALLOC_TRIM_THRESHOLD_=131072, which is glibc's own value) is left as it is.

    Returns:
        Whether it does; not if the environment decides, or the allocator is not glibc's.
    """
    given = [*os.environ, os.environ.get("GLIBC_TUNABLES", "")]
    if not sys.platform.startswith("linux") or any(name in text for name in _USER_SETTINGS for text in given):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # 0 if a value is refused. Setting only one threshold would fix the other one at its current value.
    return any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
