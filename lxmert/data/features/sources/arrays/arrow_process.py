"""The process that reads Arrow and Parquet files of others, with limits: pyarrow follows what a file says unchecked.

It takes requests as lines of JSON, and answers with records: the columns, or the schema and checked batches of rows as
Arrow writes them.
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow
import pyarrow.parquet

from lxmert.utils.limited_processes import Tell, answer, limit

ROWS = 16  # of a batch that is told
LARGEST_BATCH = 512 * 2**20  # bytes
_FORGET = 32 * 2**20  # bytes of a mapped file after which its pages are given back


def main() -> None:
    """Answer requests until there are no more."""
    asked = json.loads(sys.argv[2])
    limit(asked["memory"], asked["seconds"], asked["patience"], files=16, threads=True)
    for line in sys.stdin.buffer:
        answer(sys.stdout.buffer, partial(_work, json.loads(line)))


def _work(request: dict[str, Any], tell: Tell) -> None:
    table = ParquetTable(request["path"]) if request["parquet"] else ArrowTable(request["path"])
    if "columns" not in request:
        tell({"kind": "table", "columns": table.columns, "rows": table.rows})
        return
    columns, told = request["columns"], False
    for batch in table.batches(columns, request["start"]):
        part = pyarrow.RecordBatch.from_arrays([_plain(batch.column(name)) for name in columns], columns)
        if part.nbytes > LARGEST_BATCH:
            raise ValueError(f"{part.num_rows} of its rows have {part.nbytes:,} bytes")
        if not told:
            tell({"kind": "schema"}, part.schema.serialize())
            told = True
        tell({"kind": "rows"}, part.serialize())


def _plain(column: pyarrow.Array) -> pyarrow.Array:
    column = getattr(column, "storage", column)  # of an array with a shape, as the library `datasets` writes them
    column.validate(full=True)
    return column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column


class ArrowTable:
    """An Arrow file or stream, mapped into memory; pages that were read are given back."""

    def __init__(self, path: str):
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        opened = self._open()
        self.columns = opened.schema.names
        self.rows = sum(batch.num_rows for batch in _batches(opened))

    def batches(self, columns: list[str], start: int) -> Iterator[pyarrow.RecordBatch]:
        """The rows from one on."""
        number = read = 0
        for batch in _batches(self._open()):
            skipped = min(max(0, start - number), batch.num_rows)
            number += batch.num_rows
            for first in range(skipped, batch.num_rows, ROWS):
                part = batch.slice(first, ROWS)
                yield part
                read += batch.nbytes * part.num_rows // batch.num_rows
                if read >= _FORGET and hasattr(mmap, "MADV_DONTNEED"):
                    self._map.madvise(mmap.MADV_DONTNEED)
                    read = 0

    def _open(self) -> Any:
        reader = pyarrow.BufferReader(pyarrow.py_buffer(self._map))
        opener = pyarrow.ipc.open_file if self._map[:6] == b"ARROW1" else pyarrow.ipc.open_stream
        return opener(reader, options=pyarrow.ipc.IpcReadOptions(use_threads=False))


def _batches(opened: Any) -> Iterator[pyarrow.RecordBatch]:
    if hasattr(opened, "num_record_batches"):
        for number in range(opened.num_record_batches):
            yield opened.get_batch(number)
    else:
        yield from opened


class ParquetTable:
    """A Parquet file, decoded page by page."""

    def __init__(self, path: str):
        self._file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
        self.columns = self._file.schema_arrow.names
        self._groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self.rows = sum(self._groups)

    def batches(self, columns: list[str], start: int) -> Iterator[pyarrow.RecordBatch]:
        """The rows from one on."""
        number = 0
        for group, count in enumerate(self._groups):
            if number + count <= start:
                number += count
                continue
            for batch in self._file.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False):
                skipped = min(max(0, start - number), batch.num_rows)
                number += batch.num_rows
                if skipped < batch.num_rows:
                    yield batch.slice(skipped)
