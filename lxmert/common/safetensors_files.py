"""Safetensors files, read and written tensor by tensor."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import config_beside, widened

SAFETENSORS_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}
_NUMPY_NAMES = {tag: name for name, tag in SAFETENSORS_DTYPES.items()} | {"BF16": "float32"}
# No weights; but beside them a file may hold the numbers of positions, or how many batches a detector has seen.
_WHOLE = {f"{kind}{size}": f"{name}{size}" for kind, name in (("I", "int"), ("U", "uint")) for size in (8, 16, 32, 64)}
_WHOLE["BOOL"] = "bool"


class SafetensorsFile:
    """A .safetensors file; its config is the config.json beside it. bfloat16 is read as float32, exactly.

    Raises:
        ValueError: a truncated or foreign file, or one that holds numbers in a format that NumPy does not have.
    """

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
        handle = self._handle = self._file.__enter__()
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118
        tags = {name: piece.get_dtype() for name, piece in slices.items()}
        formats = _NUMPY_NAMES | _WHOLE
        other = [f"{name} as {tag}" for name, tag in tags.items() if tag not in formats]
        if other:
            self.close()
            raise ValueError(f"{path} holds {', '.join(other[:3])}; these are read: {', '.join(_NUMPY_NAMES)}.")
        self.shapes = {name: tuple(piece.get_shape()) for name, piece in slices.items()}
        self.dtypes = {name: np.dtype(formats[tag]) for name, tag in tags.items()}
        self._starts = _starts(path, [name for name, tag in tags.items() if tag == "BF16"])

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json beside the file, None without one."""
        return config_beside(self.path)

    def read(self, name: str) -> np.ndarray:
        """One array, whole."""
        if name not in self._starts:
            return self._handle.get_tensor(name)
        # NumPy has no bfloat16, so the library does not give it.
        shape = self.shapes[name]
        bits = np.fromfile(self.path, "<u2", count=math.prod(shape), offset=self._starts[name])
        return widened(bits.astype(np.uint16, copy=False)).reshape(shape)

    def close(self) -> None:
        """Let the file go."""
        self._file.__exit__(None, None, None)


def _starts(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Where in the file the data of tensors begin. The library has found the header good before."""
    if not names:
        return {}
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return {name: 8 + size + header[name]["data_offsets"][0] for name in names}


Tensor = tuple[str, np.dtype, tuple[int, ...], Callable[[], np.ndarray]]


def write_safetensors(path: str | Path, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file tensor by tensor, which the library's own writer cannot: it wants all at once.

    The bytes are those that the library writes.

    Args:
        path: the file; an older one is overwritten, so give a temporary name (`files.replacing`).
        tensors: name, number format, shape and a call that gives the values, for each tensor.
        metadata: pairs of text for the header.

    Raises:
        ValueError: values that do not have the announced shape or format, or a format that is not written.
    """
    # As the library does: wide formats first, so that every tensor starts at a multiple of its numbers' size.
    tensors = sorted(tensors, key=lambda tensor: (-np.dtype(tensor[1]).itemsize, tensor[0]))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, dtype, shape, _ in tensors:
        tag = SAFETENSORS_DTYPES.get(np.dtype(dtype).name)
        if tag is None:
            raise ValueError(f"{name} is {np.dtype(dtype).name}; these are written: {', '.join(SAFETENSORS_DTYPES)}.")
        start, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": tag, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned to eight bytes
    with Path(path).open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name, dtype, shape, read in tensors:
            values = read()
            if values.shape != tuple(shape) or values.dtype != dtype:
                raise ValueError(f"{name} was to be {dtype} {list(shape)}; got {values.dtype} {list(values.shape)}.")
            # The format is little-endian and row by row, whatever the machine and the array's own order.
            values = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
            file.write(values.reshape(-1).view(np.uint8).data)
