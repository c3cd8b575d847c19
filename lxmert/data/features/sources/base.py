"""What a file of published features is to an import: a source, which gives its images one after another.

A source is asked for its images from a position on, so that an import goes on where an earlier one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lxmert.data.features.image_regions import ImageRegions

KNOWN = (
    "the TSV files of LXMERT (10 columns) and of bottom-up-attention (6 columns); HDF5 files with image_features and "
    "image_bb, with a group per image, or GQA's gqa_objects_*.h5; folders of .npz or .npy files, and single .npz "
    "files"
)


class DamagedImage(ValueError):
    """An image that cannot be read, while those behind it can."""


class Entry(NamedTuple):
    """One image of a source, not read yet.

    Attributes:
        where: the file and the line or id, for messages.
        size: bytes of the source that it stands for.
        position: of what comes behind it, JSON values.
        read: gives its regions, or raises DamagedImage (any ValueError is one).
    """

    where: str
    size: int
    position: dict[str, Any]
    read: Callable[[], ImageRegions]


class Source(Protocol):
    """Images with their regions in files of one kind.

    Attributes:
        path: the file or folder.
        title: its kind.
        size: bytes, for the progress.
        rows_without_id: how many of its images cannot come into a store, because nothing tells their names.
    """

    path: Path
    title: str
    size: int
    rows_without_id: int

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """The images behind a position, all of them if it is None.

        Raises:
            ValueError: the source is not the one any more in which that position was, or is damaged as a whole.
        """

    def consumed(self, position: dict[str, Any] | None) -> int:
        """How many bytes of `size` lie before a position."""


class Reading(NamedTuple):
    """How sources are read where they do not say it themselves.

    Attributes:
        ids: a file with the images' ids, for HDF5 files that have none.
        boxes: "xyxy" or "xywh" for GQA's files; None to find out.
    """

    ids: Path | None = None
    boxes: str | None = None
