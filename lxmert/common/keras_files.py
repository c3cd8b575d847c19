"""Keras' weight files, read array by array: .weights.h5, alone or inside a .keras archive.

HDF5 can point out of the file (external links and storage, virtual data sets) and round in circles (links of all
kinds). Keras writes none of that, so a file that has any of it is refused before anything is read: nothing that a file
says is trusted with a path. Declared shapes are only collected here; `checkpoint.fit` compares them before reading.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .files import CONFIG_NAME, LARGEST_JSON, config_beside, parse_json, widened

KERAS_WEIGHTS = "model.weights.h5"  # inside a .keras archive
CONFIG_ATTRIBUTE = "lxmert_config"  # of a .weights.h5 file, so that it describes itself
# What a compiled Keras model saves beside its weights.
KERAS_TRAINING_GROUPS = ("optimizer", "_loss_tracker", "_compile_metrics", "loss_tracker", "metrics")
_FLOATS = ("float64", "float32", "float16")
# Deflate, the strongest compression in use, makes at most this of one byte: a larger claim is a made-up one.
_LARGEST_EXPANSION = 1032


class KerasH5File:
    """A .weights.h5 file, or the one inside a .keras archive; its config is stored in it or lies beside it.

    Raises:
        ValueError: a damaged or foreign file, or one with links or data outside itself.
    """

    def __init__(self, path: Path):
        import h5py

        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self._bfloat16: set[str] = set()
        self._archive: BinaryIO | None = None
        self._config: dict[str, Any] | None = None
        opened: Any = path
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        try:
            if zipped:
                self._archive, opened, self._config = _open_archive(path)
            self._file = h5py.File(opened, "r")
        except OSError as error:
            self._close_archive()
            raise ValueError(f"{path} is not a whole HDF5 file: {error}") from None
        try:
            self._collect(h5py)
            if self._config is None:
                self._config = self._stored_config()
        except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:  # what h5py says of damage
            self.close()
            raise ValueError(f"{path} is a damaged HDF5 file: {error}") from None
        except BaseException:
            self.close()
            raise

    def _collect(self, h5py: Any) -> None:
        """Walk the groups and note every array, refusing all that Keras does not write."""
        groups, seen = [("", self._file)], {h5py.h5o.get_info(self._file.id).addr}
        while groups:
            prefix, group = groups.pop()
            for key in group:
                name = prefix + key
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise ValueError(f"{self.path}: {name} is a link, which Keras does not write; nothing was read.")
                item = group[key]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise ValueError(
                        f"{self.path}: {name} is also there under another name, which Keras does not write."
                    )
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append((name + "/", item))
                elif isinstance(item, h5py.Dataset) and name.split("/")[0] not in KERAS_TRAINING_GROUPS:
                    self._note(name, item)

    def _note(self, name: str, item: Any) -> None:
        """Note one array's shape and number format."""
        if item.external or item.is_virtual:
            raise ValueError(f"{self.path}: the values of {name} lie in another file, which is not followed.")
        bfloat16 = item.dtype == np.dtype("V2") and item.attrs.get("dtype") == "bfloat16"
        if not bfloat16 and item.dtype.newbyteorder("=").name not in _FLOATS:
            raise ValueError(
                f"{self.path} holds {name} as {item.dtype}; these are read: {', '.join(_FLOATS)}, bfloat16."
            )
        if bfloat16:
            self._bfloat16.add(name)
        shape = item.shape or ()
        if math.prod(shape) * item.dtype.itemsize > _LARGEST_EXPANSION * self.path.stat().st_size:
            raise ValueError(f"{self.path}: {name} claims to be {list(shape)}, more than the file can hold.")
        self.shapes[name] = tuple(shape)
        self.dtypes[name] = np.dtype("float32") if bfloat16 else item.dtype.newbyteorder("=")

    def _stored_config(self) -> dict[str, Any] | None:
        stored = self._file.attrs.get(CONFIG_ATTRIBUTE)
        if stored is None:
            return None
        if not isinstance(stored, (str, bytes)):
            raise ValueError(
                f"{self.path}: its attribute {CONFIG_ATTRIBUTE} must be text; got {type(stored).__name__}."
            )
        return parse_json(stored, f"{self.path}, its attribute {CONFIG_ATTRIBUTE},")

    @property
    def config(self) -> dict[str, Any] | None:
        """The config stored in the file, else the config.json beside it, None without one."""
        return config_beside(self.path) if self._config is None else self._config

    def read(self, name: str) -> np.ndarray:
        """One array, whole.

        Raises:
            ValueError: the file is damaged there.
        """
        try:
            values = self._file[name][()]
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(f"{self.path} is damaged at {name}: {error}") from None
        return widened(values) if name in self._bfloat16 else values.astype(self.dtypes[name], copy=False)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._close_archive()

    def _close_archive(self) -> None:
        if self._archive is not None:
            self._archive.close()


def _open_archive(path: Path) -> tuple[BinaryIO, BinaryIO, dict[str, Any]]:
    """The opened .keras archive, the weight file inside, and the config inside.

    Raises:
        ValueError: no whole zip archive, or not one that Keras made of a model of this package.
    """
    raw = path.open("rb")
    try:
        archive = zipfile.ZipFile(raw)
        held = archive.getinfo(CONFIG_NAME)
        if held.file_size > LARGEST_JSON:
            raise ValueError(f"{path}: its {CONFIG_NAME} is larger than {LARGEST_JSON} bytes.")
        description = parse_json(archive.read(held), f"{CONFIG_NAME} in {path}")
        weights = archive.getinfo(KERAS_WEIGHTS)
        # Within a zip archive Python goes back by reading from the start again. Keras stores the weights as they are,
        # so they can be read in place.
        stored = weights.compress_type == zipfile.ZIP_STORED and not weights.flag_bits & 1
        opened: Any = _Window(raw, _data_start(raw, weights), weights.file_size) if stored else archive.open(weights)
    except KeyError:
        raw.close()
        raise ValueError(
            f"{path} is a zip archive, but not a .keras file: it lacks {CONFIG_NAME} or {KERAS_WEIGHTS}."
        ) from None
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:  # RuntimeError: encrypted, unknown method
        raw.close()
        raise ValueError(f"{path} is not a whole zip archive: {error}") from None
    except BaseException:
        raw.close()
        raise
    outer = description.get("config")
    config = outer.get("config") if isinstance(outer, dict) else None
    if not isinstance(config, dict) or "model_type" not in config:
        raw.close()
        kind = description.get("class_name", "something else")
        raise ValueError(
            f"{path} is no .keras file of this package: it holds a {kind!r}, not a TFLxmert or TFVisualBert model."
        )
    return raw, opened, config


def _data_start(raw: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member begin: behind a header of 30 bytes, its name and its extra field."""
    raw.seek(member.header_offset)
    header = raw.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"no header where {member.filename} was to begin")
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


class _Window(io.RawIOBase):
    """A part of an open file, as a file of its own."""

    def __init__(self, raw: BinaryIO, start: int, size: int):
        self._raw, self._start, self._size, self._at = raw, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        self._raw.seek(self._start + self._at)
        count = self._raw.readinto(view[:count])  # type: ignore[attr-defined]
        self._at += count
        return count
