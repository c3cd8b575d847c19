"""Published features made into a store: streaming, and so that nothing is lost when it stops."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxmert.data.features.sources.base import Reading, Source
from lxmert.data.features.sources.open import open_source
from lxmert.utils.messages import escaped

from .image_regions import ImageRegions
from .writer import RegionWriter, partial_folder, unfinished

_MOST_SKIPPED = 10_000
_SHARE = 2**22  # bytes between two steps of the bar
_NAME_FIELD = re.compile(r"\{id(?::0(\d{1,2}))?\}")


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        folder: of the store.
        images, regions: how many there are in it.
        resumed: how many of the images an earlier, unfinished import had brought.
        skipped: the images that were left out, and why.
        rows_without_id: how many rows of HDF5 files are not in the store, because the file of ids does not name them.
        seconds: how long this run took.
        bytes: of the sources that this run read.
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
    dtype: str = "float32",
    *,
    ids: str | Path | None = None,
    boxes: str | None = None,
    names: str | None = None,
    rename: Mapping[str, str] | None = None,
    skip_damaged: bool = False,
    clip_boxes: bool = False,
    restart: bool = False,
    progress: Callable[[int, int], None] = lambda size, total: None,
) -> ImportReport:
    """Make a store of files of features, whatever their kinds; see `sources.KNOWN`.

    What a run has read stays in a hidden folder beside the store when it is killed, meets a damaged image or a full
    disk; the same call goes on from there.

    Args:
        sources: files and folders, read in this order.
        folder: where the store is to be.
        dtype: of the features in the store: float32 holds those of all published files as they are; float16 takes half
            the disk and rounds each number to 11 bits, by up to 2^-11 of it (2^-25 where it is below 2^-14).
        ids: a file with the ids of an HDF5 file that has none: JSON, an object of ids and rows, of which some rows may
            be missing, or a list of an id for each row; or text, an id a line.
        boxes: "xyxy" or "xywh" for GQA's files; None to find out.
        names: what images are called in the store, with {id} for their id in the source: "COCO_val2014_{id:012}".
        rename: names by ids, for those that it has.
        skip_damaged: whether damaged images are left out, and told in the report; else the first one is an error.
        clip_boxes: whether boxes that reach out of an image are cut at its border; else they are damage.
        restart: whether to begin anew; what an unfinished import brought is removed, unless that is still running.
        progress: told the bytes that were read since the last call, and how many there are.

    Raises:
        BlockingIOError: another process is making the same store.
        FileExistsError: there is something in `folder`.
        FileNotFoundError: a source that is not there.
        OSError: the disk is full, say; what is saved is told.
        ValueError: a source of no known kind, or damaged; it names the file and the line or id.
    """
    if not sources:
        raise ValueError("give at least one file or folder of features.")
    naming = _Naming(names, rename or {})
    reading = Reading(Path(ids) if ids is not None else None, boxes)
    opened = [open_source(source, reading) for source in sources]
    total = sum(source.size for source in opened)
    begun = time.monotonic()
    settings = {"names": names, "rename": naming.checksum, "boxes": boxes, "ids": str(ids) if ids is not None else None}
    writer = RegionWriter(folder, dtype, keep=True, settings=settings, restart=restart)
    without_id = sum(source.rows_without_id for source in opened)
    read = 0
    try:
        with writer:
            state = _State.of(writer.note, opened, partial_folder(folder))
            resumed, before = writer.count, state.consumed(opened)
            writer.note = dataclasses.asdict(state)
            progress(before, total)
            waiting = 0
            while state.source < len(opened):
                state.path = str(opened[state.source].path.resolve())
                for entry in opened[state.source].entries(state.position):
                    state.position = entry.position
                    try:
                        image = naming.named(entry.read())
                        # The note is of what comes behind the image, so both are kept or neither.
                        writer.add_image(image, state.note(), clip_boxes)
                    except ValueError as error:
                        if not skip_damaged:
                            raise _Stopped(f"{entry.where}: {error}") from None
                        state.skip(f"{entry.where}: {error}")
                        writer.note = state.note()
                    read, waiting = read + entry.size, waiting + entry.size
                    if waiting >= _SHARE:
                        progress(waiting, total)
                        waiting = 0
                progress(waiting, total)
                waiting = 0
                state.finish()
                writer.note = state.note()
            writer.about = {
                "sources": [f"{source.path.resolve()}" for source in opened],
                "skipped": state.skipped,
                "rows_without_id": without_id,
            }
    except _Stopped as stop:
        advice = "Repair the file and give the same command again, or add --skip-damaged to leave such images out."
        raise ValueError(f"{stop} {_kept(writer, folder)} {advice}") from None
    except FileExistsError:
        raise
    except OSError as error:
        if not error.strerror or not unfinished(folder):
            raise
        said = f"{error.strerror}. {_kept(writer, folder)} Give the same command again to go on"
        raise type(error)(error.errno, said, str(folder)) from None
    return ImportReport(
        folder=str(folder),
        images=writer.count,
        regions=writer.regions,
        resumed=resumed,
        skipped=state.skipped,
        rows_without_id=without_id,
        seconds=time.monotonic() - begun,
        bytes=read,
    )


class _Stopped(ValueError):
    """A damaged image that ends an import."""


def _kept(writer: RegionWriter, folder: str | Path) -> str:
    count = writer.saved
    return f"Images read so far: {count:,}, kept in {partial_folder(folder)}."


@dataclass
class _State:
    """How far an import is: what `RegionWriter` notes with every image."""

    finished: list[str]
    source: int
    path: str
    position: dict[str, Any] | None
    skipped: list[str]

    @classmethod
    def of(cls, note: Any, sources: Sequence[Source], partial: Path) -> _State:
        """The state that was noted, seen to belong to these sources; a new one without a note."""
        paths = [str(source.path.resolve()) for source in sources]
        if note is None:
            return cls([], 0, paths[0], None, [])
        try:
            state = cls(**note)
            before = [*state.finished, *([state.path] if state.position else [])]
        except TypeError as error:
            raise ValueError(
                f"{partial}, where unfinished work is, is damaged: {error}. Begin anew (--restart)."
            ) from None
        if paths[: len(before)] != before:
            raise ValueError(
                f"{partial} holds the unfinished import of {', '.join(before)}; now {', '.join(paths)} were given. "
                "Give the same files in the same order to go on, or begin anew (--restart)."
            )
        return state

    def consumed(self, sources: Sequence[Source]) -> int:
        before = sum(source.size for source in sources[: self.source])
        return before + (sources[self.source].consumed(self.position) if self.source < len(sources) else 0)

    def note(self) -> dict[str, Any]:
        return {**vars(self), "finished": list(self.finished), "skipped": self.skipped}

    def skip(self, what: str) -> None:
        if len(self.skipped) >= _MOST_SKIPPED:
            raise _Stopped(f"{what} More than {_MOST_SKIPPED:,} images are damaged; that is no accident.")
        self.skipped = [*self.skipped, what]  # the one that was noted stays as it is

    def finish(self) -> None:
        self.finished.append(self.path)
        self.source, self.position = self.source + 1, None


class _Naming:
    """What images are called in the store."""

    def __init__(self, pattern: str | None, table: Mapping[str, str]):
        self._pattern, self._table = pattern, dict(table)
        if pattern is not None and len(_NAME_FIELD.findall(pattern)) != 1:
            raise ValueError(
                f"names must have {{id}} in it once, or {{id:012}} for a number of twelve digits; got {pattern!r}."
            )
        self.checksum = _crc(self._table) if table else None

    def named(self, image: ImageRegions) -> ImageRegions:
        """The image by its name in the store."""
        name = self._table.get(image.name)
        if name is None and self._pattern is not None:
            name = _NAME_FIELD.sub(lambda field: self._filled(image.name, field[1]), self._pattern)
        return image if name is None else dataclasses.replace(image, name=name)

    @staticmethod
    def _filled(name: str, digits: str | None) -> str:
        if digits is None:
            return name
        if not (name.isascii() and name.isdigit()):
            raise ValueError(f"names asks for a number of {digits} digits; the image's id is {escaped(name)!r}.")
        return name.zfill(int(digits))


def _crc(table: Mapping[str, str]) -> int:
    return zlib.crc32(json.dumps(sorted(table.items())).encode())
