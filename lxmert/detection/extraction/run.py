"""Extract the regions of photographs batch by batch: read ahead, detect, store, and skip what is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.interrupted import saved_images
from lxmert.data.features.layout import encode_name
from lxmert.data.features.partial_store import partial_folder
from lxmert.data.features.writer import RegionWriter
from lxmert.utils.counts import check_integer
from lxmert.utils.messages import escaped
from lxmert.utils.progress import ProgressBar
from lxmert.utils.setting_names import setting
from lxmert.vision.detections import NO_ID, ImageDetections

from .finding import Finder, damage_text
from .photographs import Photograph

_FIRST = 100  # photographs, of which one must be good
_MAX_SKIPPED = 10_000
_LISTED = 3  # damaged photographs that an error names


class Stopped(ValueError):
    """Damaged photographs end the extraction."""


@dataclass(frozen=True)
class ExtractionOptions:
    """How photographs are worked on.

    Attributes:
        batch_size: how many the detector gets at a time.
        readers: threads that open photographs while others are computed.
        strict: whether the first damaged photograph is an error; otherwise it is skipped.
    """

    batch_size: int
    readers: int
    strict: bool

    def __post_init__(self) -> None:
        for name in ("batch_size", "readers"):
            check_integer(setting(name), getattr(self, name))


def stored_form(name: str, found: ImageDetections) -> ImageRegions:
    """The regions that a detector found in an image, as a store takes them."""
    labels = [(found.object_ids, found.object_scores), (found.attribute_ids, found.attribute_scores)]
    # A store has the confidence 0 where there is no label.
    scores = [None if part is None or ids is None else np.where(ids == NO_ID, 0, part) for ids, part in labels]
    return ImageRegions(name, found.features, found.boxes, found.size, labels[0][0], scores[0], labels[1][0], scores[1])


@dataclass
class Position:
    """How far an extraction is; `RegionWriter` saves it with the images.

    Attributes:
        next: the first photograph of the list that is not done.
        skipped: the damaged photographs before it, and why.
    """

    next: int = 0
    skipped: list[str] = field(default_factory=list)
    _names: Any = field(default_factory=hashlib.sha256)  # of the photographs before `next`

    @classmethod
    def restore(cls, writer: RegionWriter, photographs: Sequence[Photograph]) -> Position:
        """The position that was saved with the images of a store, which must belong to these photographs.

        Raises:
            ValueError: the photographs before it are not those that were extracted, or the work is damaged.
        """
        position = cls()
        note = position.note() if writer.note is None else writer.note
        partial_store = partial_folder(writer.folder)
        try:
            count, names, skipped = note["next"], note["names"], list(map(str, note["skipped"]))
            position.advance(photographs[:count], skipped)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{partial_store}, the unfinished work, is damaged: {error}. Start over ({setting('restart')})."
            ) from None
        same = position.next == count and position._names.hexdigest() == names
        if not same or sum(photograph.name in writer for photograph in photographs) != writer.count:
            raise ValueError(
                f"{partial_store} holds the unfinished extraction of other photographs. Pass the same ones in the same "
                f"order to continue, with others behind them at most; or start over ({setting('restart')})."
            )
        return position

    def advance(self, photographs: Iterable[Photograph], skipped: Iterable[str]) -> None:
        """Pass photographs, and note those of them that were skipped."""
        for photograph in photographs:
            self._names.update(encode_name(photograph.name) + b"\n")
            self.next += 1
        # A new list, as the saved note holds the old one. What was told before is told once.
        self.skipped = list(dict.fromkeys([*self.skipped, *skipped]))

    def note(self) -> dict[str, Any]:
        """The position as JSON values."""
        return {"next": self.next, "names": self._names.hexdigest(), "skipped": self.skipped}


class Extraction:
    """Works on a list of photographs, from the position of a store on.

    Batches begin where the position does, and then at each `batch_size`: an interrupted extraction has the same batches
    as one that was not interrupted, and so the same numbers.

    Args:
        photographs: the list.
        finder: finds their regions.
        writer: of the store, in its `with` block.
        position: where to begin; it moves on.
        options: see there.
        bar: shows how many photographs are done.
        may_give_up: whether to stop when none of the first photographs is good.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        finder: Finder,
        writer: RegionWriter,
        position: Position,
        options: ExtractionOptions,
        bar: ProgressBar,
        may_give_up: bool = True,
    ):
        self._photographs, self._finder, self._writer = photographs, finder, writer
        self._position, self._options, self._bar, self._may_give_up = position, options, bar, may_give_up

    def run(self, stop: int) -> None:
        """Extract the photographs before `stop`.

        Raises:
            OSError: the disk is full, for example.
            Stopped: damaged photographs, by the options or because none is good.
        """
        position = self._position
        while position.next < stop and all(one.name in self._writer for one in self._batch(stop)):
            self._pass(self._batch(stop), [])  # several processes had begun
        with closing(self._finder.find(self._photographs[position.next : stop])) as results:
            while position.next < stop:
                batch = self._batch(stop)
                self._pass(batch, self._store(batch, list(islice(results, len(batch)))))

    def _batch(self, stop: int) -> Sequence[Photograph]:
        start = self._position.next
        return self._photographs[start : min(start + self._options.batch_size, stop)]

    def _pass(self, batch: Sequence[Photograph], skipped: Sequence[str]) -> None:
        self._position.advance(batch, skipped)
        self._writer.note = self._position.note()
        if self._position.skipped:
            self._bar.describe("extracting", f"{len(self._position.skipped):,} skipped")
        self._bar.update(len(batch))

    def _store(self, batch: Sequence[Photograph], regions: Sequence[ImageDetections | Exception]) -> list[str]:
        """Store the regions of a batch; returns what was skipped."""
        if self._options.strict:
            for photograph, found in zip(batch, regions, strict=True):
                if isinstance(found, Exception):
                    self._refuse(photograph, found)
        skipped: list[str] = []
        for photograph, found in zip(batch, regions, strict=True):
            error = found if isinstance(found, Exception) else self._add(photograph, found)
            if error is not None:
                self._skip(photograph, error, skipped)
        return skipped

    def _add(self, photograph: Photograph, found: ImageDetections) -> ValueError | None:
        """Add the regions of a photograph to the store; returns what is wrong with them."""
        if photograph.name in self._writer:  # saved by an interrupted extraction
            return None
        try:
            self._writer.add_image(stored_form(photograph.name, found))
        except ValueError as error:
            return error
        return None

    def _skip(self, photograph: Photograph, error: Exception, skipped: list[str]) -> None:
        if self._options.strict:
            self._refuse(photograph, error)
        skipped.append(_told(photograph, error))
        count = len(self._position.skipped) + len(skipped)
        if count >= _FIRST and not self._writer.count and self._may_give_up:
            self._writer.note = None  # the next extraction tries them again
            few = listed_damage([*self._position.skipped, *skipped])
            raise Stopped(f"none of the first {count:,} photographs has regions: {few}")
        if count > _MAX_SKIPPED:
            raise Stopped(f"{skipped[-1]} More than {_MAX_SKIPPED:,} photographs are damaged; check them.")

    def _refuse(self, photograph: Photograph, error: Exception) -> None:
        self._writer.save()  # which the message counts
        raise Stopped(
            f"{_told(photograph, error)} {saved_images(self._writer)} Repair the photograph and run the same command "
            f"again, without {setting('strict')} to skip such photographs."
        ) from None


def listed_damage(skipped: Sequence[str]) -> str:
    """The first sentences about damaged photographs, and how many more there are."""
    told = [f"{one.rstrip('.')}." for one in skipped[:_LISTED]]
    more = len(skipped) - len(told)
    return " ".join([*told, f"And {more:,} more."] if more else told)


def _told(photograph: Photograph, error: Exception) -> str:
    """The damage of a photograph, and which one it is."""
    text = damage_text(error)
    place = photograph.image if isinstance(photograph.image, (str, Path)) else repr(photograph.name)
    text = text if str(place) in text else f"{place}: {text}"
    return escaped(text if text.endswith(".") else f"{text}.")
