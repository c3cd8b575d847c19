"""Read a store: any images, by name or place, from any number of processes."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lxmert.utils.messages import escaped, first_few

from .image_names import match_spellings
from .layout import LABEL_DTYPE, NO_LABEL
from .store_folder import StoreFolder

logger = logging.getLogger(__name__)

_BLOCK = 65536  # names looked up at a time
_LISTED = 3  # missing images that a message names


class RegionStore:
    """One or several folders of regions as one sequence of images; the place of an image is its number in it.

    If several folders hold an image, the first folder's is used. A pickle holds only the paths: a worker process opens
    the same files, and shares the system's cache of them.

    Args:
        folders: made by `RegionWriter` or `lxmert features import`.

    Attributes:
        folders, feature_size, most_regions: their paths, F, and the largest number of regions of an image.
        has_objects, has_attributes: whether every image has object ids, attribute ids. A single region may still have
            none; its id is -100.
        has_labels: whether every image has both.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: not a store, a damaged one, or stores of different feature sizes.
    """

    def __init__(self, folders: Sequence[str | Path]):
        if not folders:
            raise ValueError("pass at least one folder of regions.")
        self.folders = tuple(map(Path, folders))
        self._parts = [StoreFolder(folder) for folder in self.folders]
        if len({part.feature_size for part in self._parts}) > 1:
            sizes = ", ".join(f"{part.folder} has {part.feature_size}" for part in self._parts)
            raise ValueError(f"features must have one size in all folders; {sizes}.")
        self.feature_size = self._parts[0].feature_size
        self.most_regions = max(part.most_regions for part in self._parts)
        self.has_objects = all(part.has_objects for part in self._parts)
        self.has_attributes = all(part.has_attributes for part in self._parts)
        self.has_labels = self.has_objects and self.has_attributes
        self._starts = list(accumulate(map(len, self._parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> tuple[type[RegionStore], tuple[tuple[Path, ...]]]:
        return RegionStore, (self.folders,)

    def __repr__(self) -> str:
        return f"RegionStore({', '.join(map(str, self.folders))}: {len(self):,} images)"

    @cached_property
    def names(self) -> list[str]:
        """The images' names by place; read on first use."""
        return [name for part in self._parts for name in part.names()]

    @property
    def largest_object_id(self) -> int:
        """The largest object id, -1 without any; a model needs more object labels than this number."""
        return max(part.largest_ids[0] for part in self._parts)

    @property
    def largest_attribute_id(self) -> int:
        """The largest attribute id, -1 without any."""
        return max(part.largest_ids[1] for part in self._parts)

    def places(self, names: Iterable[str]) -> np.ndarray:
        """The places of images by name, int64 ``[N]``, for the other methods; names may repeat.

        An image that is not there under its name is looked up under the other spellings of it: 42, "42.jpg" and
        "COCO_val2014_000000000042" are one image (image_names.py). The log says so.

        Raises:
            ValueError: no folder holds some of the images; the message names the first of them and their number. Or
                another spelling fits several images.
        """
        names = [str(name) for name in names]
        found: dict[str, int] = dict.fromkeys(names, -1)  # so that each name is looked up once
        missing = self._find(found, list(found))
        if missing:
            missing = self._find_spellings(found, missing)
        if missing:
            count = f"{len(missing):,} of {len(found):,} images are" if len(missing) > 1 else "an image is"
            raise ValueError(
                f"{count} not in {', '.join(map(str, self.folders))}: {first_few(map(str, missing), _LISTED)}. The "
                f"store has names such as {first_few([self._parts[0].name(0)])}."
            )
        return np.fromiter((found[name] for name in names), np.int64, len(names))

    def _find(self, found: dict[str, int], missing: list[str]) -> list[str]:
        """Write the places of names into `found`; returns the names that no folder has."""
        for start, part in zip(self._starts, self._parts, strict=False):
            remaining = []
            for begin in range(0, len(missing), _BLOCK):
                block = missing[begin : begin + _BLOCK]
                for name, place in zip(block, part.find(block).tolist(), strict=True):
                    if place < 0:
                        remaining.append(name)
                    else:
                        found[name] = start + place
            missing = remaining
        return missing

    def _find_spellings(self, found: dict[str, int], missing: list[str]) -> list[str]:
        """The same for names that the store has in another spelling."""
        spellings = match_spellings(missing, dict.fromkeys(self.names))
        if spellings:
            own = dict.fromkeys(spellings.values(), -1)
            self._find(own, list(own))
            found.update({name: own[stored] for name, stored in spellings.items()})
            name, stored = next(iter(spellings.items()))
            logger.info(
                "%s of %s images are named otherwise than in the region store, and found by their numbers or files: "
                "%s is %s",
                f"{len(spellings):,}",
                f"{len(found):,}",
                escaped(name),
                escaped(stored),
            )
        return [name for name in missing if name not in spellings]

    def counts(self, places: ArrayLike) -> np.ndarray:
        """The number of regions of each image, int64 ``[B]``."""
        checked = self._check_places(places)
        counts = np.empty(len(checked), np.int64)
        for part, rows, own in self._split(checked):
            counts[rows] = part.offsets[own + 1] - part.offsets[own]
        return counts

    def sizes(self, places: ArrayLike) -> np.ndarray:
        """Height and width of each image in pixels, int32 ``[B, 2]``."""
        checked = self._check_places(places)
        sizes = np.empty((len(checked), 2), np.int32)
        for part, rows, own in self._split(checked):
            sizes[rows] = part.sizes[own]
        return sizes

    def batch(self, places: ArrayLike, regions: int | None = None, labels: bool = False) -> dict[str, np.ndarray]:
        """The visual inputs of some images.

        Args:
            places: ``[B]``, from `places`.
            regions: R; None for the most that one of these images has. Of an image with more, the first R are given.
            labels: whether to return the labels too.

        Returns:
            visual_feats float32 ``[B, R, F]``, visual_pos float32 ``[B, R, 4]`` as fractions of width and height,
            visual_attention_mask float32 ``[B, R]``; zeros for padding. With labels also object_ids and
            attribute_ids int64 ``[B, R]``, -100 where there is none, and object_confidence and attribute_confidence
            float32 ``[B, R]``, 0 where there is none.

        Raises:
            IndexError: no image has this place.
            OSError: the disk cannot be read.
            ValueError: features or boxes are NaN or infinite, as an older version may have stored them; the message
                names the image.
        """
        # Python numbers from here on: for a few images they are faster than small arrays.
        found = [self._locate(place) for place in self._check_places(places).tolist()]
        lengths = [part.offsets.item(own + 1) - part.offsets.item(own) for part, own in found]
        if regions is None:
            regions = max(lengths, default=0)
        elif regions < 1:
            raise ValueError(f"regions must be 1 or more; got {regions}.")
        lengths = [min(length, regions) for length in lengths]
        features = np.empty((len(found), regions, self.feature_size), np.float32)
        boxes = np.zeros((len(found), regions, 4), np.float32)
        mask = np.zeros((len(found), regions), np.float32)
        described = np.zeros((len(found), regions), LABEL_DTYPE) if labels else None
        if described is not None:
            described["object_id"] = described["attribute_id"] = NO_LABEL
        _read_features(found, lengths, features)
        limits = []
        for row, ((part, own), length) in enumerate(zip(found, lengths, strict=True)):
            start = part.offsets.item(own)
            part.boxes.read_into(start, boxes[row, :length])
            mask[row, :length] = 1
            if described is not None:
                part.labels.read_into(start, described[row, :length])
            height, width = part.sizes.item(own, 0), part.sizes.item(own, 1)
            limits.append((width, height, width, height))
        boxes /= np.array(limits, np.float32).reshape(len(found), 1, 4)
        if not np.isfinite(boxes).all():
            part, own = found[int(np.argwhere(~np.isfinite(boxes))[0, 0])]
            raise ValueError(f"{part.folder}, image {part.name(own)!r}: its boxes must be finite; import it again.")
        result = {"visual_feats": features, "visual_pos": boxes, "visual_attention_mask": mask}
        if described is not None:
            for kind in ("object", "attribute"):
                result[f"{kind}_ids"] = described[f"{kind}_id"].astype(np.int64)
                result[f"{kind}_confidence"] = described[f"{kind}_confidence"].copy()
        return result

    def features_at(self, places: ArrayLike, regions: ArrayLike) -> np.ndarray:
        """The features of single regions, float32 ``[K, F]``.

        Args:
            places: ``[K]``, images.
            regions: ``[K]``, the region of each, from 0.

        Raises:
            IndexError: an image or a region does not exist.
        """
        checked, numbers = self._check_places(places), np.asarray(regions, np.int64)
        if numbers.shape != checked.shape:
            raise ValueError(f"places and regions must be as many; got {len(checked)} and {list(numbers.shape)}.")
        features = np.empty((len(checked), self.feature_size), np.float32)
        for part, rows, own in self._split(checked):
            stored = part.offsets[own] + numbers[rows]
            wrong = (numbers[rows] < 0) | (stored >= part.offsets[own + 1])
            if wrong.any():
                at = int(np.argmax(wrong))
                raise IndexError(
                    f"image {part.name(int(own[at]))!r} has {int(part.offsets[own[at] + 1] - part.offsets[own[at]])} "
                    f"regions; there is no region {int(numbers[rows][at])}."
                )
            targets = range(len(features)) if isinstance(rows, slice) else rows
            part.read_rows(stored.tolist(), targets, features)
            for place, target in zip(own.tolist(), targets, strict=True):
                part.check_finite(place, features[target : target + 1])
        return features

    def facts(self, folder: int) -> dict[str, Any]:
        """The content of regions.json of one of the folders: counts, dtype, and the sources of its regions."""
        return dict(self._parts[folder].index)

    def close(self) -> None:
        """Close the files; reading raises an error from then on. An unused store is closed by itself."""
        for part in self._parts:
            part.close()

    def _locate(self, place: int) -> tuple[StoreFolder, int]:
        """The folder of an image, and its place in it."""
        if len(self._parts) == 1:
            return self._parts[0], place
        number = bisect_right(self._starts, place) - 1
        return self._parts[number], place - self._starts[number]

    def _check_places(self, places: ArrayLike) -> np.ndarray:
        checked = np.asarray(places)
        if checked.ndim != 1 or (checked.dtype.kind not in "iu" and checked.size):
            raise ValueError(f"places must be integers [B]; got {checked.dtype} {list(checked.shape)}.")
        wrong = (checked < 0) | (checked >= len(self))
        if wrong.any():
            raise IndexError(f"there is no image {checked[wrong][0]}; the store has {len(self):,}, counted from 0.")
        return checked.astype(np.int64, copy=False)

    def _split(self, places: np.ndarray) -> Iterator[tuple[StoreFolder, slice | np.ndarray, np.ndarray]]:
        """For each folder that holds some of the images: itself, the rows of these, and their places in it."""
        if len(self._parts) == 1:
            yield self._parts[0], slice(None), places
            return
        holders = np.searchsorted(self._starts, places, side="right") - 1
        for number, part in enumerate(self._parts):
            rows = np.flatnonzero(holders == number)
            if len(rows):
                yield part, rows, places[rows] - self._starts[number]


def _read_features(found: Sequence[tuple[StoreFolder, int]], lengths: Sequence[int], features: np.ndarray) -> None:
    """Read the features of images into ``[B, R, F]``, padded with zeros."""
    prefetched = False
    for row, ((part, own), length) in enumerate(zip(found, lengths, strict=True)):
        start = part.offsets.item(own)
        if not part.features.read_into(start, features[row, :length], wait=prefetched):
            # Not cached: the system learns of all rows to come, so that the disk need not wait for us in between.
            for (other, later), count in zip(found[row:], lengths[row:], strict=True):
                other.features.prefetch(other.offsets.item(later), count)
            prefetched = True
            part.features.read_into(start, features[row, :length])
        part.check_finite(own, features[row, :length])
        features[row, length:] = 0


def open_regions(folders: str | Path | Sequence[str | Path]) -> RegionStore:
    """Open one or several folders of regions as one store; the errors are those of `RegionStore`."""
    return RegionStore([folders] if isinstance(folders, (str, Path)) else list(folders))
