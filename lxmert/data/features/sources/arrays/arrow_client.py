"""Asks a process with limits for the rows of Arrow and Parquet files; see `arrow_process`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lxmert.utils.foreign_files import first_bytes, reading
from lxmert.utils.limited_processes import Record, python_command, told

if TYPE_CHECKING:
    import pyarrow

_PROCESS = "lxmert.data.features.sources.arrays.arrow_process"
# What files of a few kilobytes may take, and how much more larger ones may.
_MEMORY, _SECONDS, _PATIENCE = 192 * 2**20, 0.5, 3600.0
_LARGEST_RECORD = 600 * 2**20


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
        [(found, _)] = self._ask(path, {})
        with reading(path):
            return Table(path, found["columns"], found["rows"])

    def read(self, table: Table, columns: list[str], start: int) -> Iterator[dict[str, pyarrow.Array]]:
        """The rows of a file from one on: arrays of one value by column.

        Raises:
            InvalidFileError: damage.
        """
        import pyarrow

        schema = None
        for values, content in self._ask(table.path, {"columns": columns, "start": start}):
            with reading(table.path):
                if values["kind"] == "schema":
                    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(content))
                    continue
                batch = pyarrow.ipc.read_record_batch(pyarrow.py_buffer(content), schema)
            for row in range(batch.num_rows):
                yield {name: batch.column(name).slice(row, 1) for name in columns}

    def _ask(self, path: Path, request: dict[str, Any]) -> Iterator[Record]:
        """The records of an answer; the process is ended if not all of them are taken."""
        parquet = first_bytes(path, 4) == b"PAR1"
        process, done = self._running(), False
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = json.dumps({"path": os.path.abspath(path), "parquet": parquet, **request}) + "\n"
            process.stdin.write(line.encode())
            process.stdin.flush()
            yield from told(process.stdout, path, "Arrow or Parquet file", process.wait, _LARGEST_RECORD, in_all=False)  # type: ignore[arg-type]
            done = True
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

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
