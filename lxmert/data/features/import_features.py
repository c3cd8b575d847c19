"""Import published feature files into a store, as a stream; an interrupted import continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.foreign_files import InvalidFileError

from .image_regions import ImageRegions
from .import_options import ImportOptions
from .interrupted import saved_images, with_saved_images
from .partial_store import partial_folder
from .read_ahead import read_ahead
from .sources.base import Source, WrongOptions
from .sources.open import open_source
from .writer import RegionWriter

_MAX_SKIPPED = 10_000
_PROGRESS_STEP = 2**22  # bytes between two calls of `progress`

Progress = Callable[[int, int], None]


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
        raise ValueError(f"{stop} {saved_images(writer)}") from None
    except _Stopped as stop:
        advice = "Repair the file and run the same command again, or add --skip-damaged to skip such images."
        raise ValueError(f"{stop} {saved_images(writer)} {advice}") from None
    except OSError as error:
        raise with_saved_images(error, writer) from None


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
        unreported = claimed = 0
        with closing(read_ahead(source.entries(position.position))) as entries:
            for entry, found in entries:
                claimed += 0 if isinstance(found, ValueError) else np.asarray(found.features).nbytes
                # Images may have the same bytes of a file, and fill the disk.
                if claimed > max_unpacked_size(source.size):
                    raise InvalidFileError(
                        f"{source.path} is damaged: its images claim more than its {source.size:,} bytes can hold."
                    )
                position.position = entry.position
                self._add(entry.where, found, position)
                self._read, unreported = self._read + entry.size, unreported + entry.size
                if unreported >= _PROGRESS_STEP:
                    self._progress(unreported, self._total)
                    unreported = 0
        self._progress(unreported, self._total)

    def _add(self, where: str, found: ImageRegions | ValueError, position: _Position) -> None:
        try:
            if isinstance(found, ValueError):
                raise found
            # The note describes the position after the image, so both are saved or neither.
            self._writer.add_image(self._options.renamed(found), position.note(), self._options.clip_boxes)
        except WrongOptions as error:
            raise _Contradicted(f"{where}: {error}") from None
        except ValueError as error:
            if not self._options.skip_damaged:
                raise _Stopped(f"{where}: {error}") from None
            position.skip(f"{where}: {error}")
            self._writer.note = position.note()


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
