"""Arrow and Parquet files, and folders of Hugging Face `datasets`, with a row per image.

The columns are those of `pictures.SPELLINGS`: img_id, roi_features, boxes or normalized_boxes, sizes, obj_ids, … A row
with a text in the column error has no regions, and is damaged for this reason. Files are read batch by batch; of
Parquet some rows at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, Entry, SourceOptions
from lxmert.data.features.sources.ids import id_text
from lxmert.data.features.sources.pictures import PictureReader, missing_parts, read_first, spelled
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import escaped, first_few
from lxmert.utils.optional_imports import import_extra

from .rows import MAX_IMAGE_BYTES

if TYPE_CHECKING:
    import pyarrow

_ERROR = "error"
_ROWS = 16  # of a Parquet file that are decoded at a time
_FORGET = 32 * 2**20  # bytes of a mapped file after which its pages are given back


class _Row(NamedTuple):
    """One row: its values, and the number of the next row in its file."""

    values: dict[str, Any]
    number: int


class ArrowFiles:
    """Arrow files (streams or files), Parquet files, or a folder of them; a `Source`.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: damaged files, or columns that are missing (all are named).
    """

    def __init__(self, path: Path, options: SourceOptions | None = None):
        import_extra("pyarrow", "datasets", f"{path} is in the format of Arrow. Reading it")
        self.path, self.rows_without_id = path, 0
        self._files = data_files(path)
        if not self._files:
            raise ValueError(f"{path} has no .arrow and .parquet files.")
        self._tables = [_open_table(file) for file in self._files]
        self._starts = list(accumulate((file.stat().st_size for file in self._files), initial=0))
        self.size = self._starts[-1]
        for table in self._tables:
            _check_columns(table)
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is a file, the number of its next row, and the id of the row before it."""
        file, row, last = (position["file"], position["row"], position["last"]) if position else (0, 0, None)
        if file >= len(self._tables) or (last is not None and row > self._tables[file].rows):
            raise self._changed(last)
        for number, table in enumerate(self._tables[file:], file):
            first = row if number == file else 0
            before = max(0, first - 1) if last is not None and number == file else first
            for found in table.read(before):
                name = _name_of(found.values)
                if found.number <= first:
                    if name != last:
                        raise self._changed(last)
                    continue
                after = {"file": number, "row": found.number, "last": name}
                size = self.consumed(after) - self.consumed({"file": number, "row": found.number - 1})
                where = f"{table.path}, row {found.number - 1}, image {escaped(name)!r}"
                yield Entry(where, size, after, partial(self._read, name, found.values))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`: the rows of a file count alike."""
        if not position:
            return 0
        start, end = self._starts[position["file"]], self._starts[position["file"] + 1]
        return start + (end - start) * position["row"] // max(1, self._tables[position["file"]].rows)

    def _read(self, name: str, values: dict[str, Any]) -> ImageRegions:
        error = values[_ERROR][0].as_py() if _ERROR in values else None
        if isinstance(error, str):
            raise DamagedImage(error)
        values = {key: value for key, value in values.items() if key != _ERROR}
        return self._reader.regions(name, {key: _array(key, value) for key, value in values.items()})

    def _changed(self, last: str | None) -> ValueError:
        return ValueError(
            f"{self.path} has changed since the import began: {last!r}, the last image that was read, is elsewhere. "
            "Pass it as it was, or start over (--restart)."
        )


def data_files(path: Path) -> list[Path]:
    """The files of a data set in order: as state.json of `save_to_disk` lists them; or all in the folder, sorted.

    Raises:
        ValueError: state.json names a file outside of its folder, or rows that are chosen by an index.
    """
    if not path.is_dir():
        return [path]
    if (path / "dataset_dict.json").is_file():
        splits = read_json(path / "dataset_dict.json").get("splits")
        names = [_plain_name(path / "dataset_dict.json", split) for split in splits or ()]
        return [file for name in names for file in data_files(path / name)]
    if not (path / "state.json").is_file():
        return sorted(file for file in path.iterdir() if file.suffix in (".arrow", ".parquet"))
    state = read_json(path / "state.json")
    if state.get("_indices_data_files"):
        raise ValueError(f"{path} selects rows by an index, which is not read: save dataset.flatten_indices() instead.")
    entries = state.get("_data_files")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path / 'state.json'} must list its data files.")
    return [path / _plain_name(path / "state.json", entry.get("filename")) for entry in entries]


def _plain_name(where: Path, name: Any) -> str:
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{where} must name files in its folder; it names {name!r:.60}.")
    return name


class _ArrowTable:
    """The rows of an Arrow file, mapped into memory; pages that were read are given back."""

    def __init__(self, path: Path, by_stream: bool):
        import pyarrow

        self.path, self._pyarrow, self._by_stream = path, pyarrow, by_stream
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        opened = self._open()
        self.columns = opened.schema.names
        self.rows = sum(batch.num_rows for batch in self._batches(opened))

    def read(self, start: int) -> Iterator[_Row]:
        """The rows from one on."""
        number = done = 0
        names = _read_columns(self.columns)
        for batch in self._batches(self._open()):
            if number + batch.num_rows <= start:
                number += batch.num_rows
                continue
            each = batch.nbytes // max(1, batch.num_rows)
            for row in range(max(0, start - number), batch.num_rows):
                values = {name: _slice(batch.column(name), row) for name in batch.schema.names if name in names}
                yield _Row(values, number + row + 1)
                done += each
                if done >= _FORGET and hasattr(mmap, "MADV_DONTNEED"):
                    self._map.madvise(mmap.MADV_DONTNEED)
                    done = 0
            number += batch.num_rows

    def _open(self) -> Any:
        reader = self._pyarrow.BufferReader(self._pyarrow.py_buffer(self._map))
        opener = self._pyarrow.ipc.open_stream if self._by_stream else self._pyarrow.ipc.open_file
        try:
            return opener(reader)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{self.path} is not an Arrow file, or damaged: {error}.") from None

    def _batches(self, opened: Any) -> Iterator[pyarrow.RecordBatch]:
        try:
            if self._by_stream:
                yield from opened
            else:
                for number in range(opened.num_record_batches):
                    yield opened.get_batch(number)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{self.path} is damaged: {error}.") from None


class _ParquetTable:
    """The rows of a Parquet file, decoded page by page."""

    def __init__(self, path: Path):
        import pyarrow
        import pyarrow.parquet

        self.path, self._pyarrow = path, pyarrow
        try:
            self._file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is not a Parquet file, or damaged: {error}.") from None
        self.columns = self._file.schema_arrow.names
        self._groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self.rows = sum(self._groups)

    def read(self, start: int) -> Iterator[_Row]:
        """The rows from one on."""
        names = _read_columns(self.columns)
        number = 0
        try:
            for group, count in enumerate(self._groups):
                if number + count <= start:
                    number += count
                    continue
                batches = self._file.iter_batches(_ROWS, row_groups=[group], columns=names, use_threads=False)
                for batch in batches:
                    for row in range(max(0, start - number), batch.num_rows):
                        yield _Row({name: _slice(batch.column(name), row) for name in names}, number + row + 1)
                    number += batch.num_rows
        except (self._pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{self.path} is damaged: {error}.") from None


def _open_table(path: Path) -> _ArrowTable | _ParquetTable:
    with path.open("rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
    if start[:4] == b"PAR1":
        return _ParquetTable(path)
    if size < 8:
        raise ValueError(f"{path} is not an Arrow file, or damaged: it has {size} bytes.")
    return _ArrowTable(path, not start.startswith(b"ARROW1"))


def _read_columns(columns: list[str]) -> list[str]:
    return [*spelled(columns).values(), *([_ERROR] if _ERROR in columns else [])]


def _check_columns(table: _ArrowTable | _ParquetTable) -> None:
    missing = [what.replace("; or --ids FILE", "") for what in missing_parts(spelled(table.columns), with_ids=True)]
    if missing:
        raise ValueError(f"{table.path} lacks the columns {'; '.join(missing)}. It has {first_few(table.columns, 12)}.")


def _name_of(values: dict[str, Any]) -> str:
    value = values[spelled(values)["ids"]][0].as_py()
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int)):
        raise ValueError(f"the images' ids must be strings or integers; one is {value!r:.60}.")
    return id_text(value)


def _slice(column: pyarrow.Array, row: int) -> pyarrow.Array:
    return getattr(column, "storage", column).slice(row, 1)


def _array(name: str, value: pyarrow.Array) -> Any:
    """One row of a column as an array; strings and bytes as they are.

    Raises:
        DamagedImage: rows of different lengths, or nothing.
    """
    import pyarrow

    shape: list[int] = []
    while pyarrow.types.is_nested(value.type):
        lengths = set(value.value_lengths().to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise DamagedImage(f"its {name} must have as many numbers in every row, and none of them null.")
        shape.append(lengths.pop())
        value = value.flatten()
    if value.null_count or not len(value):
        raise DamagedImage(f"its {name} has no value, or a null.")
    if value.nbytes > MAX_IMAGE_BYTES:
        raise DamagedImage(f"its {name} is larger than {MAX_IMAGE_BYTES:,} bytes, too large for an image.")
    if not shape:
        return value[0].as_py()
    return np.asarray(value).reshape(shape)
