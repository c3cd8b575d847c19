"""The protocol of a feature file for imports: a source yields its images in order, from any position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import shown


class DamagedImage(InvalidFileError):
    """An image cannot be read, but those after it can."""


class WrongOptions(InvalidFileError):
    """A file contradicts what was stated or inferred of it as a whole: no image is read, also not by --skip-damaged."""


class Entry(NamedTuple):
    """One image of a source, not read yet.

    Attributes:
        where: the file and the line or id, for messages.
        size: its bytes in the source.
        position: where the next image starts; JSON values.
        load: returns its regions; whatever it raises is damage of the image.
    """

    where: str
    size: int
    position: dict[str, Any]
    load: Callable[[], ImageRegions]

    def read(self) -> ImageRegions:
        """Its regions.

        Raises:
            InvalidFileError: it cannot be read.
        """
        with reading("it", "cannot be read"):
            return self.load()


class Source(Protocol):
    """A file or folder with the regions of images.

    Attributes:
        path, size: the file or folder, and its bytes, for the progress.
        rows_without_id: the number of images that cannot be stored because they have no name.
    """

    path: Path
    size: int
    rows_without_id: int

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """The images from a position on, all for None; a ValueError if the source has changed, or is damaged."""

    def consumed(self, position: dict[str, Any] | None) -> int:
        """How many bytes of `size` are before a position."""


class SourceOptions(NamedTuple):
    """What a file does not say itself.

    Attributes:
        ids: the file with the ids of rows.
        boxes: "xyxy" or "xywh", two corners, or a corner with width and height.
        columns: the names of a TSV's columns.
        sizes: the file with the sizes of images.
        boxes_from: the file with the boxes of features that have none.
    """

    ids: Path | None = None
    boxes: str | None = None
    columns: tuple[str, ...] | None = None
    sizes: Path | None = None
    boxes_from: Path | None = None


class NumberedSource:
    """A source with random access: its images have names and numbers. The base of HDF5 and NumPy sources.

    A position is the number of the next image and the name of the one before it.
    """

    def __init__(self, path: Path, names: list[str], size: int, rows_without_id: int = 0):
        self.path, self.names, self.size, self.rows_without_id = path, names, size, rows_without_id

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`."""
        start = position["next"] if position else 0
        if position and (start > len(self.names) or self.names[start - 1] != position["last"]):
            raise ValueError(
                f"{self.path} has changed since the import began: image {start} was {shown(position['last'])}. Pass it "
                "as it was, or start over (--restart)."
            )
        for number in range(start, len(self.names)):
            size = self.bytes_before(number + 1) - self.bytes_before(number)
            after = {"next": number + 1, "last": self.names[number]}
            yield Entry(self.where(number), size, after, partial(self.read, number))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return self.bytes_before(position["next"]) if position else 0

    def bytes_before(self, number: int) -> int:
        """The bytes of the images before one; by default all images have the same size."""
        return self.size * number // max(1, len(self.names))

    def where(self, number: int) -> str:
        """An image, for messages."""
        raise NotImplementedError

    def read(self, number: int) -> ImageRegions:
        """The regions of an image; whatever it raises is damage of the image."""
        raise NotImplementedError
