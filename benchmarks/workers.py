"""Processes that run one job each time they are asked to, so that versions of a package can take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clock import in_turns


class Worker:
    """A process that calls `serve`: calling this object runs its job once.

    Args:
        command: of the process.
        environment: variables that it has beside those of this process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | (environment or {}),
        )
        self._wait()

    def __call__(self) -> None:
        """Run the job once."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._wait()

    def _wait(self) -> None:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) != "ready\n":
            if not line:
                raise SystemExit(f"a worker ended with status {self.process.wait()}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def time_workers(workers: Mapping[str, Worker], rounds: int) -> dict[str, float]:
    """The median seconds of each worker's job, in turns; ends the workers."""
    times = in_turns(dict(workers), rounds)
    for worker in workers.values():
        worker.close()
    return times


def serve(job: Callable[[], Any]) -> None:
    """Run a job once, and again for every line that is read from standard input."""
    job()
    while True:
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        job()
