"""Which device of a machine is that of this process."""

from __future__ import annotations

import os


def own_gpu(count: int) -> int:
    """The GPU of this process, of the processes that torchrun starts on a machine; the first one without it."""
    return int(os.environ.get("LOCAL_RANK", "0")) % count
