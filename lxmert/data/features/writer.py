"""Write a store image by image: with little memory, and so that its folder appears when it is complete."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lxmert.utils.paths import check_folder, check_path, real_folder

from .image_regions import ImageRegions, check_boxes, check_features, check_labels, check_size, convert_features
from .layout import CHECKSUM_DTYPE, FEATURE_DTYPES, INDEX, OFFSET_DTYPE, checksum, encode_name, largest_ids
from .partial_store import PartialStore, is_filled
from .writer_state import WriterState

_BLOCK = 8 * 2**20  # bytes written at a time
_SAVE_INTERVAL = 5.0  # seconds


class RegionWriter:
    """Writes a store; a context manager. The store appears when the block succeeds, and only then.

    ```python
    with RegionWriter("regions") as writer:
        writer.add("COCO_val2014_000000000042", features, boxes, size=(480, 640))
    ```

    Args:
        folder: of the store; it must not exist, or be empty.
        dtype: of the features, float32 or float16 (half the disk, rounded).
        keep: whether to keep what was written when the block fails or the process is killed. The next writer of the
            same folder with `keep` continues there. Otherwise it is removed.
        settings: JSON values that the next writer must agree with to continue.
        restart: whether to discard what an earlier writer with `keep` left.

    Attributes:
        count: the number of images, including those of an earlier writer.
        note: what the earlier writer saved with its last image, None without one.
        about: JSON values for regions.json in addition to the counts, such as the sources of the regions.

    Raises:
        BlockingIOError: another process is writing the same store.
        FileExistsError: `folder` is not empty.
        ValueError: another dtype, or unfinished work with other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        dtype: str = "float32",
        keep: bool = False,
        settings: Mapping[str, Any] | None = None,
        restart: bool = False,
    ):
        check_path("the folder of regions", folder)
        self._given = Path(folder)
        if dtype not in FEATURE_DTYPES:
            raise ValueError(f"dtype must be {' or '.join(FEATURE_DTYPES)}; got {dtype!r}.")
        self.folder, self._dtype = real_folder(folder), FEATURE_DTYPES[dtype]
        self._files = PartialStore(self.folder, {**(settings or {}), "dtype": dtype}, keep, restart)
        self._state = self._written = self._saved = WriterState()
        self._names: set[bytes] = set()
        self._pending: list[tuple[tuple[np.ndarray, ...], bytes]] = []  # rows of each array, and the name
        self._pending_bytes = 0
        self._saved_at = time.monotonic()
        self.note: Any = None
        self.about: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return encode_name(name) in self._names

    def __enter__(self) -> RegionWriter:
        check_folder(self._given, "regions")
        if is_filled(self.folder):
            what = "a complete store" if (self.folder / INDEX).exists() else "something"
            raise FileExistsError(f"{self.folder} holds {what} already; pass another folder, or remove it.")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._state, names = self._files.open()
        self._written = self._saved = self._state
        self._names, self.note = set(names), self._state.note
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                self._save_if_possible()
        except OSError:
            self._save_if_possible()
            raise
        finally:
            self._files.close()

    @property
    def count(self) -> int:
        """The number of images."""
        return self._state.images

    @property
    def regions(self) -> int:
        """The number of regions."""
        return self._state.regions

    @property
    def saved(self) -> int:
        """The number of images that a later writer would find."""
        return self._saved.images

    def add(
        self,
        name: str,
        features: ArrayLike,
        boxes: ArrayLike,
        size: tuple[int, int],
        object_ids: ArrayLike | None = None,
        object_confidence: ArrayLike | None = None,
        attribute_ids: ArrayLike | None = None,
        attribute_confidence: ArrayLike | None = None,
    ) -> None:
        """Add one image.

        Args:
            name: of the image, unique.
            features: ``[R, F]``, finite.
            boxes: ``[R, 4]``, x1, y1, x2, y2 in pixels, inside of the image.
            size: height and width in pixels.
            object_ids: ``[R]``, integers from 0; `NO_LABEL` (-100) for a region without one.
            object_confidence: ``[R]``, 0 to 1, and 0 for a region without a label. By default 1 for regions with one.
            attribute_ids, attribute_confidence: the same for attributes.

        Raises:
            OSError: the disk is full, for example.
            ValueError: an argument is not as described; nothing was added.
        """
        self.add_image(
            ImageRegions(
                name, features, boxes, size, object_ids, object_confidence, attribute_ids, attribute_confidence
            )
        )

    def add_image(self, image: ImageRegions, note: Any = None, clip: bool = False) -> None:
        """Add one image, and save a note with it (JSON values; see `note`); the errors are those of `add`.

        Args:
            image: the regions.
            note: None keeps the one before.
            clip: whether to clip boxes at the border of the image.
        """
        name = encode_name(image.name)
        if name in self._names:
            raise ValueError("an image of this name is in the store already; names must be unique.")
        state, features = self._state, check_features(image.features)
        if state.feature_size not in (None, features.shape[1]):
            raise ValueError(
                f"features must be of size {state.feature_size}, as those of the images before; got "
                f"{features.shape[1]}."
            )
        size = check_size(image.size)
        boxes = check_boxes(image.boxes, size, len(features), clip)
        labels = check_labels(image, len(features))
        features = convert_features(features, self._dtype)
        crc = np.array(checksum(name, size, features, boxes, labels), CHECKSUM_DTYPE)
        # The image is valid.
        if note is not None:
            self.note = note
        self._state = replace(
            state,
            images=state.images + 1,
            regions=state.regions + len(features),
            feature_size=features.shape[1],
            most_regions=max(state.most_regions, len(features)),
            with_objects=state.with_objects + (image.object_ids is not None),
            with_attributes=state.with_attributes + (image.attribute_ids is not None),
            largest_ids=state.largest_ids and list(map(max, state.largest_ids, largest_ids(labels))),
            name_bytes=state.name_bytes + len(name) + 1,
        )
        self._names.add(name)
        end = np.array(self._state.regions, OFFSET_DTYPE)
        self._pending.append(((features, boxes, labels, end, size, crc), name))
        self._pending_bytes += features.nbytes
        if self._pending_bytes >= _BLOCK:
            self._write_pending()
        if self._files.keep and time.monotonic() - self._saved_at > _SAVE_INTERVAL:
            self.save()

    def save(self) -> None:
        """Write all images, and save the progress for a later writer; an OSError keeps what was saved before."""
        if not self._files.is_open:
            return
        try:
            self._write_pending()
        finally:
            self._files.save(self._written)
            self._saved, self._saved_at = self._written, time.monotonic()

    def _save_if_possible(self) -> None:
        """Save after an error, which is reported whether this succeeds or not."""
        if self._files.keep:
            with suppress(OSError):
                self.save()

    def _write_pending(self) -> None:
        """Write the images that wait. If that fails, none of them counts as added."""
        if self._pending:
            rows, names = zip(*self._pending, strict=True)
            self._pending, self._pending_bytes = [], 0
            try:
                self._files.append(self._written, list(zip(*rows, strict=True)), names)
            except BaseException:
                self._names.difference_update(names)
                self._state, self.note = self._written, self._written.note
                raise
        self._written = self._state = replace(self._state, note=self.note)

    def _finish(self) -> None:
        if not self.count:
            raise ValueError(f"no image was given for {self.folder}; a store must have at least one.")
        if self._files.keep:
            self.save()
        else:
            self._write_pending()
        self._files.finish(self._written, self.about)
