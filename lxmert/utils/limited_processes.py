"""Processes of our own in which libraries read files of others, with limits on memory, time and files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

try:
    import resource
except ImportError:  # Windows: only the time is limited there, by the process that waits
    resource = None  # type: ignore[assignment]


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that starts a process, which calls `main` of a module of this package.

    Raises:
        OSError: the interpreter is not known.
    """
    if not sys.executable or getattr(sys, "frozen", False):  # a frozen program is no interpreter
        raise OSError(
            "such files are opened in a process of its own, and this program does not know its Python interpreter: "
            "set sys.executable, or pass trusted=True for HDF5 files of weights that you made."
        )
    program = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    paths = [os.path.abspath(path) for path in sys.path]
    return [sys.executable, "-I", "-c", program, json.dumps(paths), *arguments]


def limit(memory: int, seconds: float, patience: float, files: int = 0, threads: bool = False) -> None:
    """Limit this process: `memory` bytes beside what it has, CPU time, and time; the system ends it beyond these.

    It writes no files, opens those whose numbers are below `files`, starts no processes, and threads only if it may.
    """
    if resource is None:
        return
    with contextlib.suppress(OSError, ValueError):  # a limit that is lower already
        with open("/proc/self/statm", "rb") as pages:  # of Linux; macOS does not limit memory
            memory += int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    most = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: files}
    if not threads:
        most[resource.RLIMIT_NPROC] = 0
    for kind, number in most.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (number, number))
    # Libraries hang in loops of their own, where no Python handler would run: the default is to end the process.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the program may have held them back
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, patience)
