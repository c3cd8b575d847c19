"""HDF5 files of features, read without trusting them; see `lxmert.utils.hdf5`."""

from __future__ import annotations

import math
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.arrays.rows import MAX_IMAGE_BYTES, MOST_IDS_BYTES, check_image_size
from lxmert.data.features.sources.base import DamagedImage, NumberedSource
from lxmert.data.features.sources.pictures import SPELLINGS
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.hdf5.array import Hdf5Array
from lxmert.utils.hdf5.reader import Hdf5Contents, open_hdf5
from lxmert.utils.messages import escaped, shown

_BLOCK = 8 * 2**20  # bytes of rows in chunks that are read at a time
_LARGEST_CHUNK = 64 * 2**20  # bytes of one that is compressed; larger only if its file is
_CHUNK_EXPANSION = 20  # features hardly shrink


class Hdf5FeatureFile:
    """An HDF5 file; only arrays of numbers that it stores itself are read.

    Raises:
        InvalidFileError: a damaged file.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._reader = open_hdf5(path, top_only=True)
        weakref.finalize(self, self._reader.close)
        self._blocks: dict[str, tuple[int, np.ndarray | None]] = {}
        reader = self._reader
        self.names = sorted((reader.arrays.keys() | reader.groups.keys() | reader.links.keys()) - {""})
        self.size = reader.file.size

    def is_group(self, name: str) -> bool:
        """Whether a name at the top is a group in this file."""
        return name in self._reader.groups

    @property
    def begins_with_group(self) -> bool:
        """Whether the first name at the top is that of a group, or of a link, which may be one to a group."""
        return bool(self.names) and self.names[0] not in self._reader.arrays

    def check_group(self, name: str) -> None:
        """Refuse what is no group.

        Raises:
            InvalidFileError: naming it.
        """
        self._check_link(name, self._reader)
        if name not in self._reader.groups:
            raise InvalidFileError(f"{self.path}: {escaped(name)} must be a group.")

    def look_into(self, groups: list[str]) -> Hdf5Contents:
        """See `Hdf5Reader.look_into`."""
        return self._reader.look_into(groups)

    def array(self, name: str, contents: Hdf5Contents | None = None) -> Hdf5Array:
        """An array that the file itself stores completely, at the top or in `contents`.

        Raises:
            InvalidFileError: a link, no numbers, or a claim of more than the file stores.
        """
        contents = contents or self._reader
        where = f"{self.path}: {escaped(name)}"
        self._check_link(name, contents)
        if name not in contents.arrays:
            raise InvalidFileError(f"{where} must be an array.")
        array = contents.arrays[name]
        self._reader.check(array)
        if array.dtype.kind not in "fiuS":
            raise InvalidFileError(f"{where} must hold numbers; it holds {array.dtype}.")
        if array.filters and array.chunk_size > max(_LARGEST_CHUNK, _CHUNK_EXPANSION * array.stored):
            raise InvalidFileError(
                f"{where} claims chunks of {array.chunk_size:,} bytes, but {array.stored:,} are stored."
            )
        return array

    def _check_link(self, name: str, contents: Hdf5Contents) -> None:
        if name in contents.links:
            kind = "a second name of what has another" if contents.links[name] else "a link"
            raise InvalidFileError(f"{self.path}: {escaped(name)} is {kind}, which is not followed.")

    def ids(self) -> list[str] | None:
        """The ids of the images by row, if the file has them: strings or integers [N], or one in each row."""
        name = next((name for name in SPELLINGS["ids"] if name in self.names), None)
        if name is None:
            return None
        array = self._reader.arrays.get(name)
        if array is not None and array.texts is not None:
            return array.texts
        values = self.whole(self.array(name), MOST_IDS_BYTES).reshape(-1).tolist()
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]

    def whole(self, array: Hdf5Array, most: int = MAX_IMAGE_BYTES) -> np.ndarray:
        """All values of an array.

        Raises:
            DamagedImage: they are more than `most` bytes, far more than those of an image.
        """
        if array.size > most:
            raise DamagedImage(f"an array of {shown(list(array.shape))} is larger than any image's.")
        return self._reader.read(array)

    def rows(self, array: Hdf5Array, start: int, stop: int) -> np.ndarray:
        """Some rows of an array; the errors are those of `whole`."""
        shape = (stop - start, *array.shape[1:])
        check_image_size(f"an array of {shown(list(shape))}", math.prod(shape) * array.dtype.itemsize)
        if array.chunks is not None and 0 <= start < stop <= array.shape[0]:
            length = _block_length(array)
            first = start // length * length
            block = self._block(array, first, length) if stop <= first + length else None
            if block is not None:
                return block[start - first : stop - first]
        return self._reader.read(array, (start, stop))

    def _block(self, array: Hdf5Array, first: int, length: int) -> np.ndarray | None:
        """The last block that was read of an array; None if something in it is damaged, perhaps one image alone."""
        if array.name not in self._blocks or self._blocks[array.name][0] != first:
            values = None
            with suppress(InvalidFileError):
                values = self._reader.read(array, (first, min(first + length, array.shape[0])))
            self._blocks[array.name] = first, values
        return self._blocks[array.name][1]

    def row(self, array: Hdf5Array, number: int, count: int | None = None) -> np.ndarray:
        """A row of an array, or the first `count` values of it; the errors are those of `whole`."""
        if count is None or array.offset is None:
            values = self.rows(array, number, number + 1)[0]
            return values if count is None else values[:count]
        # No more of the row is read than was asked for.
        rows, width = array.shape[:2] if len(array.shape) > 1 else (0, 0)
        if not (0 <= number < rows and 0 <= count <= width):
            raise DamagedImage(f"row {number} with {count} values is not in an array of {shown(list(array.shape))}.")
        flat = replace(array, shape=(rows * width, *array.shape[2:]))
        return self.rows(flat, number * width, number * width + count)


def _block_length(array: Hdf5Array) -> int:
    """How many rows of an array in chunks are read at a time: whole chunks, as each is unpacked as a whole."""
    length = array.chunks.shape[0] if array.chunks else 1
    size = math.prod(array.shape[1:]) * array.dtype.itemsize * length
    return length * max(1, _BLOCK // max(1, size)) if size <= MAX_IMAGE_BYTES else 1


class Hdf5Source(NumberedSource):
    """The base of the HDF5 layouts."""

    def __init__(self, file: Hdf5FeatureFile, names: list[str], rows_without_id: int = 0):
        super().__init__(file.path, names, file.size, rows_without_id)
        self.file = file

    def where(self, number: int) -> str:
        """The file and the image's name."""
        return f"{self.path}, image {shown(self.names[number])}"

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        raise NotImplementedError
