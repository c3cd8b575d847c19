"""HDF5 files with a row per image under plain names, such as those of VisDial (image_id, features, boxes) and of XNM
(ids, widths, heights, and features [N, F, R] with boxes [N, 4, R])."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lxmert.data.features.sources.arrays.stack import Stack
from lxmert.data.features.sources.base import DamagedImage, SourceOptions
from lxmert.data.features.sources.pictures import spelled

from .file import DAMAGE, Hdf5FeatureFile

if TYPE_CHECKING:
    import h5py


class _Rows:
    """An array of an HDF5 file as `array_rows.Rows`."""

    def __init__(self, file: Hdf5FeatureFile, item: h5py.Dataset):
        self._file, self._item = file, item
        self.shape, self.dtype = item.shape, item.dtype

    def row(self, number: int) -> np.ndarray:
        """See `Rows.row`."""
        try:
            return self._file.values(self._item, number)
        except DamagedImage:
            raise
        except (*DAMAGE, MemoryError) as error:
            raise DamagedImage(f"it cannot be read: {error}") from None


def open_hdf5_stack(file: Hdf5FeatureFile, options: SourceOptions) -> Stack:
    """An HDF5 file with a row per image; the errors are those of `Stack`."""
    parts = {part: name for part, name in spelled(file.first_names()).items() if part != "ids"}
    arrays = {name: _Rows(file, file.array(name)) for name in parts.values()}
    names = None if options.ids else file.ids()
    return Stack(file.path, arrays, options, names, file.path.stat().st_size)
