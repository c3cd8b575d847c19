"""HDF5 weight files: .weights.h5 of Keras 3, and the older layout in which TensorFlow models of Hugging Face are saved.

HDF5 can point out of the file (external links and storage, virtual datasets), contain circles (links of all kinds), and
claim sizes that it does not store. Keras writes none of that, so a file that has any of it is refused before anything
is read: no path and no size in a file is trusted.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.json_files import LARGEST_JSON, parse_json

from . import hdf5_compat as compat
from .base import read_folder_config
from .hdf5_headers import HeaderChecks
from .raw_io import BFLOAT16, BLOCK, FLOATS

CONFIG_ATTRIBUTE = "lxmert_config"  # of a file that this package wrote
# What a compiled Keras model saves in addition to its weights.
KERAS_TRAINING_GROUPS = ("optimizer", "_loss_tracker", "_compile_metrics", "loss_tracker", "metrics")
_LOCK = Lock()  # HDF5 itself is not thread-safe
_MOST_OBJECTS = 200_000
_DEEPEST = 32


class Member(NamedTuple):
    """An HDF5 file that is a member of an archive: opened, and where it starts there; None if it is compressed."""

    file: BinaryIO
    start: int | None


class Hdf5File:
    """Weights in an HDF5 file; the config is stored in it or next to it.

    In the older layout the root has `layer_names`, and arrays are at /layer/model/…: a name is what follows these two,
    and an array that layers share is stored once for each of them.

    Args:
        path: the file, or the archive that it is in.
        member: of the archive, whose config is then somewhere else.

    Raises:
        ValueError: a damaged or foreign file, or one with links or data outside of itself.
    """

    def __init__(self, path: Path, member: Member | None = None):
        import h5py

        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self._config: dict[str, Any] | None = None
        self._places: dict[str, list[str]] = {}
        self._offsets: dict[str, int | None] = {}
        self._member = member.file if member else None
        self._start = member.start if member else 0
        self._bytes = FileBytes(path)
        self._size = self._bytes.size
        if self._member and self._start is None:
            self._size = self._member.seek(0, io.SEEK_END)
        self._stored = 0
        self._headers = HeaderChecks(self._stored_bytes, self._size)
        try:
            self._file = h5py.File(self._member or path, "r", rdcc_nbytes=0)
        except (OSError, RuntimeError, ValueError) as error:
            self._bytes.close()
            raise ValueError(f"{path} is not a complete HDF5 file: {error}") from None
        try:
            if self._file.userblock_size:
                raise _InvalidFileError(
                    f"{path} starts with something other than HDF5, unlike Keras' files; nothing was read."
                )
            self._headers.check(compat.address_of(self._file))
            self._older = "layer_names" in self._file.attrs or "layer_names0" in self._file.attrs
            self.title = f"HDF5, as {'Hugging Face saves TensorFlow models' if self._older else 'Keras 3 writes it'}"
            self._collect()
            if member is None:
                self._config = self._stored_config()
        except compat.H5PY_ERRORS as error:
            self.close()
            said = str(error) if isinstance(error, _InvalidFileError) else f"{path} is a damaged HDF5 file: {error}"
            raise ValueError(said) from None
        except BaseException:
            self.close()
            raise

    def _collect(self) -> None:
        """Walk the groups and note every array, refusing all that Keras does not write."""
        for place, dataset in self._datasets():
            name = place
            if self._older:  # /layer/model/…: the config says which model it is
                name = "/".join(place.split("/")[2:]) or place
            if dataset.external or dataset.is_virtual:
                raise _InvalidFileError(
                    f"{self.path}: the values of {place} are in another file, which is not followed."
                )
            if self._older or place.split("/")[0] not in KERAS_TRAINING_GROUPS:
                self._add_array(name, place, dataset)
            else:  # not read here, but perhaps by Keras
                self._check_size(place, dataset)

    def _datasets(self) -> Iterator[tuple[str, Any]]:
        import h5py

        groups, seen = [("", self._file, 0)], {compat.address_of(self._file)}
        while groups:
            prefix, group, depth = groups.pop()
            for key in group:
                place = prefix + key
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise _InvalidFileError(
                        f"{self.path}: {place} is a link, which Keras does not write; nothing was read."
                    )
                item = group[key]
                address = compat.address_of(item)
                if address in seen:
                    raise _InvalidFileError(f"{self.path}: {place} has another name too, which Keras does not write.")
                seen.add(address)
                self._headers.check(address)
                if len(seen) > _MOST_OBJECTS or depth > _DEEPEST:
                    raise _InvalidFileError(
                        f"{self.path} has more groups than any model, or deeper ones; nothing was read."
                    )
                if isinstance(item, h5py.Group):
                    groups.append((place + "/", item, depth + 1))
                elif isinstance(item, h5py.Dataset):
                    yield place, item

    def _check_size(self, place: str, dataset: Any) -> None:
        """Refuse an array that claims to be larger than what the file stores of it."""
        claimed, stored = compat.sizes_of(dataset)
        self._stored += stored
        filters = compat.filters_of(dataset)
        if filters not in ([], [compat.DEFLATE], [compat.SHUFFLE, compat.DEFLATE]):
            raise _InvalidFileError(
                f"{self.path}: {place} is compressed by something other than deflate; it is not read."
            )
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        if (
            claimed > (max_unpacked_size(stored) if filters else stored)
            or self._stored > self._size
            or (dataset.chunks and chunk > max(2 * claimed, 2**20))
        ):
            raise _InvalidFileError(
                f"{self.path}: {place} claims to be {list(dataset.shape or ())}, more than the file can hold in the "
                f"{stored} bytes that it stores of it."
            )
        if filters:
            self._check_packed(place, dataset, chunk)

    def _check_packed(self, place: str, dataset: Any, size: int) -> None:
        """Refuse compressed chunks that do not unpack to `size` bytes: the library unpacks without a limit."""
        for chunk in compat.chunks_of(dataset):
            packed = b"" if chunk.offset is None else self._stored_bytes(chunk.offset, chunk.size)
            unpacking = zlib.decompressobj()
            try:
                whole = len(unpacking.decompress(packed, size + 1)) == size and unpacking.eof
            except zlib.error:
                whole = False
            if not whole or chunk.skipped_filters:
                raise _InvalidFileError(
                    f"{self.path} is damaged at {place}: its chunk at {chunk.position} is not {size} bytes, compressed "
                    "by deflate."
                )

    def _add_array(self, name: str, place: str, dataset: Any) -> None:
        """Note one array: its shape, its dtype, and where its values are."""
        bfloat16 = dataset.dtype == np.dtype("V2") and dataset.attrs.get("dtype") == "bfloat16"
        native = BFLOAT16 if bfloat16 else dataset.dtype.newbyteorder("=")
        if native not in FLOATS.values() and native.kind not in "biu":  # quantized layers have integers
            raise _InvalidFileError(
                f"{self.path} holds {place} as {dataset.dtype}; these are read: {', '.join(FLOATS)}, integers."
            )
        self._check_size(place, dataset)
        shape = tuple(dataset.shape or ())
        if name in self.shapes and (self.shapes[name], self.dtypes[name]) != (shape, native):
            raise _InvalidFileError(
                f"{self.path} holds {name} twice, as {list(self.shapes[name])} and as {list(shape)}."
            )
        self.shapes[name], self.dtypes[name] = shape, native
        self._places.setdefault(name, []).append(place)
        claimed, stored = compat.sizes_of(dataset)
        little_endian = dataset.dtype.newbyteorder("<") == dataset.dtype
        self._offsets[place] = compat.offset_of(dataset) if little_endian and claimed == stored else None

    def _stored_config(self) -> dict[str, Any] | None:
        if CONFIG_ATTRIBUTE not in self._file.attrs:
            return None
        place = f"{self.path}: its attribute {CONFIG_ATTRIBUTE}"
        shape, size = compat.attribute_type(self._file, CONFIG_ATTRIBUTE)
        if shape:  # not even read: each element of a list may be the same long text
            raise _InvalidFileError(f"{place} must be text; got ndarray.")
        if size > LARGEST_JSON:
            raise _InvalidFileError(f"{place} is larger than {LARGEST_JSON} bytes.")
        stored = self._file.attrs[CONFIG_ATTRIBUTE]
        if not isinstance(stored, (str, bytes)):
            raise _InvalidFileError(f"{place} must be text; got {type(stored).__name__}.")
        try:
            return parse_json(stored, f"{self.path}, its attribute {CONFIG_ATTRIBUTE},")
        except ValueError as error:
            raise _InvalidFileError(str(error)) from None

    @property
    def config(self) -> dict[str, Any] | None:
        """The config stored in the file, else the config.json next to it, None without one."""
        return read_folder_config(self.path) if self._config is None else self._config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`.

        Raises:
            ValueError: the file is damaged there, or has the array twice with different values.
        """
        first, *others = self._places[name]
        values = self._values(name, first)
        for place in others:
            if not self._is_same(values, name, place):
                raise ValueError(f"{self.path} holds {name} twice, with other values at {place} than at {first}.")
        return values

    def _is_same(self, values: np.ndarray, name: str, place: str) -> bool:
        """Whether an array has the same bits at another place; compared in blocks, to save memory."""
        offset, start = self._offsets[place], self._start
        if offset is None or start is None or values.ndim < 2:
            return values.tobytes() == self._values(name, place).tobytes()
        row = values[:1].nbytes
        for first in range(0, len(values), rows := max(1, BLOCK // max(1, row))):
            block = values[first : first + rows]
            other = self._bytes.array(start + offset + first * row, values.dtype, block.shape)
            if not np.array_equal(block.view(np.uint8), other.view(np.uint8)):
                return False
        return True

    def _values(self, name: str, place: str) -> np.ndarray:
        offset, dtype = self._offsets[place], self.dtypes[name]
        if offset is not None and self._start is not None:  # past HDF5 and its lock
            return self._bytes.array(self._start + offset, dtype, self.shapes[name])
        try:
            with _LOCK:
                values = self._file[place][()]
        except (*compat.H5PY_ERRORS, MemoryError) as error:
            raise ValueError(f"{self.path} is damaged at {place}: {error}") from None
        return values.view(BFLOAT16) if dtype == BFLOAT16 else values.astype(dtype, copy=False)

    def _stored_bytes(self, offset: int, size: int) -> bytes:
        """Bytes of the HDF5 file as they are stored; none if they would reach behind its end.

        (h5py's `read_direct_chunk` is not thread-safe.)
        """
        if offset + size > self._size:
            return b""
        if self._start is None and self._member:
            self._member.seek(offset)
            return self._member.read(size)
        return self._bytes.array((self._start or 0) + offset, np.dtype("uint8"), (size,)).tobytes()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()


class _InvalidFileError(ValueError):
    """An error about a file with a message for users; other errors are the library's."""
