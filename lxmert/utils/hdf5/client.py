"""Asks a process with limits what an HDF5 file holds; see `limited_process`."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.limited_processes import TOO_LATE, Record, TooExpensiveError, python_command, told

# Otherwise a process is started for every file.
USE_FORKS = hasattr(socket, "send_fds") and hasattr(os, "fork")
# What a file of a few kilobytes may take; larger ones may take more, in proportion to their size.
_MEMORY, _SECONDS, _PATIENCE = 160 * 2**20, 0.5, 60.0
_START = 60.0  # seconds until the process that forks must have taken a file
_MOST_MEMORY = 4 * 2**30
_MOST_TOLD = 16 * 2**20
_PROCESS = "lxmert.utils.hdf5.limited_process"


def records(
    file: FileBytes, request: dict[str, Any] | None = None, most: int | None = None, trusted: bool = False
) -> Generator[Record, None, None]:
    """What h5py finds in an HDF5 file, record by record. Until the last is taken, other threads wait with their files.

    Args:
        file: the HDF5 file.
        request: "array" and "rows", for their values; else its structure is told: of all of it, or of what is "inside",
            as `description.describe` takes it.
        most: bytes that may be told; by default in proportion to the file.
        trusted: whether to open it in this process, which a hostile file can end, instead of one with limits.

    Raises:
        InvalidFileError: damage, or more memory or time than a file of this size needs.
        OSError: no process can be started.
    """
    asked = {"start": file.start, "size": file.size, **(request or {})}
    if trusted:
        yield from _found_here(file, asked)
        return
    seconds = _SECONDS + file.stored / 2**21
    looks = request is not None and "inside" in request
    if looks:  # again and again, each time perhaps at the same
        seconds -= file.seconds
        if seconds <= 0:
            raise TooExpensiveError(
                f"{file.path} is a damaged HDF5 file: reading it takes longer than a file of its size needs."
            )
    asked |= {
        "memory": min(_MEMORY + file.stored // 2 + 3 * (most or 0), _MOST_MEMORY),
        "seconds": seconds,
        "patience": _PATIENCE + file.stored / 2**20,
    }
    most = most or _MOST_TOLD + 4 * file.stored
    with _server.asked(file, asked) if USE_FORKS else _once(file, asked) as (answer, status):
        took = yield from told(answer, file.path, "HDF5 file", status, most)
    file.seconds += took if looks else 0


def _found_here(file: FileBytes, asked: dict[str, Any]) -> list[Record]:
    from .description import fulfil

    found: list[Record] = []
    with reading(file.path, "is not a complete HDF5 file"):
        fulfil(asked, file.handle, lambda record, content=b"": found.append((record, content)))
    return found


def _environment() -> dict[str, str]:
    # No threads, whose memory would count; no locks of files that others write; no plugins, which are code.
    return {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "HDF5_PLUGIN_PRELOAD": "::",
    }


@contextlib.contextmanager
def _once(file: FileBytes, asked: dict[str, Any]) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Start a process for one file, and yield its answer and a function that returns how it ended."""
    late = threading.Event()
    with subprocess.Popen(
        python_command(_PROCESS, "once", json.dumps(asked)),
        stdin=file.handle,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as process:
        assert process.stdout is not None

        def end() -> None:
            late.set()
            process.kill()

        def status() -> int:
            return TOO_LATE if process.wait() and late.is_set() else process.returncode

        timer = threading.Timer(asked["patience"], end)
        timer.start()
        try:
            yield process.stdout, status  # type: ignore[misc]
        finally:
            timer.cancel()
            process.kill()


class _Server:
    """The process that forks for every file; it is started when it is first needed, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._busy = False

    @contextlib.contextmanager
    def asked(self, file: FileBytes, asked: dict[str, Any]) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
        """The same as `_once`."""
        with self._lock:
            if self._busy:  # an interruption: the reply to that question would be taken for the one to this
                self.stop()
            self._busy = True
            with self._answer(file, asked) as answer:
                ended: list[int] = []

                def status() -> int:
                    if not ended:
                        answer.close()  # a process that still tells ends by that
                        ended.append(self._status())
                        self._busy = False
                    return ended[0]

                try:
                    yield answer, status
                except (InvalidFileError, GeneratorExit):
                    status()
                    raise
                status()

    def _answer(self, file: FileBytes, asked: dict[str, Any]) -> BinaryIO:
        """Send a question, and return the pipe that the answer comes through.

        The server makes the pipe: if this process held its other end, one that another thread forks would have it too,
        and the answer would never end.
        """
        request = json.dumps(asked).encode() + b"\n"
        for _ in range(2):
            try:
                server = self._socket or self._start()
            except OSError as error:
                if error.errno is not None and error.filename is None:  # too many open files or processes
                    error.filename = str(file.path)
                raise
            try:
                server.settimeout(_START)  # what runs may be no Python
                socket.send_fds(server, [request], [file.handle])
                said, handles, _, _ = socket.recv_fds(server, 1, 1)
                server.settimeout(None)
            except (ConnectionError, TimeoutError):
                said, handles = b"", []
            if handles:
                return os.fdopen(handles[0], "rb")
            self.stop()  # it had nothing to do for a while, and has ended
            if said:
                raise OSError(errno.EMFILE, "no file can be opened beside those that are open", str(file.path))
        raise OSError(
            f"the process that opens HDF5 files ends before it has opened {file.path}. It runs {sys.executable}, which "
            "must be a Python interpreter: set sys.executable if it is not, otherwise try again."
        )

    def _status(self) -> int:
        """How the process for the last file has ended."""
        assert self._socket is not None
        try:
            found = self._socket.recv(4)
        except ConnectionError:
            found = b""
        return int.from_bytes(found, "little", signed=True) if found else -signal.SIGKILL

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    python_command(_PROCESS, "serve"),
                    stdin=theirs.fileno(),  # its own number could be 1 or 2, if the program closed these
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # an interruption by the keyboard is for the program alone
                )
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        return ours

    def stop(self) -> None:
        """End the process, and the one that it has forked."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its session is a group of its own
            self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Leave the process to the program that this one was forked from."""
        if self._process is not None and self._process.returncode is None:
            self._process.returncode = 0  # it is not waited for here
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None
        self._busy = False


_server = _Server()


def _start_anew() -> None:
    global _server
    _server.forget()
    _server = _Server()  # with a lock that no thread of the parent holds


atexit.register(lambda: _server.stop())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
