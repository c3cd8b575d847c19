"""Files on disk: writing that loses nothing, and weight files read tensor by tensor, told by content."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CONFIG_NAME = "config.json"
SAFETENSORS_NAME = "model.safetensors"
KERAS_WEIGHTS = "model.weights.h5"  # inside a .keras archive
CONFIG_ATTRIBUTE = "lxmert_config"  # of a .weights.h5 file, so that it describes itself
# What a compiled Keras model saves beside its weights.
KERAS_TRAINING_GROUPS = ("optimizer", "_loss_tracker", "_compile_metrics", "loss_tracker", "metrics")
SAFETENSORS_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}
_NUMPY_NAMES = {tag: name for name, tag in SAFETENSORS_DTYPES.items()}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path`; when the block ends well it takes the place of `path`, else it is removed.

    So a reader sees the old file or the complete new one, whatever happens in between.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is as readable as any file that the user makes.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 under a temporary name, then rename it to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_safetensors(
    path: str | Path,
    tensors: Sequence[tuple[str, np.dtype, tuple[int, ...], Callable[[], np.ndarray]]],
    metadata: Mapping[str, str],
) -> None:
    """Write a safetensors file tensor by tensor, which the library's own writer cannot: it wants all at once.

    Args:
        path: the file, replaced when complete.
        tensors: name, number format, shape and a call that gives the values, for each tensor.
        metadata: pairs of text for the header.

    Raises:
        ValueError: values that do not have the announced shape or format, or a format that is not written.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, dtype, shape, _ in tensors:
        tag = SAFETENSORS_DTYPES.get(np.dtype(dtype).name)
        if tag is None:
            raise ValueError(f"{name} is {np.dtype(dtype).name}; these are written: {', '.join(SAFETENSORS_DTYPES)}.")
        start, end = end, end + int(np.prod(shape)) * np.dtype(dtype).itemsize
        header[name] = {"dtype": tag, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned to eight bytes
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name, dtype, shape, read in tensors:
            values = read()
            if values.shape != tuple(shape) or values.dtype != dtype:
                raise ValueError(f"{name} was to be {dtype} {list(shape)}; got {values.dtype} {list(values.shape)}.")
            # The format is little-endian and row by row, whatever the machine and the array's own order.
            values = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
            file.write(values.tobytes() if values.ndim == 0 else memoryview(values).cast("B"))


class WeightFile(Protocol):
    """Named arrays in one file, read one by one."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype]
    config: dict[str, Any] | None

    def read(self, name: str) -> np.ndarray:
        """One array, whole."""

    def close(self) -> None:
        """Let the file go."""


class SafetensorsFile:
    """A .safetensors file; its config is the config.json beside it."""

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
        self._handle = self._file.__enter__()
        slices = {name: self._handle.get_slice(name) for name in self._handle.keys()}  # noqa: SIM118
        self.shapes = {name: tuple(piece.get_shape()) for name, piece in slices.items()}
        self.dtypes = {}
        for name, piece in slices.items():
            if piece.get_dtype() not in SAFETENSORS_DTYPES.values():
                raise ValueError(
                    f"{path} holds {name} as {piece.get_dtype()}; these are read: {', '.join(SAFETENSORS_DTYPES.values())}."
                )
            self.dtypes[name] = np.dtype(_NUMPY_NAMES[piece.get_dtype()])
        self.config = config_beside(path)

    def read(self, name: str) -> np.ndarray:
        """One array, whole."""
        return self._handle.get_tensor(name)

    def close(self) -> None:
        """Let the file go."""
        self._file.__exit__(None, None, None)


class KerasH5File:
    """A .weights.h5 file, or the one inside a .keras archive; its config is stored in it or lies beside it."""

    def __init__(self, path: Path):
        import h5py

        self.path = path
        self._archive = None
        opened: Any = path
        self.config = None
        if zipfile.is_zipfile(path):
            self._archive = zipfile.ZipFile(path)
            try:
                opened = self._archive.open(KERAS_WEIGHTS)
                self.config = json.loads(self._archive.read(CONFIG_NAME))["config"]["config"]
            except (KeyError, TypeError, json.JSONDecodeError):
                raise ValueError(f"{path} is a zip archive, but not a .keras file of this package.") from None
        try:
            self._file = h5py.File(opened, "r")
        except OSError as error:
            raise ValueError(f"{path} is not a whole HDF5 file: {error}") from None
        self.shapes, self.dtypes = {}, {}

        def collect(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and name.split("/")[0] not in KERAS_TRAINING_GROUPS:
                self.shapes[name], self.dtypes[name] = tuple(item.shape), item.dtype

        self._file.visititems(collect)
        if self.config is None:
            stored = self._file.attrs.get(CONFIG_ATTRIBUTE)
            self.config = config_beside(path) if stored is None else json.loads(stored)

    def read(self, name: str) -> np.ndarray:
        """One array, whole."""
        return self._file[name][()]

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        if self._archive is not None:
            self._archive.close()


def config_beside(path: Path) -> dict[str, Any] | None:
    """The values of the config.json in the folder of `path`, None without one."""
    file = path.parent / CONFIG_NAME
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a JSON file: {error}") from None
    return values if isinstance(values, dict) else None


def open_weights(source: str | Path) -> WeightFile:
    """Open weights by content, whatever the file is called.

    Args:
        source: a .safetensors, .weights.h5 or .keras file, or a folder that holds model.safetensors.

    Raises:
        FileNotFoundError: nothing there, or a folder without weights.
        ValueError: an empty, damaged or foreign file.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / SAFETENSORS_NAME).is_file():
            held = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
            raise FileNotFoundError(f"{path} has no {SAFETENSORS_NAME}; it holds {held}.")
        path = path / SAFETENSORS_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} is neither a folder with {CONFIG_NAME} and {SAFETENSORS_NAME} nor a weight file. "
            "Give the path of one; files that Keras wrote end in .weights.h5 or .keras."
        )
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise ValueError(f"{path} is empty; it was to hold weights.")
    if start.startswith(b"\x89HDF\r\n\x1a\n") or start.startswith(b"PK\x03\x04"):
        return KerasH5File(path)
    if start[8:9] == b"{":
        return SafetensorsFile(path)
    if start.startswith(b"\x80") or path.suffix in (".bin", ".pth", ".pt"):
        raise ValueError(f"{path} looks like a pickled PyTorch file, which is not read. Save it as safetensors first.")
    raise ValueError(f"{path} is no weight file: it is neither safetensors nor HDF5 nor a .keras archive.")
