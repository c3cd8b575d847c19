"""Make a region store of photographs: in one process or several, and again from where it was interrupted."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxmert.data.features.interrupted import saved_images, with_saved_images
from lxmert.data.features.layout import INDEX
from lxmert.data.features.merge import stored_images
from lxmert.data.features.partial_store import partial_folder, saved_note
from lxmert.data.features.writer import RegionWriter
from lxmert.utils.atomic_files import replacing_folder, write_text
from lxmert.utils.paths import check_path
from lxmert.utils.progress import ProgressBar
from lxmert.utils.setting_names import setting
from lxmert.vision.images import ImageInput

from ..region_detector import RegionDetector
from .finding import Finder, LocalFinder
from .parts import (
    Part,
    check_parts_folder,
    differences,
    divide,
    is_as_wanted,
    parts_folder,
    read_index,
    remove_parts,
    settings_of,
    this_process,
    wait_for,
)
from .photographs import (
    FoundPhotographs,
    Photograph,
    PhotographSource,
    digest_of_names,
)
from .ray import DetectorOnRay
from .run import Extraction, ExtractionOptions, Position, listed_damage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractionReport:
    """The result of an extraction; of several processes the first has that of the whole store, the others their part's.

    Attributes:
        folder, images, regions: of the store.
        resumed: how many of the images an earlier, interrupted extraction had stored.
        skipped: the damaged photographs that were skipped, and why.
        seconds: the duration of this run.
        waited: the seconds of them in which the detector waited for photographs to be opened.
    """

    folder: str
    images: int
    regions: int
    resumed: int
    skipped: list[str]
    seconds: float
    waited: float


def extract_features(
    photographs: PhotographSource | Sequence[PhotographSource] | Mapping[str, ImageInput] | FoundPhotographs,
    store: str | Path,
    detector: RegionDetector | DetectorOnRay,
    *,
    dtype: str = "float32",
    names: str | None = None,
    rename: Mapping[str, str] | None = None,
    strict: bool = False,
    restart: bool = False,
    readers: int = 2,
    progress: bool = False,
) -> ExtractionReport:
    """Find the regions of photographs, and write them into a store.

    If the process is killed or the disk is full, the regions found so far stay in a hidden folder next to the store,
    and the same call continues from there: the store is the same, byte for byte. A store that is complete is left as it
    is. Several processes (torchrun, or RANK and WORLD_SIZE in the environment) divide the photographs; each makes a
    part of the store next to it, and the first one merges the parts. This gives the same bytes too, with the same
    number of threads (OMP_NUM_THREADS).

    Args:
        photographs: files, folders, lists of paths, and patterns; or a mapping of names and images. See
            `find_photographs`. Or what `FoundPhotographs.of` found before; then `names` and `rename` are not read.
        store: its folder, made by this call.
        detector: finds the regions. It gets `detector.batch_size` photographs at a time. A `DetectorOnRay` works in the
            processes of a cluster, on several machines or GPUs.
        dtype: of the features in the store, "float32" or "float16" (half the disk, rounded).
        names, rename: the images' names in the store; see `find_photographs`.
        strict: whether the first damaged photograph is an error; otherwise it is skipped, and listed in the report.
        restart: whether to discard the work of an interrupted extraction. Only for one process.
        readers: the threads that open photographs while others are computed.
        progress: whether to show how far it is, on standard error.

    Raises:
        BlockingIOError: another process is making the same store.
        FileExistsError: `store` holds something else.
        FileNotFoundError: photographs that do not exist.
        OSError: the disk is full, for example; the message says what was saved.
        ValueError: no photographs, names that are not unique, no photograph with regions, unfinished work of other
            photographs or with other settings; with `strict` a damaged photograph, which the message names.
    """
    check_path("the folder of regions", store)
    if not isinstance(detector, RegionDetector | DetectorOnRay):
        raise TypeError(f"detector must be what RegionDetector.from_pretrained gives; got {detector!r}.")
    options = ExtractionOptions(detector.batch_size, readers, strict)
    process = this_process()
    if restart and process.world > 1:
        raise ValueError(
            f"{setting('restart')} is for one process: several do not begin at the same moment. Remove "
            f"{partial_folder(store)} and {parts_folder(Path(store))} instead."
        )
    if isinstance(detector, DetectorOnRay) and process.world > 1:
        raise ValueError("a cluster of Ray has processes of its own; start one process, without torchrun.")
    if not isinstance(photographs, FoundPhotographs):
        photographs = FoundPhotographs.of(photographs, names, rename)
    found = photographs.photographs
    finder: Finder
    finder = detector.finder(readers) if isinstance(detector, DetectorOnRay) else LocalFinder(detector, readers)
    check_parts_folder(Path(store))
    parts = divide(len(found), detector.batch_size, process.world, Path(store))
    settings = json.loads(json.dumps(detector.settings))  # as they are read again
    shown = progress and process.rank == 0
    run = _Run(found, Path(store), finder, settings, photographs.sources, dtype, options, restart, shown)
    return run.whole(parts) if process.rank == 0 else run.part(parts[process.rank])


class _NoRegions(Exception):
    """No photograph is good; why, of each."""

    def __init__(self, skipped: list[str]):
        super().__init__()
        self.skipped = skipped


@dataclass(frozen=True)
class _Run:
    """One process of an extraction."""

    photographs: Sequence[Photograph]
    store: Path
    finder: Finder
    settings: dict[str, Any]
    sources: Sequence[str]
    dtype: str
    options: ExtractionOptions
    restart: bool
    shown: bool

    def whole(self, parts: Sequence[Part]) -> ExtractionReport:
        """Make the store: its first part by this process, the others of what their processes make."""
        index = read_index(self.store)
        if index is not None and not self.restart:
            if other := differences(index, self._identity(self.photographs)):
                raise FileExistsError(f"{self.store} holds a complete store{other}; pass another folder, or remove it.")
            return _report_of(self.store, index)
        try:
            return self._make(self.store, self.photographs, parts[0].stop, parts[1:])
        except _NoRegions as error:
            count = len(self.photographs)
            raise ValueError(f"none of the {count:,} photographs has regions: {listed_damage(error.skipped)}") from None

    def part(self, part: Part) -> ExtractionReport:
        """Make the store of a part, unless the first process needs it no more."""
        photographs = self.photographs[part.start : part.stop]
        # In this order: the first process removes a part when it has saved that it took it, and saves until it is done.
        index = self._complete(part.folder, photographs)
        if index is not None:
            return _report_of(part.folder, index)
        taken = (saved_note(self.store) or {}).get("next", 0) >= part.stop
        if taken or not photographs or self._complete(self.store, self.photographs):
            return ExtractionReport(str(part.folder), 0, 0, 0, [], 0.0, 0.0)
        started = time.monotonic()
        try:
            return self._make(part.folder, photographs, len(photographs))
        except _NoRegions as error:
            with replacing_folder(part.folder, "regions") as folder:
                index = {"images": 0, "regions": 0, **self._about(photographs, error.skipped), "dtype": self.dtype}
                write_text(folder / INDEX, json.dumps(index))
            return ExtractionReport(str(part.folder), 0, 0, 0, error.skipped, time.monotonic() - started, 0.0)

    def _make(
        self, folder: Path, photographs: Sequence[Photograph], stop: int, others: Sequence[Part] = ()
    ) -> ExtractionReport:
        """Make a store of photographs: of those before `stop` by the detector, of the others from their parts."""
        started, whole = time.monotonic(), folder == self.store
        settings = settings_of({"detector": self.settings})
        writer = RegionWriter(folder, self.dtype, keep=True, settings=settings, restart=self.restart)
        try:
            with writer:
                if self.restart:
                    remove_parts(folder)
                resumed = writer.count
                position = Position.restore(writer, photographs)
                with ProgressBar("extracting", stop, "images", self.shown, min(position.next, stop)) as bar:
                    Extraction(photographs, self.finder, writer, position, self.options, bar, whole).run(stop)
                for part in others:
                    self._take(part, writer, position)
                if not writer.count:
                    writer.note = None  # the next extraction tries the photographs again
                    raise _NoRegions(position.skipped)
                writer.about = self._about(photographs, position.skipped)
                writer.save()
                remove_parts(folder)
        except OSError as error:
            raise with_saved_images(error, writer) from None
        except KeyboardInterrupt:
            logger.info("%s Run the same command again to continue.", saved_images(writer))
            raise
        counts, seconds = (writer.count, writer.regions), time.monotonic() - started
        return ExtractionReport(str(folder), *counts, resumed, position.skipped, seconds, self.finder.waited)

    def _take(self, part: Part, writer: RegionWriter, position: Position) -> None:
        """Wait for a part that another process makes, take its images over, and remove it."""
        if position.next >= part.stop:
            return
        wanted = self._identity(self.photographs[part.start : part.stop])
        which = f"photographs {part.start + 1:,} to {part.stop:,}, of another process"
        with ProgressBar(f"waiting for {which}", 1, "parts", self.shown) as bar:
            if read_index(part.folder) is None:
                bar.message(f"waiting for {which}")
            index = wait_for(part, wanted)
            if index["images"]:
                for image in stored_images(part.folder):
                    if image.name not in writer:
                        writer.add_image(image)
        position.advance(self.photographs[position.next : part.stop], index["skipped"])
        writer.note = position.note()
        writer.save()
        shutil.rmtree(part.folder, ignore_errors=True)

    def _complete(self, folder: Path, photographs: Sequence[Photograph]) -> dict[str, Any] | None:
        """regions.json of the store of these photographs if it is complete; None for another one, or none."""
        index = read_index(folder)
        return index if index is not None and is_as_wanted(index, self._identity(photographs)) else None

    def _identity(self, photographs: Sequence[Photograph]) -> dict[str, Any]:
        """What decides the store of photographs, as it is in regions.json."""
        listed = {"count": len(photographs), "sha256": digest_of_names(photographs)}
        return {"dtype": self.dtype, "detector": self.settings, "photographs": listed}

    def _about(self, photographs: Sequence[Photograph], skipped: Sequence[str]) -> dict[str, Any]:
        """What regions.json says in addition to the counts."""
        return {**self._identity(photographs), "sources": list(self.sources), "skipped": list(skipped)}


def _report_of(folder: Path, index: Mapping[str, Any]) -> ExtractionReport:
    """The report on a store that was complete before."""
    images = index["images"]
    return ExtractionReport(str(folder), images, index["regions"], images, list(index["skipped"]), 0.0, 0.0)
