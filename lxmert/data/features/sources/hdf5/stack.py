"""HDF5 files with a row per image under plain names, such as those of VisDial (image_id, features, boxes) and of XNM
(ids, widths, heights, and features [N, F, R] with boxes [N, 4, R])."""

from __future__ import annotations

import numpy as np

from lxmert.data.features.sources.arrays.stack import Stack
from lxmert.data.features.sources.base import SourceOptions
from lxmert.data.features.sources.pictures import spelled
from lxmert.utils.hdf5.array import Hdf5Array

from .file import Hdf5FeatureFile


class _Rows:
    """An array of an HDF5 file as `array_rows.Rows`."""

    def __init__(self, file: Hdf5FeatureFile, array: Hdf5Array):
        self._file, self._array = file, array
        self.shape, self.dtype = array.shape, array.dtype

    def row(self, number: int) -> np.ndarray:
        """See `Rows.row`."""
        return self._file.row(self._array, number)


def open_hdf5_stack(file: Hdf5FeatureFile, options: SourceOptions) -> Stack:
    """An HDF5 file with a row per image; the errors are those of `Stack`."""
    parts = {part: name for part, name in spelled(file.names).items() if part != "ids"}
    arrays = {name: _Rows(file, file.array(name)) for name in parts.values()}
    names = None if options.ids else file.ids()
    return Stack(file.path, arrays, options, names, file.size)
