"""The files in which features are published, told by what they hold; each gives its pictures one after another.

A source is asked for its pictures from a position on, so that an import goes on where an earlier one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .pictures import PictureRegions

KNOWN = (
    "the TSV files of LXMERT (10 columns) and of bottom-up-attention (6 columns); HDF5 files with image_features and "
    "image_bb, with a group per picture, or GQA's gqa_objects_*.h5; folders of .npz or .npy files, and single .npz "
    "files"
)


class DamagedPicture(ValueError):
    """A picture that cannot be read, while those behind it can."""


class Entry(NamedTuple):
    """One picture of a source, not read yet.

    Attributes:
        where: the file and the line or id, for messages.
        size: bytes of the source that it stands for.
        position: of what comes behind it, JSON values.
        read: gives its regions, or raises DamagedPicture (any ValueError is one).
    """

    where: str
    size: int
    position: dict[str, Any]
    read: Callable[[], PictureRegions]


class Source(Protocol):
    """Pictures with their regions in files of one kind.

    Attributes:
        path: the file or folder.
        title: its kind.
        size: bytes, for the progress.
        rows_without_id: how many of its pictures cannot come into a store, because nothing tells their names.
    """

    path: Path
    title: str
    size: int
    rows_without_id: int

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """The pictures behind a position, all of them if it is None.

        Raises:
            ValueError: the source is not the one any more in which that position was, or is damaged as a whole.
        """

    def consumed(self, position: dict[str, Any] | None) -> int:
        """How many bytes of `size` lie before a position."""


class Reading(NamedTuple):
    """How sources are read where they do not say it themselves.

    Attributes:
        ids: a file with the pictures' ids, for HDF5 files that have none.
        boxes: "xyxy" or "xywh" for GQA's files; None to find out.
    """

    ids: Path | None = None
    boxes: str | None = None


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
        from .numpy_source import NumpyFolder

        return NumpyFolder(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        from .hdf5_sources import open_hdf5

        return open_hdf5(path, reading)
    if start.startswith(b"PK\x03\x04"):
        from .numpy_source import NumpyFolder

        return NumpyFolder(path)
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        raise ValueError(
            f"{path} is a pickle, a program that would run when it is read; it is not read. Where you trust it, load "
            "it in Python yourself and write what it holds as .npz files (ID.npz with features, boxes, width, height)."
        )
    if path.suffix == ".mdb":
        raise ValueError(
            f"{path} is an LMDB store, whose values are pickles, programs that would run when they are read. Import "
            "the HDF5 file that it was made of, or write its pictures as .npz files (ID.npz with features, boxes, "
            "width, height)."
        )
    from .tsv_source import Tsv

    return Tsv(path)
