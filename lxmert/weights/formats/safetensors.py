"""Safetensors files, read and written array by array."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.file_bytes import FileBytes, is_possible
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import unique_members
from lxmert.utils.messages import first_few, shown
from lxmert.utils.write_errors import naming

from .base import read_folder_config
from .raw_io import FLOATS, Slot, write_slots

_TAGS = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
# Integer dtypes are no weights, but a file may also hold position ids, or a detector's count of batches.
_INTEGERS = {
    f"{kind}{size}": f"{name}{size}" for kind, name in (("I", "int"), ("U", "uint")) for size in (8, 16, 32, 64)
}
_FORMATS = (
    {tag: FLOATS[name] for name, tag in _TAGS.items()}
    | {tag: np.dtype(name) for tag, name in _INTEGERS.items()}
    | {"BOOL": np.dtype("bool")}
)
_ALL_TAGS = {dtype.name: tag for tag, dtype in _FORMATS.items()}
# The largest published model has a header of 60 kB. The format allows 100 MB, which takes a gigabyte of memory to read.
LARGEST_HEADER = 8 * 2**20


class SafetensorsFile:
    """A .safetensors file; its config is the config.json next to it.

    Raises:
        ValueError: a truncated or foreign file, or one with unsupported dtypes.
    """

    def __init__(self, path: Path):
        self.path = path
        header = _header(path)
        metadata = header.pop("__metadata__", None) or {}
        self.title = "safetensors in TensorFlow's layout" if metadata.get("format") == "tf" else "safetensors"
        other = [f"{name} as {entry['dtype']}" for name, entry in header.items() if entry["dtype"] not in _FORMATS]
        if other:
            raise ValueError(f"{path} holds {first_few(other, 3)}; these are read: {', '.join(_TAGS.values())}.")
        for name, entry in header.items():
            if not is_possible(entry["shape"]):
                claimed = shown(entry["shape"])
                raise InvalidFileError(f"{path}: {shown(name)} claims to be {claimed}, which no array is.")
        self.shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        self.dtypes = {name: _FORMATS[entry["dtype"]] for name, entry in header.items()}
        self._bytes = FileBytes(path)
        start = 8 + int.from_bytes(self._bytes.array(0, np.dtype("uint8"), (8,)).tobytes(), "little")
        self._offsets = {name: start + entry["data_offsets"][0] for name, entry in header.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the file, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        take = self._bytes.mapped if mapped else self._bytes.array
        return take(self._offsets[name], self.dtypes[name], self.shapes[name])

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()


def _header(path: Path) -> dict[str, Any]:
    """The header of a file, whose sizes, offsets and text the library has checked."""
    from safetensors import safe_open

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > LARGEST_HEADER:
            raise ValueError(
                f"{path} is not a complete safetensors file: its header claims {size} bytes, "
                f"though {LARGEST_HEADER} suffice for a hundred thousand tensors."
            )
        text = file.read(size)
    with reading(path, "is not a complete safetensors file"):
        with safe_open(path, framework="numpy"):
            pass
        # Of two entries under one name the library and Python might take different ones.
        return json.loads(text, object_pairs_hook=unique_members)


NamedArray = tuple[str, np.dtype, tuple[int, ...], Callable[[], np.ndarray]]


def write_safetensors(path: str | Path, tensors: Sequence[NamedArray], metadata: Mapping[str, str]) -> dict[str, int]:
    """Write a safetensors file tensor by tensor; the library's own writer needs all at once.

    An existing file is overwritten, so pass a temporary name (`atomic_files.replacing`). A tensor is a name, a dtype, a
    shape, and a function that returns the values, which are cast to the dtype. For overflows see `raw_io.write_slots`.

    Raises:
        ValueError: values of another shape than announced, or an unsupported dtype.
    """
    # The library's order: wide dtypes first, so that every tensor is aligned, and bfloat16 before float16.
    order = {"float64": 0, "float32": 1, "bfloat16": 2, "float16": 3}

    def place(tensor: NamedArray) -> tuple[int, int, str]:
        dtype = np.dtype(tensor[1])
        return -dtype.itemsize, order.get(dtype.name, len(order)), tensor[0]

    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    slots = []
    for name, dtype, *_ in tensors:
        if np.dtype(dtype).name not in _ALL_TAGS:
            raise ValueError(f"{name} is {np.dtype(dtype).name}; these are written: {', '.join(_ALL_TAGS)}.")
    for name, dtype, shape, read in sorted(tensors, key=place):
        start, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _ALL_TAGS[np.dtype(dtype).name], "shape": list(shape), "data_offsets": [start, end]}
        slots.append(Slot(name, start, np.dtype(dtype), tuple(shape), read))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the data to eight bytes
    begin = 8 + len(text)
    with naming(path), Path(path).open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        file.truncate(begin + end)
    return write_slots(path, [slot._replace(offset=begin + slot.offset) for slot in slots])
