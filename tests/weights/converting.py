"""A process that converts on request, each time in a fork of itself that may be killed, starved or stopped.

Run as a script it is the server; `Conversions` is its client. The server has one thread, so that forking it is safe,
and has imported everything, so that a fork begins at once.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Conversions:
    """Conversions in processes of their own."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.weights.converting"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
        """Run jobs at the same time, each in a process.

        Each has `source`, `target` and `options` of `convert`, and may have `step` and `signal` (sent to itself before
        the step of that number in the target's folder), `after` (seconds until it is killed), `largest` (bytes of the
        largest file that it may write), `young` (see `_MIN_AGE`) and `user` (a number of one without rights).

        Returns:
            For each `status` (negative for a signal), `error` (its class and text, or None) and `seconds`.
        """
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(jobs) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


def _job(job: dict[str, Any], report: int) -> None:
    from lxmert.utils import temporary_files
    from lxmert.weights.convert import convert

    target = Path(job["target"])
    steps = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        # Renaming, making and removing files and folders, and opening them.
        if event.startswith(("os.", "open", "tempfile.")) and str(target.parent) in str(arguments[:2]):
            if steps == job["step"]:
                signal.raise_signal(job.get("signal", signal.SIGKILL))
            steps += 1

    temporary_files._MIN_AGE = job.get("young", temporary_files._MIN_AGE)
    if "largest" in job:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    if "user" in job:
        # What is imported on the way has to be imported before: the other user may not reach this clone.
        with tempfile.TemporaryDirectory() as rehearsal:
            convert(job["source"], Path(rehearsal) / target.name, **job.get("options", {}))
        os.chdir("/")
        os.setuid(job["user"])
    if "step" in job:
        sys.addaudithook(count)
    if "after" in job:
        signal.setitimer(signal.ITIMER_REAL, job["after"])
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process wherever it is
    try:
        convert(job["source"], target, **job.get("options", {}))
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os._exit(0)


def _serve() -> None:
    import h5py  # noqa: F401
    import torch  # noqa: F401

    import lxmert.weights.convert  # noqa: F401

    for line in sys.stdin:
        started = []
        for job in json.loads(line):
            read, write = os.pipe()
            process = os.fork()
            if not process:
                os.close(read)
                _job(job, write)
            os.close(write)
            started.append((process, read))
        told = []
        for process, read in started:
            with open(read, encoding="utf-8") as file:
                error = file.read()
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            told.append({"status": status, "error": error or None})
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _serve()
