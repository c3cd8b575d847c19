"""Open feature files, and recognize their layout by content."""

from __future__ import annotations

from pathlib import Path

from lxmert.utils.messages import first_few

from .base import KNOWN_LAYOUTS, Source, SourceOptions
from .hdf5_file import Hdf5FeatureFile
from .hdf5_gqa import GqaObjects
from .hdf5_groups import Hdf5Groups
from .hdf5_rows import Hdf5Rows
from .numpy import NumpyFiles
from .tsv import Tsv


def open_source(path: str | Path, options: SourceOptions | None = None) -> Source:
    """Open a file or folder of features.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: an unknown layout, or a damaged file; the message says what to do.
    """
    path, options = Path(path), options or SourceOptions()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; pass a file or a folder of features.")
    if path.is_dir():
        return NumpyFiles(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _open_hdf5(path, options)
    if start.startswith(b"PK\x03\x04"):
        return NumpyFiles(path)
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        raise ValueError(
            f"{path} is a pickle, a program that would run when it is read; it is not read. If you trust it, load it "
            "in Python yourself and write its content as .npz files (ID.npz with features, boxes, width, height)."
        )
    if path.suffix == ".mdb":
        raise ValueError(
            f"{path} is an LMDB store, whose values are pickles, programs that would run when they are read. Import "
            "the HDF5 file that it was made from, or write its images as .npz files (ID.npz with features, boxes, "
            "width, height)."
        )
    return Tsv(path)


def _open_hdf5(path: Path, options: SourceOptions) -> Source:
    """The names at the top of a file tell its layout."""
    file = Hdf5FeatureFile(path)
    names = file.first_names()
    if {"image_features", "image_bb"} <= names:
        return Hdf5Rows(file, options)
    if {"features", "bboxes"} <= names:
        return GqaObjects(file, options)
    if names and file.is_group(min(names)):
        return Hdf5Groups(file)
    file.close()
    raise ValueError(
        f"{path} is an HDF5 file of features in an unknown layout; at its top it has {first_few(sorted(names))}. "
        f"Known are {KNOWN_LAYOUTS}."
    )
