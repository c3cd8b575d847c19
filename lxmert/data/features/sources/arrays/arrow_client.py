"""Asks a process with limits for the rows of Arrow and Parquet files; see `arrow_process`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.limited_processes import python_command
from lxmert.utils.messages import escaped

if TYPE_CHECKING:
    import pyarrow

_PROCESS = "lxmert.data.features.sources.arrays.arrow_process"
# What files of a few kilobytes may take, and how much more larger ones may.
_MEMORY, _SECONDS, _PATIENCE = 192 * 2**20, 0.5, 3600.0
_LARGEST_FRAME = 600 * 2**20


class Table(NamedTuple):
    """A file: its columns and the number of its rows."""

    path: Path
    columns: list[str]
    rows: int


class ArrowProcess:
    """The process that reads the files of one source; it is started when it is needed.

    Args:
        size: the bytes of all files.
    """

    def __init__(self, size: int):
        self._process: subprocess.Popen[bytes] | None = None
        self._limits = {
            # Files are mapped; a Parquet file unpacks some rows at a time.
            "memory": _MEMORY + 2 * size,
            "seconds": _SECONDS + size / 2**22,
            "patience": _PATIENCE + size / 2**18,
        }

    def look(self, path: Path) -> Table:
        """What is in a file.

        Raises:
            InvalidFileError: no Arrow or Parquet file, or a damaged one.
        """
        for _, content in self._ask(path, {}):
            with reading(path):
                return Table(path, **json.loads(content))
        raise AssertionError

    def read(self, table: Table, columns: list[str], start: int) -> Iterator[dict[str, pyarrow.Array]]:
        """The rows of a file from one on: arrays of one value by column.

        Raises:
            InvalidFileError: damage.
        """
        import pyarrow

        schema = None
        for kind, content in self._ask(table.path, {"columns": columns, "start": start}):
            with reading(table.path):
                if kind == "s":
                    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(content))
                    continue
                batch = pyarrow.ipc.read_record_batch(pyarrow.py_buffer(content), schema)
            for row in range(batch.num_rows):
                yield {name: batch.column(name).slice(row, 1) for name in columns}

    def _ask(self, path: Path, request: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        """The frames of an answer; the process is ended if not all of them are taken."""
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        process, done = self._running(), False
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = json.dumps({"path": os.path.abspath(path), "parquet": parquet, **request}) + "\n"
            process.stdin.write(line.encode())
            process.stdin.flush()
            while True:
                head = process.stdout.read(9)
                size, kind = int.from_bytes(head[:8], "little"), head[8:].decode("latin-1")
                content = process.stdout.read(size) if size <= _LARGEST_FRAME else b""
                if not kind or len(content) < size:
                    raise InvalidFileError(f"{path} is damaged: {self._how_it_ended()}.")
                done = kind in "dfe"
                if kind == "d":
                    said = escaped(content.decode("utf-8", "replace"))
                    raise InvalidFileError(f"{path} is not an Arrow or Parquet file, or damaged: {said}")
                if kind == "e":
                    return
                yield kind, content
                if done:
                    return
        finally:
            if not done:
                self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                python_command(_PROCESS, json.dumps(self._limits)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # No threads, and memory that is given back, as both would count.
                env={**os.environ, "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
                start_new_session=True,  # an interruption by the keyboard is for the program alone
            )
        return self._process

    def _how_it_ended(self) -> str:
        assert self._process is not None
        status = self._process.wait()
        late = (-getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGALRM", 0))
        if status == 1 or status in late:
            what = "time" if status in late else "memory"
            return f"reading it takes more {what} than a file of its size needs"
        return f"the library ends the process that reads it (status {status})"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
