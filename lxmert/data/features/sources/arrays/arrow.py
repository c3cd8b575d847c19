"""Arrow and Parquet files, and folders of Hugging Face `datasets`, with a row per image.

The columns are those of `pictures.SPELLINGS`: img_id, roi_features, boxes or normalized_boxes, sizes, obj_ids, … A row
with a text in the column error has no regions, and is damaged for this reason. A process with limits reads the files
(`arrow_process`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, Entry, SourceOptions
from lxmert.data.features.sources.ids import id_text
from lxmert.data.features.sources.pictures import PictureReader, missing_parts, read_first, spelled
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import first_few, shown
from lxmert.utils.optional_imports import import_extra
from lxmert.utils.paths import check_base_name

from .arrow_client import ArrowProcess, Table
from .rows import check_image_size

if TYPE_CHECKING:
    import pyarrow

_ERROR = "error"


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
        self._starts = list(accumulate((file.stat().st_size for file in self._files), initial=0))
        self.size = self._starts[-1]
        self._process = ArrowProcess(self.size)
        weakref.finalize(self, self._process.stop)
        self._tables = [self._process.look(file) for file in self._files]
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
            rows = self._process.read(table, _read_columns(table.columns), before)
            for row, values in enumerate(rows, before + 1):
                name = _name_of(values)
                if row <= first:
                    if name != last:
                        raise self._changed(last)
                    continue
                after = {"file": number, "row": row, "last": name}
                size = self.consumed(after) - self.consumed({"file": number, "row": row - 1})
                where = f"{table.path}, row {row - 1}, image {shown(name)}"
                yield Entry(where, size, after, partial(self._read, name, values))

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
            f"{self.path} has changed since the import began: {shown(last)}, the last image that was read, is "
            "elsewhere. Pass it as it was, or start over (--restart)."
        )


def data_files(path: Path) -> list[Path]:
    """The files of a data set in order: as state.json of `save_to_disk` lists them; or all in the folder, sorted.

    Raises:
        ValueError: state.json names a file outside of its folder, or rows that are chosen by an index.
    """
    if not path.is_dir():
        return [path]
    if (path / "dataset_dict.json").is_file():
        splits = read_json(path / "dataset_dict.json").get("splits") or []
        if not isinstance(splits, list):
            raise ValueError(f"{path / 'dataset_dict.json'} must list its splits; it has {shown(splits)}.")
        for split in splits:
            check_base_name(split, path / "dataset_dict.json")
        return [file for split in splits for file in data_files(path / split)]
    if not (path / "state.json").is_file():
        return sorted(file for file in path.iterdir() if file.suffix in (".arrow", ".parquet"))
    state = read_json(path / "state.json")
    if state.get("_indices_data_files"):
        raise ValueError(f"{path} selects rows by an index, which is not read: save dataset.flatten_indices() instead.")
    entries = state.get("_data_files")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path / 'state.json'} must list its data files.")
    names = [entry.get("filename") for entry in entries]
    for name in names:
        check_base_name(name, path / "state.json")
    return [path / name for name in names]


def _read_columns(columns: list[str]) -> list[str]:
    return [*spelled(columns).values(), *([_ERROR] if _ERROR in columns else [])]


def _check_columns(table: Table) -> None:
    missing = [what.replace("; or --ids FILE", "") for what in missing_parts(spelled(table.columns), with_ids=True)]
    if missing:
        raise ValueError(f"{table.path} lacks the columns {'; '.join(missing)}. It has {first_few(table.columns, 12)}.")


def _name_of(values: dict[str, Any]) -> str:
    with reading("the id of an image", "cannot be read"):
        value = values[spelled(values)["ids"]][0].as_py()
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int)):
        raise InvalidFileError(f"the images' ids must be strings or integers; one is {shown(value, 60)}.")
    return id_text(value)


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
    check_image_size(f"its {name}", value.nbytes)
    if not shape:
        return value[0].as_py()
    return np.asarray(value).reshape(shape)
