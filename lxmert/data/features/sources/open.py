"""Which kind of source is it? The files in which features are published, told by what they hold."""

from __future__ import annotations

from pathlib import Path

from .base import Reading, Source
from .hdf5 import open_hdf5
from .numpy import NumpyFolder
from .tsv import Tsv


def open_source(path: str | Path, reading: Reading | None = None) -> Source:
    """Open a file or folder of features.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: of no kind that is read; it says what to do.
    """
    path, reading = Path(path), reading or Reading()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a file or a folder of features.")
    if path.is_dir():
        return NumpyFolder(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return open_hdf5(path, reading)
    if start.startswith(b"PK\x03\x04"):
        return NumpyFolder(path)
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        raise ValueError(
            f"{path} is a pickle, a program that would run when it is read; it is not read. Where you trust it, load "
            "it in Python yourself and write what it holds as .npz files (ID.npz with features, boxes, width, height)."
        )
    if path.suffix == ".mdb":
        raise ValueError(
            f"{path} is an LMDB store, whose values are pickles, programs that would run when they are read. Import "
            "the HDF5 file that it was made of, or write its images as .npz files (ID.npz with features, boxes, "
            "width, height)."
        )
    return Tsv(path)
