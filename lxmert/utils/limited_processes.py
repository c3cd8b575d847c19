"""Processes of our own in which libraries read files of others, with limits on memory, time and files.

They answer in records: values of JSON, each perhaps with bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, BinaryIO

from .foreign_files import InvalidFileError, reading
from .messages import escaped

try:
    import resource
except ImportError:  # Windows: only the time is limited there, by the process that waits
    resource = None  # type: ignore[assignment]

Record = tuple[dict[str, Any], bytes]
Tell = Callable[..., None]  # takes the values of a record, and perhaps bytes
_PACKAGE = str(Path(__file__).absolute().parents[1])
TOO_LATE = -1000  # the status of a process that was ended by the one that waits
_OUT_OF_MEMORY = 9


class TooExpensiveError(InvalidFileError):
    """The process that reads a file reached a limit, or was ended by the library."""


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that starts a process, which calls `main` of a module of this package.

    Raises:
        OSError: the interpreter is not known.
    """
    interpreter = sys.executable or ""
    known = os.path.isfile(interpreter) or shutil.which(interpreter)
    if not known or getattr(sys, "frozen", False):  # a frozen program is no interpreter
        raise OSError(
            "such files are opened in a process of its own, and this program does not know its Python interpreter: "
            "set sys.executable, or pass trusted=True for HDF5 files of weights that you made."
        )
    program = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    # This package may have been imported from the working folder, which may be another one by now, or by a hook. Its
    # folder is first only where another one would be found: before the standard library it might hide a part of that.
    paths = [os.path.abspath(path) for path in sys.path if path]
    found = PathFinder.find_spec("lxmert", paths)
    if found is None or found.origin is None or not os.path.samefile(os.path.dirname(found.origin), _PACKAGE):
        paths.insert(0, os.path.dirname(_PACKAGE))
    return [interpreter, "-I", "-c", program, json.dumps(paths), *arguments]


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


def answer(out: BinaryIO, work: Callable[[Tell], None]) -> None:
    """Tell all that `work` tells, and how it ends: to `told` in the process that waits."""

    def tell(values: dict[str, Any], content: Any = b"") -> None:
        text = json.dumps(values).encode()
        out.write(len(text).to_bytes(8, "little") + len(content).to_bytes(8, "little"))
        out.write(text)
        out.write(content)

    with contextlib.suppress(BrokenPipeError):  # enough was told
        try:
            began = time.process_time()
            work(tell)
            tell({"kind": "end", "seconds": time.process_time() - began})
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever the library raises for damage
            tell({"kind": "damaged", "problem": (str(error) or type(error).__name__)[:1000]})
        out.flush()


def told(
    answer: BinaryIO, path: Path, what: str, status: Callable[[], int], most: int, in_all: bool = True
) -> Generator[Record, None, float]:
    """The records of an answer. The generator returns the seconds of CPU time that the process took for them.

    Args:
        answer: what the process writes.
        path: the file that it reads.
        what: the format of the file, such as "HDF5 file".
        status: returns the exit status of the process, once it has ended.
        most: bytes that it may tell, in all or in each record.
        in_all: which of these.

    Raises:
        InvalidFileError: the file is damaged, or takes more than a file of its size needs.
    """
    left = most
    while True:
        sizes = answer.read(16)
        length, more = int.from_bytes(sizes[:8], "little"), int.from_bytes(sizes[8:], "little")
        left = (left if in_all else most) - length - more
        if left < 0:
            raise InvalidFileError(f"{path} describes more than a file of its size holds; nothing was read.")
        text, content = answer.read(length), answer.read(more)
        if len(sizes) + len(text) + len(content) < 16 + length + more:
            raise TooExpensiveError(f"{path} is a damaged {what}: {_ended(status())}.")
        with reading(path, f"is a damaged {what}"):
            values = json.loads(text)
            kind, seconds = values["kind"], float(values.get("seconds", 0))
        if kind == "damaged":
            raise InvalidFileError(f"{path} is not a complete {what}: {escaped(values['problem'])}")
        if kind == "end":
            return seconds
        yield values, content


def _ended(status: int) -> str:
    if status in (_OUT_OF_MEMORY, -getattr(signal, "SIGABRT", 0)):
        return "reading it takes more memory than a file of its size needs"
    if status in (TOO_LATE, -getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGALRM", 0)):
        return "reading it takes longer than a file of its size needs"
    return f"the library ends the process that reads it (status {status})"
