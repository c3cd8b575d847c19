"""HDF5 files of features, read without trusting them.

Links to other files and arrays that claim more than the file stores are refused; attributes are not read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, NumberedSource, WrongOptions
from lxmert.data.features.sources.pictures import SPELLINGS
from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.messages import escaped

if TYPE_CHECKING:
    import h5py

_MAX_IMAGE_BYTES = 256 * 2**20  # of an image's array, and of a chunk of compressed numbers
# What h5py raises for damaged files.
DAMAGE = (OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, OverflowError, SystemError)


class Hdf5FeatureFile:
    """An HDF5 file; only arrays that it stores itself are read."""

    def __init__(self, path: Path):
        import h5py

        self.path, self._h5py = path, h5py
        try:
            self._file = h5py.File(path, "r", rdcc_nbytes=16 * 2**20)
        except DAMAGE as error:
            raise ValueError(f"{path} is not an HDF5 file, or damaged: {error}") from None

    def first_names(self) -> set[str]:
        """Some of the names at the top: all of them if they are few."""
        names: set[str] = set()
        for name in self._file:
            names.add(name)
            if len(names) > 20:
                break
        return names

    def names(self) -> list[str]:
        """All names at the top, sorted."""
        return sorted(self._file)

    def is_group(self, name: str) -> bool:
        """Whether a name at the top is a group in this file."""
        return isinstance(self._item(self._file, name), self._h5py.Group)

    def group(self, name: str) -> h5py.Group:
        """A group at the top."""
        item = self._item(self._file, name)
        if not isinstance(item, self._h5py.Group):
            raise DamagedImage("a group was expected.")
        return item

    def array(self, name: str, group: h5py.Group | None = None) -> h5py.Dataset:
        """An array that the file itself stores completely.

        Raises:
            ValueError: a link, no numbers, or a claim of more than the file stores.
        """
        item = self._item(self._file if group is None else group, name)
        if not isinstance(item, self._h5py.Dataset):
            raise ValueError(f"{self.path}: {name} must be an array.")
        if item.external or item.is_virtual:
            raise ValueError(f"{self.path}: the values of {name} are in another file, which is not read.")
        if item.dtype.kind not in "fiuS" or item.shape is None:
            raise ValueError(f"{self.path}: {name} must hold numbers; it holds {item.dtype}.")
        claimed = math.prod(item.shape) * item.dtype.itemsize
        stored = item.id.get_storage_size()
        compressed = bool(item.id.get_create_plist().get_nfilters())
        if claimed > (max_unpacked_size(stored) if compressed else stored):
            raise ValueError(
                f"{self.path}: {name} claims {claimed:,} bytes, but {stored:,} are stored; it is truncated, or was "
                "never written."
            )
        if compressed:
            self._check_chunks(name, item)
        return item

    def ids(self) -> list[str] | None:
        """The ids of the images by row, if the file has them: strings or integers [N], or one in each row."""
        name = next((name for name in SPELLINGS["ids"] if name in self._file), None)
        if name is None:
            return None
        item = self._item(self._file, name)
        text = isinstance(item, self._h5py.Dataset) and self._h5py.check_string_dtype(item.dtype)
        if text and text.length is None:  # strings of any length, whose places are stored row by row
            if item.external or item.is_virtual or item.size * 16 > max_unpacked_size(item.id.get_storage_size()):
                raise ValueError(f"{self.path}: {name} claims more ids than are stored.")
        else:
            item = self.array(name)
        values = np.asarray(item[()]).reshape(-1).tolist()
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]

    def values(self, item: h5py.Dataset, where: Any) -> np.ndarray:
        """The values of one image in an array.

        Args:
            item: the array.
            where: a row, a slice of rows, a row and a slice, or () for the whole array.

        Raises:
            DamagedImage: they are far larger than an image's.
        """
        shape = item.shape[1:] if not isinstance(where, tuple) or where else item.shape
        if isinstance(where, slice):
            shape = (max(0, where.stop - where.start), *shape)
        if math.prod(shape) * item.dtype.itemsize > _MAX_IMAGE_BYTES:
            raise DamagedImage(f"an array of {list(shape)} is larger than any image's.")
        return np.asarray(item[where])

    def _check_chunks(self, name: str, item: h5py.Dataset) -> None:
        """Refuse huge chunks, and chunks whose compressed bytes are more than their numbers."""
        size = math.prod(item.chunks) * item.dtype.itemsize
        sizes: list[int] = []
        item.id.chunk_iter(lambda chunk: sizes.append(chunk.size))
        if size > _MAX_IMAGE_BYTES or max(sizes, default=0) > 1.01 * size + 4096:
            raise ValueError(f"{self.path}: {name} has chunks that are larger than its header allows.")

    def _item(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
            raise ValueError(f"{self.path}: {name} is a link, which is not followed.")
        return group[name]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Hdf5Source(NumberedSource):
    """The base of the HDF5 layouts; any error of h5py is damage of the image."""

    def __init__(self, file: Hdf5FeatureFile, names: list[str], rows_without_id: int = 0):
        super().__init__(file.path, names, file.path.stat().st_size, rows_without_id)
        self.file = file

    def where(self, number: int) -> str:
        """The file and the image's name."""
        return f"{self.path}, image {escaped(self.names[number])!r}"

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        try:
            return self.read_image(number)
        except (DamagedImage, WrongOptions):
            raise
        except (*DAMAGE, MemoryError) as error:
            raise DamagedImage(f"it cannot be read: {error}") from None

    def read_image(self, number: int) -> ImageRegions:
        """The regions of an image."""
        raise NotImplementedError
