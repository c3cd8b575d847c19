"""Reads HDF5 files of others: a process with limits finds what is in the file, and the values are read here."""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lxmert.utils.file_bytes import FileBytes, empty_aligned
from lxmert.utils.foreign_files import InvalidFileError, reading

from .array import Chunks, Hdf5Array, array_of
from .client import records

_DEFLATE, _SHUFFLE = 1, 2  # numbers of filters; the second reorders bytes
_UNPACKED_HERE: tuple[list[int], ...] = ([], [_DEFLATE], [_SHUFFLE, _DEFLATE])
_KEPT = 16 * 2**20  # bytes of chunks that are kept unpacked, as the next row is probably in the same one


class Hdf5Contents:
    """What is in an HDF5 file, or in some groups of it.

    Attributes:
        arrays: by name, in the order in which they are found.
        groups: the attributes of each by name; "" is the root.
        unread: attributes of groups that the library cannot read: the group, the name and the message.
        links: names that are not followed: of each whether it is a second name of what has another, or else a link.
        preceded: whether something else is in the file before HDF5 begins; nothing is read then.
        stored: the bytes of all arrays in the file.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Hdf5Array] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.unread: list[tuple[str, str, str]] = []
        self.links: dict[str, bool] = {}
        self.preceded = False
        self.stored = 0

    def _find(self, file: FileBytes, trusted: bool, request: dict[str, Any] | None) -> None:
        with closing(records(file, request, trusted=trusted)) as found:
            for record, content in found:
                with reading(file.path, "is a damaged HDF5 file"):
                    self._note(file, record, content)

    def _note(self, file: FileBytes, record: dict[str, Any], content: bytes) -> None:
        match record["kind"]:
            case "group":
                self.groups[record["name"]] = record.get("attributes", {})
                self.unread += [(record["name"], name, text) for name, text in record.get("unread", {}).items()]
            case "array":
                array = self.arrays[record["name"]] = array_of(record, content)
                self.stored += 0 if array.elsewhere else array.stored
                if self.stored > file.size:
                    raise InvalidFileError(f"{file.path} is a damaged HDF5 file: its arrays claim the same bytes.")
            case "preceded":
                self.preceded = True
            case "deep":
                raise InvalidFileError(f"{file.path} has deeper groups than any file of weights or features.")
            case _:
                self.links[record["name"]] = record["kind"] == "again"


class Hdf5Reader(Hdf5Contents):
    """An HDF5 file of others.

    Args:
        file: the HDF5 file, perhaps in an archive; it is closed with this.
        trusted: whether to open it in this process, which a hostile file can end; this saves a tenth of a second.
        top_only: whether to find only what is at the top of the file, without attributes: files of features may have a
            hundred thousand groups. See `look_into`.

    Raises:
        InvalidFileError: a damaged file, or one that takes the library more memory or time than its size explains.
        OSError: no process can be started.
    """

    def __init__(self, file: FileBytes, trusted: bool = False, top_only: bool = False):
        super().__init__()
        self.path, self.file, self._trusted = file.path, file, trusted
        self._unpacked: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._kept = 0  # bytes of `_unpacked`
        self._damaged: dict[tuple[str, int], str] = {}  # so that a chunk is not unpacked for each of its rows
        self._lock = Lock()
        try:
            self._find(file, trusted, {"inside": []} if top_only else None)
        except BaseException:
            file.close()
            raise

    def look_into(self, groups: list[str]) -> Hdf5Contents:
        """What is in some groups at the top of the file, without attributes.

        Raises:
            InvalidFileError: as for the file.
        """
        found = Hdf5Contents()
        found._find(self.file, self._trusted, {"inside": groups})
        return found

    def check(self, array: Hdf5Array) -> None:
        """Refuse an array that claims more than the file stores of it, or to be where the file is not.

        Raises:
            InvalidFileError: naming the array.
        """
        if not array.is_checked and (problem := array.problem(self.file.size)):
            raise InvalidFileError(f"{self.path}: {array.name} {problem}")
        array.is_checked = True

    def check_chunks(self, array: Hdf5Array) -> None:
        """Unpack every chunk of a compressed array once, for readers that unpack without a limit.

        Raises:
            InvalidFileError: a chunk that is not what the array says.
        """
        if array.filters and array.chunks:
            for number in range(len(array.chunks.table)):
                self._chunk(array, array.chunks, number)

    def read(self, array: Hdf5Array, rows: tuple[int, int] | None = None) -> np.ndarray:
        """Read an array, or its rows from the first number to before the second. Threads may read at the same time.

        Returns:
            Its values [rows, …] in native byte order; for the dtype V2 their bytes.

        Raises:
            InvalidFileError: damage there; see also `check`, which this calls.
        """
        self.check(array)
        shape, native = array.shape, array.dtype.newbyteorder("=")
        start, stop = rows if rows is not None else (0, shape[0] if shape else 0)
        if rows is not None:
            if not (shape and 0 <= start <= stop <= shape[0]):
                raise InvalidFileError(f"{self.path}: {array.name} has no rows {start} to {stop}; it is {list(shape)}.")
            shape = (stop - start, *shape[1:])
        count, skipped = math.prod(shape), start * math.prod(shape[1:])
        if not count:
            return np.zeros(shape, native)
        with reading(self.path, f"is damaged at {array.name}"):
            if array.inline is not None:
                values = np.frombuffer(array.inline, array.dtype)[skipped : skipped + count].reshape(shape)
            elif array.offset is not None:
                values = self.file.array(array.offset + skipped * native.itemsize, native, shape)
                return values.byteswap() if array.place is None else values
            elif array.chunks is None:
                raise InvalidFileError(f"{self.path}: {array.name} was never written.")
            elif array.filters in _UNPACKED_HERE:
                values = self._from_chunks(array, array.chunks, start, shape)
            else:
                values = self._from_library(array, rows, shape)
            return values.astype(native, copy=array.inline is not None)

    def _from_chunks(self, array: Hdf5Array, chunks: Chunks, start: int, shape: tuple[int, ...]) -> np.ndarray:
        """Rows from `start` on, put together from the chunks that have a part of them."""
        values = empty_aligned(shape, array.dtype)
        missing = values.size
        first = chunks.table[:, 0]
        for number in np.flatnonzero((first < start + shape[0]) & (first + chunks.shape[0] > start)).tolist():
            position = chunks.table[number, : len(shape)].tolist()
            position[0] -= start
            inside = [
                (max(0, at), min(at + length, end))
                for at, length, end in zip(position, chunks.shape, shape, strict=True)
            ]
            if any(low >= high for low, high in inside):
                continue
            part = values[tuple(slice(low, high) for low, high in inside)]
            source = tuple(slice(low - at, high - at) for (low, high), at in zip(inside, position, strict=True))
            part[...] = self._chunk(array, chunks, number)[source]
            missing -= part.size
        if missing:  # two chunks at one place are damage too
            raise InvalidFileError(f"{self.path}: {array.name} is truncated, or was never written as a whole.")
        return values

    def _chunk(self, array: Hdf5Array, chunks: Chunks, number: int) -> np.ndarray:
        """A chunk, unpacked; the last ones are kept."""
        key = (array.name, number)
        with self._lock:
            if key in self._damaged:
                raise InvalidFileError(self._damaged[key])
            if key in self._unpacked:
                self._unpacked.move_to_end(key)
                return self._unpacked[key]
        try:
            values = self._unpack(array, chunks, chunks.table[number].tolist())
        except InvalidFileError as error:
            self._damaged[key] = str(error)
            raise
        with self._lock:
            if key not in self._unpacked:
                self._unpacked[key] = values
                self._kept += values.nbytes
            while self._kept > _KEPT:
                self._kept -= self._unpacked.popitem(last=False)[1].nbytes
        return values

    def _unpack(self, array: Hdf5Array, chunks: Chunks, entry: list[int]) -> np.ndarray:
        """The values of a chunk by its entry in the table: no more than these are ever made."""
        *position, offset, size, skipped = entry
        content = self.file.bytes(offset, size) if offset >= 0 and not skipped else b""
        if array.filters:
            unpacking = zlib.decompressobj()
            with reading(self.path, f"is damaged at {array.name}, in its chunk at {tuple(position)}"):
                content = unpacking.decompress(content, array.chunk_size + 1)
        if len(content) != array.chunk_size or (array.filters and not unpacking.eof):
            raise InvalidFileError(
                f"{self.path} is damaged at {array.name}: its chunk at {tuple(position)} is not {array.chunk_size} "
                f"bytes{', compressed by deflate' if array.filters else ''}."
            )
        if _SHUFFLE in array.filters:
            content = np.frombuffer(content, np.uint8).reshape(array.dtype.itemsize, -1).T.tobytes()
        return np.frombuffer(content, array.dtype).reshape(chunks.shape)

    def _from_library(self, array: Hdf5Array, rows: tuple[int, int] | None, shape: tuple[int, ...]) -> np.ndarray:
        """Values that only the library can unpack, which it does where it has opened the file."""
        request = {"array": array.name, "rows": rows}
        most = math.prod(shape) * array.dtype.itemsize + array.chunk_size + 4096
        with closing(records(self.file, request, most, self._trusted)) as found:
            content = b"".join(values for _, values in found)
        return np.frombuffer(content, array.dtype).reshape(shape)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open_hdf5(path: Path, trusted: bool = False, top_only: bool = False) -> Hdf5Reader:
    """Open an HDF5 file; see `Hdf5Reader`."""
    return Hdf5Reader(FileBytes(path), trusted, top_only)
