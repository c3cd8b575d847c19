"""Writing a store, image after image: little memory, and a folder that appears when it is complete.

What is written lies in a hidden folder beside the store. A writer that is made to go on (`keep=True`) saves every few
seconds how far it is, so that what a killed process had written is there for the next one.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import parse_json
from lxmert.utils.paths import check_folder, check_path

from .image_regions import ImageRegions, box_array, feature_array, label_array, narrowed, size_array
from .layout import (
    BOX_DTYPE,
    BOXES,
    CHECKSUM_DTYPE,
    CHECKSUMS,
    FEATURE_DTYPES,
    FEATURES,
    FORMAT,
    HEADER,
    INDEX,
    LABEL_DTYPE,
    LABELS,
    LARGEST,
    NAME_PLACES,
    NAMES,
    NO_ID,
    OFFSET_DTYPE,
    OFFSETS,
    SIZE_DTYPE,
    SIZES,
    VERSION,
    checksum,
    header_of,
    largest_ids,
    store_name,
)

try:
    import fcntl
except ImportError:  # Windows has no such locks: there two writers of one store are not told apart
    fcntl = None  # type: ignore[assignment]

_PROGRESS = "progress.json"
_NAME_LIST = "names.txt"
_BLOCK = 8 * 2**20  # bytes that are written together
_SAVING = 5.0  # seconds between two notes of how far the writing is
_APPENDED = (FEATURES, BOXES, LABELS, OFFSETS, SIZES, CHECKSUMS)


class RegionWriter:
    """Writes a store; a context manager. The folder appears when the block ends well, and only then.

    ```python
    with RegionWriter("regions") as writer:
        writer.add("COCO_val2014_000000000042", features, boxes, size=(480, 640))
    ```

    Args:
        folder: where the store is to be; nothing, or an empty folder, is there.
        dtype: of the features, float32 or float16 (half the disk, rounded).
        keep: whether what was written stays when the block fails or the process is killed; the next writer of the
            same folder with `keep` then begins behind it. Else it is removed.
        settings: what the next writer has to agree with, to go on: JSON values.
        restart: whether to begin anew with `keep`, too: what an earlier writer left is removed.

    Attributes:
        count: how many images there are, those of an earlier writer included.
        note: what the earlier writer noted with its last image, None if this one is the first.
        about: what regions.json says beside the counts, such as where the regions come from; JSON values.

    Raises:
        BlockingIOError: another process is writing the same store.
        FileExistsError: there is something in `folder`.
        ValueError: a dtype other than these; or unfinished work with other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        dtype: str = "float32",
        keep: bool = False,
        settings: dict[str, Any] | None = None,
        restart: bool = False,
    ):
        check_path("the folder of regions", folder)
        if dtype not in FEATURE_DTYPES:
            raise ValueError(f"dtype must be {' or '.join(FEATURE_DTYPES)}; got {dtype!r}.")
        self.folder, self._dtype, self._keep = Path(os.path.abspath(folder)), FEATURE_DTYPES[dtype], keep
        self._settings = {**(settings or {}), "dtype": dtype}
        self._partial = partial_folder(folder, keep)
        self._anew = restart or not keep
        self.count = 0
        self.note: Any = None
        self._regions = self._most = self._objects = self._attributes = 0
        self._largest: list[int] | None = [NO_ID, NO_ID]  # None: unknown, in work that an older version began
        self._feature_size: int | None = None
        self._names: set[bytes] = set()
        self._pending: list[tuple[Any, ...]] = []
        self._pending_bytes = 0
        self._handles: dict[str, int] = {}
        self._lock: int | None = None
        self._name_bytes = 0
        self._written = self._saved = self._state()
        self.about: dict[str, Any] = {}
        self._saved_at = time.monotonic()

    def __enter__(self) -> RegionWriter:
        check_folder(self.folder, "regions")
        if self.folder.exists() and any(self.folder.iterdir()):
            what = "a complete store" if (self.folder / INDEX).is_file() else "something"
            raise FileExistsError(f"{self.folder} holds {what} already; give another folder, or remove it.")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)
        self._hold()  # an error if somebody is writing it
        try:
            if self._anew:  # nothing is removed before the lock is ours
                _empty(self._partial)
            self._begin()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
            elif self._keep:
                with suppress(OSError):  # the block's own error is told; what was saved before stays
                    self.save()
        except OSError:
            if self._keep:
                with suppress(OSError):
                    self.save()
            raise
        finally:
            if not self._keep:
                shutil.rmtree(self._partial, ignore_errors=True)
            self._leave()

    def add(
        self,
        name: str,
        features: Any,
        boxes: Any,
        size: tuple[int, int],
        object_ids: Any = None,
        object_confidence: Any = None,
        attribute_ids: Any = None,
        attribute_confidence: Any = None,
    ) -> None:
        """Add one image.

        Args:
            name: of the image, none that is there.
            features: ``[R, F]``, finite.
            boxes: ``[R, 4]``, x1, y1, x2, y2 in pixels, in the image.
            size: height and width in pixels.
            object_ids: ``[R]``, integers from 0; `NO_LABEL` (-100) for a region without one.
            object_confidence: ``[R]``, 0 to 1, 0 for a region without a label; 1 for the others if it is not given with
                ids.
            attribute_ids: likewise.
            attribute_confidence: likewise.

        Raises:
            OSError: the disk is full, say.
            ValueError: any of these is not so; nothing was added.
        """
        image = ImageRegions(
            name, features, boxes, size, object_ids, object_confidence, attribute_ids, attribute_confidence
        )
        self.add_image(image)

    def add_image(self, image: ImageRegions, note: Any = None, clip: bool = False) -> None:
        """Add one image, and with it a note of what comes next (see `note`); JSON values.

        Args:
            image: to be added.
            note: kept with the image.
            clip: whether boxes that reach out of the image are cut at its border.

        Raises:
            OSError: the disk is full, say.
            ValueError: something that a store cannot hold; nothing was added.
        """
        name = store_name(image.name)
        if name in self._names:
            raise ValueError("an image of this name is in the store already; every image may be there once.")
        features = feature_array(image.features)
        if self._feature_size not in (None, features.shape[1]):
            raise ValueError(
                f"features must be of size {self._feature_size}, as those of the images before; got "
                f"{features.shape[1]}."
            )
        size = size_array(image.size)
        boxes = box_array(image.boxes, size, len(features), clip)
        labels = label_array(image, len(features))
        features = narrowed(features, self._dtype)
        crc = checksum(name, size, features, boxes, labels)
        # From here on nothing can be wrong with the image.
        self._names.add(name)
        self._name_bytes += len(name) + 1
        self._feature_size = features.shape[1]
        self.count += 1
        self._regions += len(features)
        self._most = max(self._most, len(features))
        self._objects += image.object_ids is not None
        self._attributes += image.attribute_ids is not None
        if self._largest is not None:
            self._largest = [max(known, new) for known, new in zip(self._largest, largest_ids(labels), strict=True)]
        end = np.array(self._regions, OFFSET_DTYPE)
        self._pending.append((features, boxes, labels, end, size, np.array(crc, CHECKSUM_DTYPE), name))
        self._pending_bytes += features.nbytes
        if note is not None:
            self.note = note
        if self._pending_bytes >= _BLOCK:
            self._write_pending()
            if self._keep and time.monotonic() - self._saved_at > _SAVING:
                self.save()

    def save(self) -> None:
        """Write what is there, and how far it is, so that a later writer begins behind it.

        Raises:
            OSError: the disk is full, say; what was saved before stays.
        """
        if not self._handles:
            return
        try:
            self._write_pending()
        finally:
            for handle in self._handles.values():
                _to_disk(handle)
            state = self._written
            write_text(self._partial / _PROGRESS, json.dumps({"settings": self._settings, **state}))
            self._saved, self._saved_at = state, time.monotonic()

    @property
    def regions(self) -> int:
        """How many regions there are."""
        return self._regions

    @property
    def saved(self) -> int:
        """How many images a later writer would find."""
        return self._saved["images"]

    def _state(self) -> dict[str, Any]:
        return {
            "images": self.count,
            "regions": self._regions,
            "feature_size": self._feature_size,
            "most_regions": self._most,
            "with_objects": self._objects,
            "with_attributes": self._attributes,
            "largest_ids": self._largest,
            "name_bytes": self._name_bytes,
            "note": self.note,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.count, self._regions = state["images"], state["regions"]
        self._feature_size, self._most = state["feature_size"], state["most_regions"]
        self._objects, self._attributes = state["with_objects"], state["with_attributes"]
        self._largest = state.get("largest_ids")
        self._name_bytes, self.note = state["name_bytes"], state["note"]

    def _begin(self) -> None:
        """Open the files, and cut off what is behind the last image that was saved."""
        progress = self._partial / _PROGRESS
        if progress.is_file():
            self._go_on(parse_json(progress.read_bytes(), progress))
        for name in (*_APPENDED, _NAME_LIST):
            self._handles[name] = os.open(
                self._partial / name, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
        for name, length in self._lengths(self._state()).items():
            if os.fstat(self._handles[name]).st_size < length and progress.is_file():
                raise self._broken(f"{name} is shorter than was noted")
            os.ftruncate(self._handles[name], length)
        _write(self._handles[OFFSETS], [bytes(OFFSET_DTYPE.itemsize)], HEADER)
        self._written = self._saved = self._state()

    def _go_on(self, progress: dict[str, Any]) -> None:
        settings = progress.get("settings")
        if settings != self._settings:
            changed = [
                f"{name} was {settings.get(name)!r} and is {self._settings.get(name)!r}"
                for name in {**self._settings, **(settings if isinstance(settings, dict) else {})}
                if isinstance(settings, dict) and settings.get(name) != self._settings.get(name)
            ]
            raise ValueError(
                f"{self._partial} holds work that was begun with other settings: {'; '.join(changed) or 'none noted'}. "
                "Give the same ones to go on, or begin anew (--restart)."
            )
        try:
            self._restore(progress)
            with (self._partial / _NAME_LIST).open("rb") as file:
                names = file.read(self._name_bytes).split(b"\n")[:-1]
        except (KeyError, TypeError, OSError) as error:
            raise self._broken(f"{_PROGRESS} or {_NAME_LIST}: {error}") from None
        self._names = set(names)
        if not len(self._names) == len(names) == self.count:
            raise self._broken(f"{_NAME_LIST} does not have {self.count:,} names")

    def _broken(self, what: str) -> ValueError:
        return ValueError(f"{self._partial}, where unfinished work is, is damaged: {what}. Begin anew (--restart).")

    def _lengths(self, state: dict[str, Any]) -> dict[str, int]:
        """How long the files are that hold what `state` counts."""
        images, regions = state["images"], state["regions"]
        return {
            FEATURES: HEADER + regions * (state["feature_size"] or 0) * self._dtype.itemsize,
            BOXES: HEADER + regions * 4 * BOX_DTYPE.itemsize,
            LABELS: HEADER + regions * LABEL_DTYPE.itemsize,
            OFFSETS: HEADER + (images + 1) * OFFSET_DTYPE.itemsize,
            SIZES: HEADER + images * 2 * SIZE_DTYPE.itemsize,
            CHECKSUMS: HEADER + images * CHECKSUM_DTYPE.itemsize,
            _NAME_LIST: state["name_bytes"],
        }

    def _write_pending(self) -> None:
        """Write the images that wait. When that fails, the files count as if none of them had been written."""
        if self._pending:
            *columns, names = zip(*self._pending, strict=True)
            at = self._lengths(self._written)
            try:
                for file, parts in zip(_APPENDED, columns, strict=True):
                    _write(
                        self._handles[file], [part.tobytes() if part.ndim == 0 else part for part in parts], at[file]
                    )
                _write(self._handles[_NAME_LIST], [b"".join(name + b"\n" for name in names)], at[_NAME_LIST])
            except BaseException:
                with suppress(OSError):
                    for file, length in at.items():
                        os.ftruncate(self._handles[file], length)
                self._names.difference_update(names)
                self._pending, self._pending_bytes = [], 0
                self._restore(self._written)
                raise
            self._pending, self._pending_bytes = [], 0
        self._written = self._state()

    def _finish(self) -> None:
        if not self.count:
            raise ValueError(f"no image was given for {self.folder}; a store without images is not made.")
        self.save() if self._keep else self._write_pending()
        state = self._written
        shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {
            FEATURES: (self._dtype, (state["regions"], state["feature_size"])),
            BOXES: (BOX_DTYPE, (state["regions"], 4)),
            LABELS: (LABEL_DTYPE, (state["regions"],)),
            OFFSETS: (OFFSET_DTYPE, (state["images"] + 1,)),
            SIZES: (SIZE_DTYPE, (state["images"], 2)),
            CHECKSUMS: (CHECKSUM_DTYPE, (state["images"],)),
        }
        for name, described in shapes.items():
            _write(self._handles[name], [header_of(*described)], 0)
        names = np.array((self._partial / _NAME_LIST).read_bytes().split(b"\n")[:-1])
        order = np.argsort(names, kind="stable")
        for name, values in ((NAMES, names[order]), (NAME_PLACES, order.astype(OFFSET_DTYPE))):
            with (self._partial / name).open("wb") as file:
                file.write(header_of(values.dtype, values.shape))
                file.write(values.tobytes())
                file.flush()
                _to_disk(file.fileno())
        self._close()
        counts = {name: state[name] for name in ("images", "regions", "feature_size", "most_regions")}
        labels = {name: state[name] for name in ("with_objects", "with_attributes")}
        if state["largest_ids"] is not None:
            labels |= dict(zip(LARGEST, state["largest_ids"], strict=True))
        index = {"format": FORMAT, "version": VERSION, "dtype": self._settings["dtype"], **counts, **labels}
        write_text(self._partial / INDEX, json.dumps({**index, **self.about}, indent=1) + "\n")
        if self.folder.exists():
            self.folder.rmdir()  # it is empty; Windows replaces no folder
        os.rename(self._partial, self.folder)
        for name in (_PROGRESS, _NAME_LIST):
            (self.folder / name).unlink(missing_ok=True)

    def _hold(self) -> None:
        if fcntl and self._lock is None:
            handle = os.open(self._partial, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise BlockingIOError(f"another process is writing {self.folder}; wait until it is done.") from None
            except OSError:  # a file system without locks
                pass
            self._lock = handle
            # Whoever held it may have renamed the folder since it was opened: then this lock is on a complete store.
            if not self._partial.exists() or not os.path.samestat(os.fstat(handle), os.stat(self._partial)):
                self._leave()
                raise BlockingIOError(f"another process has just written {self.folder}; give another folder.")

    def _close(self) -> None:
        while self._handles:
            handle = self._handles.popitem()[1]
            try:
                _to_disk(handle)
            finally:
                os.close(handle)

    def _leave(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles = {}
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def partial_folder(folder: str | Path, keep: bool = True) -> Path:
    """Where the unfinished work for a store lies."""
    path = Path(os.path.abspath(folder))
    return path.parent / f".{path.name}.{'partial' if keep else 'writing'}"


def unfinished(folder: str | Path) -> bool:
    """Whether there is unfinished work that a writer with `keep` would go on with."""
    return (partial_folder(folder) / _PROGRESS).is_file()


def _empty(folder: Path) -> None:
    """Remove what is in a folder, and not the folder, on which the lock is."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(handle: int, parts: list[Any], offset: int) -> None:
    for part in parts:
        view = memoryview(part) if isinstance(part, bytes) else part.reshape(-1).view(np.uint8).data
        while len(view):
            if hasattr(os, "pwrite"):
                done = os.pwrite(handle, view, offset)
            else:  # Windows
                os.lseek(handle, offset, os.SEEK_SET)
                done = os.write(handle, view)
            view, offset = view[done:], offset + done


_to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
