"""Time and memory of what runs in turns."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def in_turns(jobs: dict[str, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[str, float]:
    """The median seconds of each job."""
    for job in jobs.values():
        for _ in range(warm):
            job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    order = random.Random(0)
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name in order.sample(list(jobs), len(jobs)):
            start = time.perf_counter()
            jobs[name]()
            taken[name].append(time.perf_counter() - start)
    gc.enable()
    return {name: statistics.median(times) for name, times in taken.items()}


def memory(kind: str) -> float:
    """Megabytes of this process, as Linux tells them: "VmRSS" now, "VmHWM" at the peak."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind)]
    return int(line.split()[1]) / 1024


def peak(job: Callable[[], Any]) -> float:
    """Megabytes that a job takes at its peak beyond what was there."""
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    job()
    return memory("VmHWM") - before
