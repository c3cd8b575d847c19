"""HDF5 weight files: .weights.h5 of Keras 3, and the older layout in which TensorFlow models of Hugging Face are saved.

HDF5 can point out of the file (external links and storage, virtual data sets), round in circles (links of all kinds),
and claim sizes that nothing stands behind. Keras writes none of that, so a file that has any of it is refused before
anything is read: nothing that a file says is trusted with a path or with memory.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.json_files import LARGEST_JSON, parse_json

from .base import config_beside
from .hdf5_headers import HeaderChecks
from .raw_io import BFLOAT16, BLOCK, FLOATS, FileBytes

CONFIG_ATTRIBUTE = "lxmert_config"  # of a file that this package wrote, so that it describes itself
# What a compiled Keras model saves beside its weights.
KERAS_TRAINING_GROUPS = ("optimizer", "_loss_tracker", "_compile_metrics", "loss_tracker", "metrics")
_DEFLATE, _SHUFFLE = 1, 2  # filters of HDF5; the second puts bytes in another order
_LOCK = Lock()
_MOST_OBJECTS = 200_000
_DEEPEST = 32


class Hdf5File:
    """Weights in an HDF5 file; its config is stored in it or lies beside it.

    In the older layout the root has `layer_names`, and arrays lie under /layer/model/…: a name is what follows these
    two, and an array that is shared by layers is there once for each of them.

    Args:
        path: the file, for messages and the config.
        content: the opened file if it is a part of another one, an archive's member; and where it begins there, None
            if it is compressed.
        config: its config, if that is known.

    Raises:
        ValueError: a damaged or foreign file, or one with links or data outside itself.
    """

    def __init__(
        self,
        path: Path,
        content: tuple[Any, int | None] | None = None,
        config: dict[str, Any] | None = None,
    ):
        import h5py

        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self._config = config
        self._places: dict[str, list[str]] = {}
        self._offsets: dict[str, int | None] = {}
        opened: Any
        self._start: int | None
        opened, self._start = (path, 0) if content is None else content
        self._content = opened
        self._bytes = FileBytes(path)
        self._size = self._bytes.size if self._start is not None else opened.seek(0, io.SEEK_END)
        self._stored = 0
        self._headers = HeaderChecks(self._stored_bytes, self._size)
        try:
            self._file = h5py.File(opened, "r", rdcc_nbytes=0)
        except (OSError, RuntimeError, ValueError) as error:
            self._bytes.close()
            raise ValueError(f"{path} is not a whole HDF5 file: {error}") from None
        try:
            if self._file.userblock_size:
                raise _Refused(f"{path} begins with what is not HDF5, which Keras does not write; nothing was read.")
            self._headers.check(h5py.h5o.get_info(self._file.id).addr)
            self._older = "layer_names" in self._file.attrs or "layer_names0" in self._file.attrs
            self.title = f"HDF5, as {'Hugging Face saves TensorFlow models' if self._older else 'Keras 3 writes it'}"
            self._collect(h5py)
            if self._config is None:
                self._config = self._stored_config(h5py)
        # What h5py says of damage.
        except (
            OSError,
            RuntimeError,
            KeyError,
            IndexError,
            TypeError,
            ValueError,
            OverflowError,
            SystemError,
            struct.error,
            zlib.error,
        ) as error:
            self.close()
            said = str(error) if isinstance(error, _Refused) else f"{path} is a damaged HDF5 file: {error}"
            raise ValueError(said) from None
        except BaseException:
            self.close()
            raise

    def _collect(self, h5py: Any) -> None:
        """Walk the groups and note every array, refusing all that Keras does not write."""
        for place, item in self._arrays(h5py):
            name = place
            if self._older:
                # /layer/model/…; the config says which model it is, and what it was called there tells nothing.
                name = "/".join(place.split("/")[2:]) or place
            if item.external or item.is_virtual:
                raise _Refused(f"{self.path}: the values of {place} lie in another file, which is not followed.")
            if self._older or place.split("/")[0] not in KERAS_TRAINING_GROUPS:
                self._note(name, place, item)
            else:  # not read here, but Keras may
                self._check_size(place, item)

    def _arrays(self, h5py: Any) -> Iterator[tuple[str, Any]]:
        groups, seen = [("", self._file, 0)], {h5py.h5o.get_info(self._file.id).addr}
        while groups:
            prefix, group, depth = groups.pop()
            for key in group:
                place = prefix + key
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise _Refused(f"{self.path}: {place} is a link, which Keras does not write; nothing was read.")
                item = group[key]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise _Refused(
                        f"{self.path}: {place} is also there under another name, which Keras does not write."
                    )
                seen.add(address)
                self._headers.check(address)
                if len(seen) > _MOST_OBJECTS or depth > _DEEPEST:
                    raise _Refused(f"{self.path} has more groups than any model, or deeper ones; nothing was read.")
                if isinstance(item, h5py.Group):
                    groups.append((place + "/", item, depth + 1))
                elif isinstance(item, h5py.Dataset):
                    yield place, item

    def _check_size(self, place: str, item: Any) -> None:
        """Refuse an array that claims to be larger than what the file holds of it."""
        shape, width = tuple(item.shape or ()), item.id.get_type().get_size()
        claimed, stored = math.prod(shape) * width, item.id.get_storage_size()
        self._stored += stored
        properties = item.id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        if filters not in ([], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
            raise _Refused(f"{self.path}: {place} is packed in another way than by deflate, which is not read.")
        chunk = math.prod(item.chunks or ()) * width
        if (
            claimed > (max_unpacked_size(stored) if filters else stored)
            or self._stored > self._size
            or (item.chunks and chunk > max(2 * claimed, 2**20))
        ):
            raise _Refused(
                f"{self.path}: {place} claims to be {list(shape)}, more than the file can hold in the {stored} bytes "
                "that it stores of it."
            )
        if filters:
            self._check_packed(place, item)

    def _note(self, name: str, place: str, item: Any) -> None:
        """Note one array: its shape, its dtype, and where its numbers lie."""
        bfloat16 = item.dtype == np.dtype("V2") and item.attrs.get("dtype") == "bfloat16"
        native = BFLOAT16 if bfloat16 else item.dtype.newbyteorder("=")
        if native not in FLOATS.values():
            raise _Refused(f"{self.path} holds {place} as {item.dtype}; these are read: {', '.join(FLOATS)}.")
        self._check_size(place, item)
        shape = tuple(item.shape or ())
        claimed, stored = math.prod(shape) * native.itemsize, item.id.get_storage_size()
        if name in self.shapes and (self.shapes[name], self.dtypes[name]) != (shape, native):
            raise _Refused(f"{self.path} holds {name} twice, as {list(self.shapes[name])} and as {list(shape)}.")
        self.shapes[name], self.dtypes[name] = shape, native
        self._places.setdefault(name, []).append(place)
        # In one piece and in this machine's order of bytes: read past HDF5.
        straight = item.chunks is None and item.dtype.newbyteorder("<") == item.dtype and claimed == stored
        self._offsets[place] = item.id.get_offset() if straight else None

    def _stored_config(self, h5py: Any) -> dict[str, Any] | None:
        if CONFIG_ATTRIBUTE not in self._file.attrs:
            return None
        kind = self._file.attrs.get_id(CONFIG_ATTRIBUTE)
        if kind.shape:  # not even read: each of a list may be the same long text
            raise _Refused(f"{self.path}: its attribute {CONFIG_ATTRIBUTE} must be text; got ndarray.")
        if kind.dtype.itemsize > LARGEST_JSON:
            raise _Refused(f"{self.path}: its attribute {CONFIG_ATTRIBUTE} is larger than {LARGEST_JSON} bytes.")
        stored = self._file.attrs[CONFIG_ATTRIBUTE]
        if not isinstance(stored, (str, bytes)):
            raise _Refused(f"{self.path}: its attribute {CONFIG_ATTRIBUTE} must be text; got {type(stored).__name__}.")
        try:
            return parse_json(stored, f"{self.path}, its attribute {CONFIG_ATTRIBUTE},")
        except ValueError as error:
            raise _Refused(str(error)) from None

    @property
    def config(self) -> dict[str, Any] | None:
        """The config stored in the file, else the config.json beside it, None without one."""
        return config_beside(self.path) if self._config is None else self._config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """One array, whole; see `WeightFile.read`.

        Raises:
            ValueError: the file is damaged there, or holds the array twice with different values.
        """
        first, *others = self._places[name]
        values = self._values(name, first)
        for place in others:
            if not self._is_same(values, name, place):
                raise ValueError(f"{self.path} holds {name} twice, with other values at {place} than at {first}.")
        return values

    def _is_same(self, values: np.ndarray, name: str, place: str) -> bool:
        """Whether an array has the same bits at another place; compared in pieces, so that it is not whole twice."""
        offset, start = self._offsets[place], self._start
        if offset is None or start is None or values.ndim < 2:
            return values.tobytes() == self._values(name, place).tobytes()
        row = values[:1].nbytes
        for first in range(0, len(values), rows := max(1, BLOCK // max(1, row))):
            piece = values[first : first + rows]
            other = self._bytes.array(start + offset + first * row, values.dtype, piece.shape)
            if not np.array_equal(piece.view(np.uint8), other.view(np.uint8)):
                return False
        return True

    def _values(self, name: str, place: str) -> np.ndarray:
        offset, dtype = self._offsets[place], self.dtypes[name]
        if offset is not None and self._start is not None:
            return self._bytes.array(self._start + offset, dtype, self.shapes[name])
        try:
            with _LOCK:
                values = self._file[place][()]
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
            raise ValueError(f"{self.path} is damaged at {place}: {error}") from None
        return values.view(BFLOAT16) if dtype == BFLOAT16 else values.astype(dtype, copy=False)

    def _check_packed(self, place: str, item: Any) -> None:
        """Refuse packed numbers that are not as many as they are to be: the library unpacks all that there is."""
        size = math.prod(item.chunks) * item.dtype.itemsize
        chunks: list[Any] = []
        item.id.chunk_iter(chunks.append)
        for chunk in chunks:
            packed = b"" if chunk.byte_offset is None else self._stored_bytes(chunk.byte_offset, chunk.size)
            unpacking = zlib.decompressobj()
            if chunk.filter_mask or len(unpacking.decompress(packed, size + 1)) != size or not unpacking.eof:
                raise _Refused(
                    f"{self.path} is damaged at {place}: its piece at {chunk.chunk_offset} is not {size} bytes, packed "
                    "by deflate."
                )

    def _stored_bytes(self, offset: int, size: int) -> bytes:
        """Bytes of the HDF5 file as they are, none behind its end.

        (h5py's `read_direct_chunk` is not safe among threads.)
        """
        if offset + size > self._size:
            return b""
        if self._start is not None:
            return self._bytes.array(self._start + offset, np.dtype("uint8"), (size,)).tobytes()
        self._content.seek(offset)
        return self._content.read(size)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._bytes.close()


class _Refused(ValueError):
    """What is wrong with a file that is being opened, in words for the user; other errors are the library's."""
