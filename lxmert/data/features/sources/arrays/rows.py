"""Arrays in .npy files and in members of .npz files, read row by row: no array is ever in memory as a whole."""

from __future__ import annotations

import io
import math
import os
import weakref
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np

from lxmert.data.features.layout import parse_npy_header
from lxmert.data.features.sources.base import DamagedImage
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import shown
from lxmert.utils.plain_pickle import parse_plain_pickle
from lxmert.utils.positional_io import read_at
from lxmert.utils.zip_files import ZipArchive

MAX_IMAGE_BYTES = 64 * 2**20  # of one row, or of an image's array: 8,192 regions of 2,048 float32 numbers
MOST_IDS_BYTES = 256 * 2**20  # of the ids of all images
_BLOCK = 4 * 2**20  # bytes of a packed member that are unpacked at a time on the way to a row


def check_image_size(what: str, size: int) -> None:
    """Refuse what is larger than `MAX_IMAGE_BYTES`, before it is read: a DamagedImage error."""
    if size > MAX_IMAGE_BYTES:
        raise DamagedImage(f"{what} is larger than {MAX_IMAGE_BYTES:,} bytes, too large for an image.")


class Rows(Protocol):
    """An array whose first axis is the images."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def row(self, number: int) -> np.ndarray:
        """The values of one image; a DamagedImage error if they cannot be read."""


class Header(NamedTuple):
    """The header of a .npy file, and how many bytes it takes."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype
    end: int


def read_header(file: IO[bytes], where: str) -> Header:
    """The header of a .npy file at its start; an InvalidFileError for another file."""
    try:
        with reading(where):
            shape, by_columns, dtype = parse_npy_header(file)  # type: ignore[arg-type]
    except InvalidFileError as error:
        raise InvalidFileError(f"{where} is not a .npy file: {error}.") from None
    return Header(shape, by_columns and len(shape) > 1, dtype, file.tell())


def parse_array(content: bytes, where: str) -> Any:
    """The array of a whole .npy file; of one of objects (a pickle) the plain values in it."""
    header = read_header(io.BytesIO(content), where)
    if header.dtype.hasobject:
        return parse_plain_pickle(memoryview(content)[header.end :], where)
    values = np.frombuffer(content, np.uint8, offset=header.end)
    if len(values) != math.prod(header.shape) * header.dtype.itemsize or header.dtype.kind not in "fiubSU":
        raise DamagedImage(
            f"{where} must hold {header.dtype} {shown(list(header.shape))}; it has {len(values):,} bytes."
        )
    return values.view(header.dtype).reshape(header.shape, order="F" if header.by_columns else "C")


class _StoredRows:
    """The base: rows of a fixed size, one after the other."""

    def __init__(self, where: str, header: Header):
        self.where, self.shape, self.dtype = where, header.shape, header.dtype
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        if self.dtype.kind not in "fiubSU":
            advice = " Of images with different numbers of regions save one file each." if self.dtype.hasobject else ""
            raise ValueError(f"{where} must hold numbers; it holds {self.dtype}.{advice}")
        if header.by_columns:
            raise ValueError(
                f"{where} holds its numbers column by column, which cannot be read image by image: save "
                "numpy.ascontiguousarray(array)."
            )

    def row(self, number: int) -> np.ndarray:
        """See `Rows.row`."""
        check_image_size(f"a row {shown(list(self.shape[1:]))} of {self.where}", self._row_bytes)
        with reading(self.where):
            content = self._read(number * self._row_bytes, self._row_bytes)
        if len(content) < self._row_bytes:
            raise DamagedImage(f"{self.where} ends before it; the file is truncated.")
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])

    def _read(self, offset: int, size: int) -> bytes:
        raise NotImplementedError


class NpyRows(_StoredRows):
    """The rows of a .npy file, or of an uncompressed member of an .npz file, which is one at an offset.

    Raises:
        ValueError: not numbers, column by column, or fewer or more bytes than the header says.
    """

    def __init__(self, path: Path, where: str, start: int = 0, size: int | None = None):
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        self._file.seek(start)
        header = read_header(self._file, where)
        super().__init__(where, header)
        self._start = header.end
        held = (os.fstat(self._file.fileno()).st_size if size is None else start + size) - header.end
        claimed = self._row_bytes * (self.shape[0] if self.shape else 1)
        if held != claimed:
            state = "is truncated" if held < claimed else "has extra bytes at its end"
            raise ValueError(f"{where} {state}: by its header it has {claimed:,} bytes of numbers; it has {held:,}.")

    def _read(self, offset: int, size: int) -> bytes:
        content = bytearray(size)
        return memoryview(content)[: read_at(self._file.fileno(), memoryview(content), self._start + offset)]  # type: ignore[return-value]


class PackedRows(_StoredRows):
    """The rows of a compressed member of an .npz file: in order, as a compressed file has no places to start at.

    Raises:
        ValueError: not numbers, or a claim that no compression can keep.
    """

    def __init__(self, archive: ZipArchive, name: str, where: str):
        self._archive, self._file = archive, archive.open(name)
        weakref.finalize(self, self._file.close)
        header = read_header(self._file, where)
        super().__init__(where, header)
        self._start = header.end
        claimed = header.end + self._row_bytes * (self.shape[0] if self.shape else 1)
        if claimed != archive.members[name].file_size:
            raise ValueError(f"{where} claims {claimed:,} bytes, but has {archive.members[name].file_size:,}.")

    def _read(self, offset: int, size: int) -> bytes:
        place = self._start + offset
        if place < self._file.tell():
            self._file.seek(0)
        while (left := place - self._file.tell()) > 0:
            if not self._file.read(min(left, _BLOCK)):
                return b""
        return self._file.read(size)


def member_rows(archive: ZipArchive, name: str, where: str) -> Rows:
    """The rows of a member of an .npz file."""
    info = archive.members[name]
    if info.compress_type != zipfile.ZIP_STORED:
        return PackedRows(archive, name, where)
    return NpyRows(archive.path, where, archive.start(name), info.file_size)
