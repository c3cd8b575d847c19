"""Reading a store: images by name or place, any of them at any time, from any number of processes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few

from .layout import LABEL_DTYPE, NO_LABEL
from .store_folder import RegionFolder

_BLOCK = 65536  # names that are looked up together
_TOLD = 3  # how many missing images a message names


class RegionStore:
    """One or several folders of regions as one: their images follow one another, and a place is an image's number.

    An image that several folders hold is taken from the first of them. Pickling keeps the paths only, so a worker
    process opens the same files and shares the system's pages of them.

    Args:
        folders: what `RegionWriter` or `lxmert features import` made.

    Attributes:
        folders: their paths.
        feature_size: F.
        most_regions: of any image.
        has_objects, has_attributes: whether every image has object ids, attribute ids. A single region may still have
            none, and has the id -100 then.
        has_labels: whether every image has both.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: no store, a damaged one, or stores of different feature sizes.
    """

    def __init__(self, folders: Sequence[str | Path]):
        if not folders:
            raise ValueError("give at least one folder of regions.")
        self.folders = tuple(map(Path, folders))
        self._parts = [RegionFolder(folder) for folder in self.folders]
        sizes = {part.feature_size for part in self._parts}
        if len(sizes) > 1:
            told = ", ".join(f"{part.folder} has {part.feature_size}" for part in self._parts)
            raise ValueError(f"features must have one size in all folders; {told}.")
        self.feature_size = self._parts[0].feature_size
        self.most_regions = max(part.most_regions for part in self._parts)
        self.has_objects = all(part.has_objects for part in self._parts)
        self.has_attributes = all(part.has_attributes for part in self._parts)
        self.has_labels = self.has_objects and self.has_attributes
        self._first = list(accumulate(map(len, self._parts), initial=0))

    def __len__(self) -> int:
        return self._first[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return RegionStore, (self.folders,)

    def __repr__(self) -> str:
        return f"RegionStore({', '.join(map(str, self.folders))}: {len(self):,} images)"

    @cached_property
    def names(self) -> list[str]:
        """The images' names by place; read when it is asked for."""
        return [name for part in self._parts for name in part.names()]

    @property
    def largest_object_id(self) -> int:
        """The largest of all object ids, -1 if there is none; a model needs more labels than this number."""
        return max(part.largest_ids[0] for part in self._parts)

    @property
    def largest_attribute_id(self) -> int:
        """The largest of all attribute ids, -1 if there is none."""
        return max(part.largest_ids[1] for part in self._parts)

    def places(self, names: Iterable[str]) -> np.ndarray:
        """Where images are.

        Args:
            names: N names, each as often as wanted.

        Returns:
            int64 ``[N]``, for the other methods.

        Raises:
            ValueError: images that no folder holds; it names the first of them, and says how many there are.
        """
        names = list(names)
        found: dict[str, int] = dict.fromkeys(names, -1)  # each name is looked up once
        missing = list(found)
        for first, part in zip(self._first, self._parts, strict=False):
            still = []
            for start in range(0, len(missing), _BLOCK):
                block = missing[start : start + _BLOCK]
                for name, place in zip(block, part.find(block).tolist(), strict=True):
                    if place < 0:
                        still.append(name)
                    else:
                        found[name] = first + place
            missing = still
        if missing:
            count = f"{len(missing):,} of {len(found):,} images are" if len(missing) > 1 else "an image is"
            raise ValueError(
                f"{count} not in {', '.join(map(str, self.folders))}: {first_few(map(str, missing), _TOLD)}. The store "
                f"has names such as {first_few([self._parts[0].name(0)])}."
            )
        return np.fromiter((found[name] for name in names), np.int64, len(names))

    def counts(self, places: Any) -> np.ndarray:
        """How many regions images have, int64 ``[B]``."""
        places = self._checked(places)
        counts = np.empty(len(places), np.int64)
        for part, where, own in self._split(places):
            counts[where] = part.offsets[own + 1] - part.offsets[own]
        return counts

    def sizes(self, places: Any) -> np.ndarray:
        """Height and width of images in pixels, int32 ``[B, 2]``."""
        places = self._checked(places)
        sizes = np.empty((len(places), 2), np.int32)
        for part, where, own in self._split(places):
            sizes[where] = part.sizes[own]
        return sizes

    def batch(self, places: Any, regions: int | None = None, labels: bool = False) -> dict[str, np.ndarray]:
        """The visual inputs of some images.

        Args:
            places: ``[B]``, of `places`.
            regions: R; None for the most that one of these images has. An image with more keeps its first.
            labels: whether to give the labels too.

        Returns:
            visual_feats float32 ``[B, R, F]``, visual_pos float32 ``[B, R, 4]`` as parts of width and height,
            visual_attention_mask float32 ``[B, R]``; all zeros where an image has no more regions. With labels
            also object_ids and attribute_ids int64 ``[B, R]``, -100 where there is none, and object_confidence and
            attribute_confidence float32 ``[B, R]``, 0 where there is none.

        Raises:
            IndexError: a place that no image has.
            OSError: the disk cannot be read.
        """
        # Numbers of Python from here on: for a few images they cost less than arrays of so few elements.
        found = [self._find(place) for place in self._checked(places).tolist()]
        lengths = [part.offsets.item(own + 1) - part.offsets.item(own) for part, own in found]
        if regions is None:
            regions = max(lengths, default=0)
        elif regions < 1:
            raise ValueError(f"regions must be 1 or more; got {regions}.")
        lengths = [min(length, regions) for length in lengths]
        count = len(found)
        features = np.empty((count, regions, self.feature_size), np.float32)
        boxes = np.zeros((count, regions, 4), np.float32)
        mask = np.zeros((count, regions), np.float32)
        described = np.zeros((count, regions), LABEL_DTYPE) if labels else None
        if described is not None:
            described["object_id"] = described["attribute_id"] = NO_LABEL
        sides = []
        announced = False
        for row, ((part, own), length) in enumerate(zip(found, lengths, strict=True)):
            begin = part.offsets.item(own)
            if not part.features.into(begin, features[row, :length], waiting=announced):
                # It is not in memory. The disk is told of all that comes, so that it need not wait for us in between.
                for (other, later), more in zip(found[row:], lengths[row:], strict=True):
                    other.features.announce(other.offsets.item(later), more)
                announced = True
                part.features.into(begin, features[row, :length])
            if length < regions:
                features[row, length:] = 0
            part.boxes.into(begin, boxes[row, :length])
            mask[row, :length] = 1
            if described is not None:
                part.labels.into(begin, described[row, :length])
            height, width = part.sizes.item(own, 0), part.sizes.item(own, 1)
            sides.append((width, height, width, height))
        boxes /= np.array(sides, np.float32).reshape(count, 1, 4)
        result = {
            "visual_feats": features,
            "visual_pos": boxes,
            "visual_attention_mask": mask,
        }
        if described is not None:
            for kind in ("object", "attribute"):
                result[f"{kind}_ids"] = described[f"{kind}_id"].astype(np.int64)
                result[f"{kind}_confidence"] = described[f"{kind}_confidence"].copy()
        return result

    def features_at(self, places: Any, regions: Any) -> np.ndarray:
        """The features of single regions of any images.

        Args:
            places: ``[K]``, images.
            regions: ``[K]``, which region of each, from 0.

        Returns:
            float32 ``[K, F]``.

        Raises:
            IndexError: an image or a region that is not there.
        """
        places, regions = self._checked(places), np.asarray(regions, np.int64)
        if regions.shape != places.shape:
            raise ValueError(f"places and regions must be as many; got {len(places)} and {list(regions.shape)}.")
        features = np.empty((len(places), self.feature_size), np.float32)
        for part, where, own in self._split(places):
            rows = part.offsets[own] + regions[where]
            wrong = (regions[where] < 0) | (rows >= part.offsets[own + 1])
            if wrong.any():
                at = int(np.argmax(wrong))
                raise IndexError(
                    f"image {part.name(int(own[at]))!r} has {int(part.offsets[own[at] + 1] - part.offsets[own[at]])} "
                    f"regions; there is no region {int(regions[where][at])}."
                )
            part.read_rows(rows.tolist(), range(len(features)) if isinstance(where, slice) else where, features)
        return features

    def facts(self, folder: int) -> dict[str, Any]:
        """What one of the folders says of itself: its counts, dtype, and where its regions come from."""
        return dict(self._parts[folder].index)

    def close(self) -> None:
        """Let the files go; reading is an error from then on. A store that nobody holds any more closes by itself."""
        for part in self._parts:
            part.close()

    def _find(self, place: int) -> tuple[RegionFolder, int]:
        """The folder that holds a place, and what the place is there."""
        if len(self._parts) == 1:
            return self._parts[0], place
        number = bisect_right(self._first, place) - 1
        return self._parts[number], place - self._first[number]

    def _checked(self, places: Any) -> np.ndarray:
        places = np.asarray(places)
        if places.ndim != 1 or (places.dtype.kind not in "iu" and places.size):
            raise ValueError(f"places must be integers [B]; got {places.dtype} {list(places.shape)}.")
        known = self._first[-1]
        if ((places < 0) | (places >= known)).any():
            wrong = places[(places < 0) | (places >= known)][0]
            raise IndexError(f"there is no image {wrong}; the store has {len(self):,}, counted from 0.")
        return places.astype(np.int64, copy=False)

    def _split(self, places: np.ndarray) -> Iterable[tuple[RegionFolder, Any, np.ndarray]]:
        """Each folder that is meant, which of the places are its own, and what they are there."""
        if len(self._parts) == 1:
            yield self._parts[0], slice(None), places
            return
        holders = np.searchsorted(self._first, places, side="right") - 1
        for number, part in enumerate(self._parts):
            where = np.flatnonzero(holders == number)
            if len(where):
                yield part, where, places[where] - self._first[number]


def open_regions(folders: str | Path | Sequence[str | Path]) -> RegionStore:
    """Open one or several folders of regions as one store.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: no store, a damaged one, or stores of different feature sizes.
    """
    return RegionStore([folders] if isinstance(folders, (str, Path)) else list(folders))
