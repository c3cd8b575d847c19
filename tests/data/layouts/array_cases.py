"""Rows of the table: NumPy, HDF5, LMDB, Arrow."""

import numpy as np

from .. import region_files
from . import IMAGES, Case


def npz_folder(folder):
    for one in IMAGES:
        np.savez(folder / f"{one.name}.npz", features=one.features, boxes=one.boxes, height=300, width=320)
    return folder


ARRAY_CASES = [
    Case("NumPy files", npz_folder),
    Case("HDF5 with a group per image", lambda folder: region_files.write_groups(folder / "a.h5", IMAGES)),
]
