"""The process that opens HDF5 files of others, with limits on its memory, time and files.

Where the system can fork, one process imports h5py and then forks for every file; it ends with the process that started
it, or when it has had nothing to do for a while. Elsewhere it is started for every file.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from functools import partial
from typing import Any, BinaryIO

from lxmert.utils.hdf5.description import describe, read_rows

try:
    import resource
except ImportError:  # Windows: only the time is limited there, by the process that waits
    resource = None  # type: ignore[assignment]

OUT_OF_MEMORY = 9  # exit status
_IDLE = 60.0  # seconds without a file after which the process ends


def main() -> None:
    """Work for the process that started this one: for one file at standard input, or as a server at a socket."""
    if sys.argv[2] == "serve":
        _serve(socket.socket(fileno=int(sys.argv[3])))
    else:
        _work(json.loads(sys.argv[3]), sys.stdin.fileno(), sys.stdout.buffer)


def _serve(requests: socket.socket) -> None:
    requests.settimeout(_IDLE)
    while True:
        try:
            # With each request come the file to read and the pipe to answer into.
            request, handles, _, _ = socket.recv_fds(requests, 2**16, 2)
            while request and not request.endswith(b"\n"):
                request += requests.recv(2**16)
        except (TimeoutError, ConnectionError):
            return
        if not request:
            return
        file, answer = handles
        child = os.fork()
        if not child:
            requests.close()
            with os.fdopen(answer, "wb") as out:
                _work(json.loads(request), file, out)
            os._exit(0)
        os.close(file)
        os.close(answer)
        _, status = os.waitpid(child, 0)
        requests.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))


def _work(request: dict[str, Any], file: int, out: BinaryIO) -> None:
    """Do what is asked within the limits of the request, and tell the result."""
    limit(request["memory"], request["seconds"], request["patience"])
    tell = partial(_tell, out)
    try:
        if "array" in request:
            read_rows(file, request["start"], request["size"], request["array"], request["rows"], tell)
        else:
            describe(file, request["start"], request["size"], tell, request.get("inside"))
        tell({"kind": "end"})
        out.flush()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BrokenPipeError:  # enough was told
        os._exit(0)
    except Exception as error:  # whatever the library raises for damage
        tell({"kind": "damaged", "problem": (str(error) or type(error).__name__)[:1000]})
        out.flush()


def limit(memory: int, seconds: float, patience: float) -> None:
    """Limit this process: `memory` bytes beside what it has, CPU time, and time; the system ends it beyond these."""
    if resource is None:
        return
    with contextlib.suppress(OSError, ValueError):  # a limit that is lower already
        with open("/proc/self/statm", "rb") as pages:  # of Linux; macOS does not limit memory
            memory += int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    # HDF5 hangs in loops of its own, where no Python handler would run: the default is to end the process.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, patience)


def _tell(out: BinaryIO, record: dict[str, Any], content: bytes = b"") -> None:
    """Write a record: its length and that of the bytes with it, its JSON, and the bytes."""
    text = json.dumps(record).encode()
    out.write(len(text).to_bytes(8, "little") + len(content).to_bytes(8, "little"))
    out.write(text)
    out.write(content)


if __name__ == "__main__":
    main()
