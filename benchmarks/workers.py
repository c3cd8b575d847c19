"""Processes that run one job each time they are asked to, so that versions of a package can take turns."""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from clock import in_turns, memory

_PAUSE = 0.02  # seconds between turns, in which the threads of the last process go to sleep


class WorkerError(RuntimeError):
    """A worker that ended; the message is the end of what it wrote to standard error."""


class Measured(NamedTuple):
    """What a worker found.

    Attributes:
        value: the median of its figures: seconds, or what its job measures.
        peak: the most megabytes that its process has had.
    """

    value: float
    peak: float


class Worker:
    """A process that calls `serve`: calling this object runs its job once.

    Args:
        command: of the process.
        environment: variables that it has beside those of this process.

    Raises:
        WorkerError: the process ended; also from a call.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | (environment or {}),
        )
        self._wait()

    def __call__(self) -> dict[str, Any]:
        """Run the job once; returns what the process says of it."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it ended, which the next line tells
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self._wait()

    def _wait(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while not (line := self.process.stdout.readline()).startswith("ready "):
            if not line:
                status = self.process.wait()
                self._errors.seek(0)
                raise WorkerError(f"a worker ended with status {status}: {self._errors.read()[-2000:]}")
        return json.loads(line.removeprefix("ready "))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


def time_workers(workers: Mapping[str, Worker], rounds: int) -> dict[str, float]:
    """The median seconds of each worker's job, in turns; ends the workers."""
    times = in_turns(dict(workers), rounds)
    for worker in workers.values():
        worker.close()
    return times


def measure_workers(workers: Mapping[str, Worker], rounds: int) -> dict[str, Measured]:
    """What each worker measures, in turns whose order is drawn anew for each round; ends the workers.

    One that fails is left out, with a message on standard error.
    """
    found: dict[str, list[float]] = {name: [] for name in workers}
    peaks = dict.fromkeys(workers, 0.0)
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(found), len(found)):
            time.sleep(_PAUSE)
            try:
                report = workers[name]()
            except WorkerError as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                del found[name]
                continue
            found[name] += report["values"]
            peaks[name] = max(peaks[name], report["peak"])
    for worker in workers.values():
        worker.close()
    return {name: Measured(statistics.median(values), peaks[name]) for name, values in found.items()}


def process_peak() -> float:
    """The most megabytes that this process has had."""
    return memory("VmHWM")


def timed(job: Callable[[], Any], calls: int = 1) -> Callable[[], list[float]]:
    """What measures the seconds of so many calls of a job."""

    def measure() -> list[float]:
        values = []
        gc.collect()
        gc.disable()
        for _ in range(calls):
            start = time.perf_counter()
            job()
            values.append(time.perf_counter() - start)
        gc.enable()
        return values

    return measure


def serve(job: Callable[[], Any], measure: Callable[[], list[float]] | None = None, peak: Any = process_peak) -> None:
    """Run a job once, and measure it for every line that is read from standard input.

    Args:
        job: what is measured; it runs once before the first line, so that what only a first run does is done.
        measure: returns the figures of a turn: by default the seconds of one call.
        peak: returns megabytes; by default those of this process.
    """
    measure = measure or timed(job)
    job()
    print("ready {}", flush=True)
    while sys.stdin.readline():
        print("ready " + json.dumps({"values": measure(), "peak": peak()}), flush=True)
