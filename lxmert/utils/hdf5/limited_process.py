"""The process that opens HDF5 files of others, with limits on its memory, time and files.

Where the system can fork, one process imports h5py and then forks for every file; it ends with the process that started
it, or when it has had nothing to do for a while. Elsewhere it is started for every file.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
from functools import partial
from typing import Any, BinaryIO, NoReturn

import h5py
import numpy as np

from lxmert.utils.hdf5.description import describe, fulfil, read_rows
from lxmert.utils.limited_processes import answer, limit

_IDLE = 60.0  # seconds without a file after which the process ends


def main() -> None:
    """Work for the process that started this one: standard input is one file, or a socket to serve."""
    _import_all()
    if sys.argv[2] == "serve":
        _serve(socket.socket(fileno=0))
    else:
        _work(json.loads(sys.argv[3]), 0, sys.stdout.buffer)


def _import_all() -> None:
    """Have a small file described: some modules are imported when they are first used, and then none can be opened."""
    made, values = io.BytesIO(), np.array([b"a"])
    with h5py.File(made, "w") as file:
        file.attrs.update({"text": "a", "texts": ["a"], "fixed": values, "number": 1.5, "list": [1], "flag": True})
        file.create_dataset("group/chunks", data=np.ones(2, "f2"), compression="gzip")
        file["fixed"], file["texts"], file["pairs"] = values, ["a"], np.zeros(1, "f4,i4")
    describe(made, lambda *_: None)
    read_rows(made, "group/chunks", (0, 1), lambda *_: None)


def _serve(requests: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if the program ignores it, so would this one
    requests.settimeout(_IDLE)
    with contextlib.suppress(OSError):  # nothing to do for a while, or the program has ended
        while request := _request(requests):
            text, file = request
            answered, into = os.pipe()
            child = os.fork()
            if not child:
                os.close(answered)
                _answer(requests, text, file, into)
            os.close(file)
            os.close(into)
            socket.send_fds(requests, [b"."], [answered])
            os.close(answered)
            _, status = os.waitpid(child, 0)
            requests.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))


def _request(requests: socket.socket) -> tuple[bytes, int] | None:
    """The next question, and the file that comes with it; None if there will be no more."""
    text, handles, _, _ = socket.recv_fds(requests, 2**16, 1)
    while text and not text.endswith(b"\n"):
        more = requests.recv(2**16)
        text = text + more if more else b""
    return (text, handles[0]) if text and handles else None


def _answer(requests: socket.socket, text: bytes, file: int, into: int) -> NoReturn:
    try:
        requests.close()
        _work(json.loads(text), file, os.fdopen(into, "wb"))
        os._exit(0)
    finally:
        os._exit(1)


def _work(request: dict[str, Any], file: int, out: BinaryIO) -> None:
    """Do what is asked within the limits of the request, and tell the result."""
    limit(request["memory"], request["seconds"], request["patience"])
    answer(out, partial(fulfil, request, file))
