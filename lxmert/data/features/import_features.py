"""Import published feature files into a store, as a stream; an interrupted import continues."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxmert.utils.messages import escaped

from .image_regions import ImageRegions
from .partial_store import has_progress, partial_folder
from .sources.base import Source, SourceOptions, WrongOptions
from .sources.columns import parse_columns
from .sources.open import open_source
from .writer import RegionWriter

_MAX_SKIPPED = 10_000
_PROGRESS_STEP = 2**22  # bytes between two calls of `progress`
_NAME_FIELD = re.compile(r"\{id(?::0(\d{1,2}))?\}")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportOptions:
    """How feature files are read, and what is stored of them.

    Attributes:
        dtype: of the features in the store. float32 keeps the numbers of all published files exactly; float16 takes
            half the disk and rounds each number to 11 bits, by up to 2^-11 of it (2^-25 below 2^-14).
        ids: the ids of an HDF5 file or of arrays that have none: a JSON object of ids and row numbers, or a pickle of
            the same, which may leave out rows; or an id for each row, as a JSON list, or as text with one id per line.
        boxes: "xyxy", two corners, or "xywh", a corner with width and height. None is "xyxy"; for GQA's files it is
            inferred.
        sizes: the images' sizes, where arrays have boxes in pixels and no sizes: a JSON object of ids and [height,
            width], or annotations of COCO.
        columns: the names of a TSV's columns, such as "image_id,image_h,image_w,num_boxes,boxes,features" or a list of
            them; None to recognize them. "_" is a column that is not read.
        boxes_from: a TSV with the boxes of features that have none: the image's key and JSON with rect, in the same
            order as the features.
        names: the images' names in the store, with {id} for the id in the source: "COCO_val2014_{id:012}".
        rename: names by id, which take precedence.
        skip_damaged: whether to skip damaged images and list them in the report; otherwise the first one is an error.
        clip_boxes: whether to clip boxes at the border of their image; otherwise such an image is damaged.
    """

    dtype: str = "float32"
    ids: str | Path | None = None
    boxes: str | None = None
    sizes: str | Path | None = None
    columns: str | Sequence[str] | None = None
    boxes_from: str | Path | None = None
    names: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    skip_damaged: bool = False
    clip_boxes: bool = False

    def __post_init__(self) -> None:
        if self.names is not None and len(_NAME_FIELD.findall(self.names)) != 1:
            raise ValueError(
                f"names must have {{id}} in it once, or {{id:012}} for a number of twelve digits; got {self.names!r}."
            )

        if self.columns is not None:
            parse_columns(self._column_names())

    def _column_names(self) -> list[str]:
        return self.columns.split(",") if isinstance(self.columns, str) else list(self.columns or ())

    def settings(self) -> dict[str, Any]:
        """The options that an interrupted import must be continued with."""
        table = json.dumps(sorted(self.rename.items()))
        newer = {  # older versions did not save them
            "columns": None if self.columns is None else list(parse_columns(self._column_names())),
            "boxes_from": None if self.boxes_from is None else str(self.boxes_from),
        }
        return {
            **{name: value for name, value in newer.items() if value is not None},
            "names": self.names,
            "rename": zlib.crc32(table.encode()) if self.rename else None,
            "boxes": self.boxes,
            "ids": None if self.ids is None else str(self.ids),
            **({"sizes": str(self.sizes)} if self.sizes is not None else {}),
        }

    def source_options(self) -> SourceOptions:
        """The options that say what a file does not say itself."""
        paths = (None if path is None else Path(path) for path in (self.ids, self.sizes, self.boxes_from))
        ids, sizes, boxes_from = paths
        columns = None if self.columns is None else parse_columns(self._column_names())
        return SourceOptions(ids=ids, boxes=self.boxes, columns=columns, sizes=sizes, boxes_from=boxes_from)

    def renamed(self, image: ImageRegions) -> ImageRegions:
        """The image with its name in the store."""
        name = self.rename.get(image.name)
        if name is None and self.names is not None:
            name = _NAME_FIELD.sub(lambda found: _padded(image.name, found[1]), self.names)
        return image if name is None else dataclasses.replace(image, name=name)


def _padded(name: str, digits: str | None) -> str:
    if digits is None:
        return name
    if not (name.isascii() and name.isdigit()):
        raise ValueError(f"names requires a number of {digits} digits; the image's id is {escaped(name)!r}.")
    return name.zfill(int(digits))


@dataclass(frozen=True)
class ImportReport:
    """The result of an import.

    Attributes:
        folder, images, regions: of the store.
        resumed: how many of the images an earlier, interrupted import had read.
        skipped: the damaged images that were skipped, and why.
        rows_without_id: rows of HDF5 files that are not in the store because they have no id.
        seconds, bytes: the duration of this run, and what it read of the sources.
    """

    folder: str
    images: int
    regions: int
    resumed: int
    skipped: list[str]
    rows_without_id: int
    seconds: float
    bytes: int


def import_regions(
    sources: Sequence[str | Path],
    folder: str | Path,
    options: ImportOptions | None = None,
    *,
    restart: bool = False,
    progress: Progress = lambda size, total: None,
) -> ImportReport:
    """Make a store from feature files of any known layout (`sources.open.LAYOUTS`).

    If the process is killed, an image is damaged or the disk is full, the images read so far stay in a hidden folder
    next to the store, and the same call continues from there.

    Args:
        sources: files and folders, read in this order.
        folder: of the store.
        options: see `ImportOptions`.
        restart: whether to discard the work of an interrupted import, unless that is still running.
        progress: called with the bytes read since the last call, and the total.

    Raises:
        BlockingIOError: another process is making the same store.
        FileExistsError: `folder` is not empty.
        FileNotFoundError: a source does not exist.
        OSError: the disk is full, for example; the message says what was saved.
        ValueError: an unknown layout, or damage; the message names the file and the line or id.
    """
    if not sources:
        raise ValueError("pass at least one file or folder of features.")
    options = options or ImportOptions()
    opened = [open_source(source, options.source_options()) for source in sources]
    writer = RegionWriter(folder, options.dtype, keep=True, settings=options.settings(), restart=restart)
    try:
        return _Import(opened, writer, options, progress).run(str(folder))
    except _Contradicted as stop:
        raise ValueError(f"{stop} {_saved_images(writer)}") from None
    except _Stopped as stop:
        advice = "Repair the file and run the same command again, or add --skip-damaged to skip such images."
        raise ValueError(f"{stop} {_saved_images(writer)} {advice}") from None
    except FileExistsError:
        raise
    except OSError as error:
        if not error.strerror or not has_progress(folder):
            raise
        text = f"{error.strerror}. {_saved_images(writer)} Run the same command again to continue"
        raise type(error)(error.errno, text, str(folder)) from None


def _saved_images(writer: RegionWriter) -> str:
    return f"Images read so far: {writer.saved:,}, kept in {partial_folder(writer.folder)}."


class _Contradicted(ValueError):
    """An image shows that the import was begun with wrong options."""


class _Stopped(ValueError):
    """A damaged image ends the import."""


class _Import:
    """One run of an import."""

    def __init__(self, sources: Sequence[Source], writer: RegionWriter, options: ImportOptions, progress: Progress):
        self._sources, self._writer, self._options = sources, writer, options
        self._total = sum(source.size for source in sources)
        self._progress = progress
        self._read = 0

    def run(self, folder: str) -> ImportReport:
        started = time.monotonic()
        without_id = sum(source.rows_without_id for source in self._sources)
        with self._writer as writer:
            resumed = writer.count
            position = _Position.restore(writer.note, self._sources, partial_folder(writer.folder))
            writer.note = position.note()
            self._progress(position.consumed(self._sources), self._total)
            for source in self._sources[position.source :]:
                position.path = str(source.path.resolve())
                self._read_source(source, position)
                position.next_source()
                writer.note = position.note()
            writer.about = {
                "sources": [str(source.path.resolve()) for source in self._sources],
                "skipped": position.skipped,
                "rows_without_id": without_id,
            }
        seconds = time.monotonic() - started
        counts = writer.count, writer.regions
        return ImportReport(folder, *counts, resumed, position.skipped, without_id, seconds, self._read)

    def _read_source(self, source: Source, position: _Position) -> None:
        unreported = 0
        for entry in source.entries(position.position):
            position.position = entry.position
            try:
                image = self._options.renamed(entry.read())
                # The note describes the position after the image, so both are saved or neither.
                self._writer.add_image(image, position.note(), self._options.clip_boxes)
            except WrongOptions as error:
                raise _Contradicted(f"{entry.where}: {error}") from None
            except ValueError as error:
                if not self._options.skip_damaged:
                    raise _Stopped(f"{entry.where}: {error}") from None
                position.skip(f"{entry.where}: {error}")
                self._writer.note = position.note()
            self._read, unreported = self._read + entry.size, unreported + entry.size
            if unreported >= _PROGRESS_STEP:
                self._progress(unreported, self._total)
                unreported = 0
        self._progress(unreported, self._total)


@dataclass
class _Position:
    """How far an import has read; `RegionWriter` saves it with every image."""

    finished: list[str]
    source: int
    path: str
    position: dict[str, Any] | None
    skipped: list[str]

    @classmethod
    def restore(cls, note: Any, sources: Sequence[Source], partial: Path) -> _Position:
        """The saved position, which must belong to these sources; the start without a note."""
        paths = [str(source.path.resolve()) for source in sources]
        if note is None:
            return cls([], 0, paths[0], None, [])
        try:
            saved = cls(**note)
            before = [*saved.finished, *([saved.path] if saved.position else [])]
        except TypeError as error:
            raise ValueError(f"{partial}, the unfinished work, is damaged: {error}. Start over (--restart).") from None
        if paths[: len(before)] != before:
            raise ValueError(
                f"{partial} holds the unfinished import of {', '.join(before)}; now {', '.join(paths)} were given. "
                "Pass the same files in the same order to continue, or start over (--restart)."
            )
        return saved

    def consumed(self, sources: Sequence[Source]) -> int:
        before = sum(source.size for source in sources[: self.source])
        return before + (sources[self.source].consumed(self.position) if self.source < len(sources) else 0)

    def note(self) -> dict[str, Any]:
        return {**vars(self), "finished": list(self.finished), "skipped": self.skipped}

    def skip(self, what: str) -> None:
        if len(self.skipped) >= _MAX_SKIPPED:
            raise _Stopped(f"{what} More than {_MAX_SKIPPED:,} images are damaged; check the file.")
        self.skipped = [*self.skipped, what]  # a new list, as the saved note holds the old one

    def next_source(self) -> None:
        self.finished.append(self.path)
        self.source, self.position = self.source + 1, None
