"""Asks a process with limits what an HDF5 file holds; see `limited_process`."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import escaped

Record = tuple[dict[str, Any], bytes]

# Otherwise a process is started for every file.
USE_FORKS = hasattr(socket, "send_fds") and hasattr(os, "fork")
# What a file of a few kilobytes may take; larger ones may take more, in proportion to their size.
_MEMORY, _SECONDS, _PATIENCE = 160 * 2**20, 1.0, 60.0
_MOST_MEMORY = 4 * 2**30
_OUT_OF_MEMORY = 9  # as in `limited_process`, which imports h5py
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from lxmert.utils.hdf5.limited_process import main; main()"
)


def records(
    file: FileBytes, request: dict[str, Any] | None = None, most: int | None = None, trusted: bool = False
) -> Iterator[Record]:
    """What h5py finds in an HDF5 file, record by record; no other file may be asked for meanwhile.

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
    if trusted:
        yield from _found_here(file, request)
        return
    asked = {
        "start": file.start,
        "size": file.size,
        "memory": min(_MEMORY + file.size // 2 + 3 * (most or 0), _MOST_MEMORY),
        "seconds": _SECONDS + file.size / 2**22,
        "patience": _PATIENCE + file.size / 2**20,
        **(request or {}),
    }
    left = most or 64 * 2**20 + 4 * file.size
    with _server.asked(file, asked) if USE_FORKS else _once(file, asked) as (answer, status):
        while True:
            sizes = answer.read(16)
            length, more = int.from_bytes(sizes[:8], "little"), int.from_bytes(sizes[8:], "little")
            left -= length + more
            if left < 0:
                raise InvalidFileError(f"{file.path} describes more than a file of its size holds; nothing was read.")
            text, content = answer.read(length), answer.read(more)
            if len(sizes) + len(text) + len(content) < 16 + length + more:
                raise InvalidFileError(_ended_message(file.path, status()))
            with reading(file.path, "is a damaged HDF5 file"):
                record = json.loads(text)
            if record["kind"] == "damaged":
                raise InvalidFileError(f"{file.path} is not a complete HDF5 file: {escaped(record['problem'])}")
            if record["kind"] == "end":
                return
            yield record, content


def _found_here(file: FileBytes, request: dict[str, Any] | None) -> list[Record]:
    from .description import describe, read_rows

    found: list[Record] = []

    def tell(record: dict[str, Any], content: bytes = b"") -> None:
        found.append((record, content))

    with reading(file.path, "is not a complete HDF5 file"):
        request = request or {}
        if "array" in request:
            read_rows(file.handle, file.start, file.size, request["array"], request["rows"], tell)
        else:
            describe(file.handle, file.start, file.size, tell, request.get("inside"))
    return found


def _ended_message(path: Path, status: int) -> str:
    if status == _OUT_OF_MEMORY or status == -getattr(signal, "SIGABRT", 0):
        return f"{path} is a damaged HDF5 file: opening it takes more memory than a file of its size needs."
    if status in (-getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGALRM", 0)):
        return f"{path} is a damaged HDF5 file: opening it takes longer than a file of its size needs."
    return f"{path} is a damaged HDF5 file: the HDF5 library ends the process that opens it (status {status})."


def _command(*arguments: str) -> list[str]:
    if not sys.executable:
        raise OSError(
            "HDF5 files are opened in a process of its own, and this program does not know its Python interpreter: set "
            "sys.executable, or pass trusted=True for files that you made."
        )
    paths = [os.path.abspath(path) for path in sys.path]
    return [sys.executable, "-I", "-c", _PROGRAM, json.dumps(paths), *arguments]


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
    with subprocess.Popen(
        _command("once", json.dumps(asked)),
        stdin=file.handle,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        timer = threading.Timer(asked["patience"], process.kill)
        timer.start()
        try:
            yield process.stdout, process.wait  # type: ignore[misc]
        finally:
            timer.cancel()
            process.kill()


class _Server:
    """The process that forks for every file; it is started when it is first needed, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @contextlib.contextmanager
    def asked(self, file: FileBytes, asked: dict[str, Any]) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
        """The same as `_once`."""
        with self._lock:
            answer = self._send(file, asked)
            ended: list[int] = []

            def status() -> int:
                if not ended:
                    answer.close()  # a process that still tells ends by that
                    assert self._socket is not None
                    found = self._socket.recv(4)
                    ended.append(int.from_bytes(found, "little", signed=True) if found else -signal.SIGKILL)
                return ended[0]

            try:
                yield answer, status
            finally:
                try:
                    status()
                except BaseException:  # an interruption: its reply would be taken for that to the next question
                    self.stop()
                    raise

    def _send(self, file: FileBytes, asked: dict[str, Any]) -> BinaryIO:
        request = json.dumps(asked).encode() + b"\n"
        for attempt in (1, 2):
            if self._socket is None:
                self._start()
            assert self._socket is not None
            answer, into = os.pipe()
            try:
                socket.send_fds(self._socket, [request], [file.handle, into])
                return os.fdopen(answer, "rb")
            except OSError:
                os.close(answer)
                self.stop()  # it had nothing to do for a while, and has ended
                if attempt == 2:
                    raise
            finally:
                os.close(into)
        raise AssertionError

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    _command("serve", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # an interruption by the keyboard is for the program alone
                )
            except BaseException:
                ours.close()
                raise
        self._socket = ours

    def stop(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Leave the process to the program that this one was forked from."""
        self._process = None
        if self._socket is not None:
            self._socket.close()
        self._socket = None


_server = _Server()


def _start_anew() -> None:
    global _server
    _server.forget()
    _server = _Server()  # with a lock that no thread of the parent holds


atexit.register(lambda: _server.stop())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
