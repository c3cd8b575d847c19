"""One folder of a store: offsets and sizes are read into memory, names when they are looked up, the rest by position.

Nothing is mapped: a file that is cut while it is mapped ends the process, one that is read gives an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.json_files import read_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import check_path

from . import layout
from .row_reader import RowReader, are_finite, check_stored, largest_number

_BLOCK = 65536  # entries checked at a time, so that no step needs memory for all images


class StoreFolder:
    """One folder of a store, validated when it is opened: its files are not trusted."""

    def __init__(self, folder: Path):
        check_path("the folder of regions", folder)
        self.folder = folder
        self.index = _read_index(folder)
        images, regions = self.index["images"], self.index["regions"]
        self.feature_size, self.most_regions = self.index["feature_size"], self.index["most_regions"]
        self.has_objects = self.index["with_objects"] == images
        self.has_attributes = self.index["with_attributes"] == images
        self.dtype = layout.FEATURE_DTYPES[self.index["dtype"]]
        arrays = layout.array_shapes(images, regions, self.feature_size, self.dtype)
        arrays[layout.NAME_PLACES] = layout.OFFSET_DTYPE, (images,)
        self._rows = {name: RowReader(folder / name, dtype, shape) for name, (dtype, shape) in arrays.items()}
        self._rows[layout.NAMES] = RowReader(folder / layout.NAMES, self._name_dtype(), (images,))
        self.features, self.boxes, self.labels = (
            self._rows[name] for name in (layout.FEATURES, layout.BOXES, layout.LABELS)
        )
        self.offsets, self.sizes = self._rows[layout.OFFSETS].all(), self._rows[layout.SIZES].all()
        self._are_finite = np.zeros(images, bool)  # by `check_finite`
        self._check_names()
        self._check_offsets_and_sizes(regions)

    def __len__(self) -> int:
        return self.index["images"]

    @cached_property
    def checksums(self) -> np.ndarray:
        """The checksums of all images, by place."""
        return self._rows[layout.CHECKSUMS].all()

    @cached_property
    def _names(self) -> np.ndarray:
        return self._rows[layout.NAMES].all()

    @cached_property
    def _name_places(self) -> np.ndarray:
        return self._rows[layout.NAME_PLACES].all()

    def find(self, names: Sequence[str]) -> np.ndarray:
        """The places of images, int64; -1 for those that are not in this folder."""
        width = self._names.dtype.itemsize
        encoded = [name.encode("utf-8", "replace") if isinstance(name, str) else b"" for name in names]
        wanted = np.array(encoded, f"S{width}")  # truncates longer names, which are excluded below
        at = np.minimum(np.searchsorted(self._names, wanted), len(self) - 1)
        # NumPy drops trailing zeros: a name with one would match the name without it.
        exact = [0 < len(name) <= width and not name.endswith(b"\0") for name in encoded]
        return np.where((self._names[at] == wanted) & np.array(exact, bool), self._name_places[at], -1)

    def names(self) -> list[str]:
        """All names by place."""
        names = [""] * len(self)
        for place, name in zip(self._name_places.tolist(), self._names.tolist(), strict=True):
            names[place] = name.decode("utf-8", "replace")
        return names

    def name(self, place: int) -> str:
        """The name of one image."""
        at = int(np.flatnonzero(self._name_places == place)[0])
        return self._names[at].decode("utf-8", "replace")

    @cached_property
    def largest_ids(self) -> list[int]:
        """The largest object id and attribute id, -1 for none: as in regions.json, or by the labels of an old store."""
        if all(name in self.index for name in layout.LARGEST_IDS):
            return [self.index[name] for name in layout.LARGEST_IDS]
        return self.read_largest_ids()

    def read_largest_ids(self) -> list[int]:
        """The largest ids, computed from all labels."""
        largest = [layout.NO_ID, layout.NO_ID]
        for labels in self.labels.blocks(_BLOCK):
            largest = list(map(max, largest, layout.largest_ids(labels)))
        return largest

    def read_rows(self, rows: Sequence[int], targets: Iterable[int], features: np.ndarray) -> None:
        """Read the features of single regions into rows of `features`."""
        prefetched = False
        for number, (row, target) in enumerate(zip(rows, targets, strict=True)):
            if not self.features.read_into(row, features[target : target + 1], wait=prefetched):
                for later in rows[number:]:
                    self.features.prefetch(later, 1)
                prefetched = True
                self.features.read_into(row, features[target : target + 1])

    def check_finite(self, place: int, features: np.ndarray) -> None:
        """Refuse features with NaN or infinite numbers, when an image is read for the first time.

        Args:
            place: of the image.
            features: as they were read, ``[R, F]``.

        Raises:
            ValueError: naming the image, the region and the number.
        """
        if self._are_finite.item(place):
            return
        if are_finite(features, self.dtype):
            # An image of which only some regions were read is checked again.
            self._are_finite[place] = len(features) == self.offsets.item(place + 1) - self.offsets.item(place)
            return
        region, number = np.argwhere(~(np.abs(features) <= largest_number(self.dtype)))[0].tolist()
        raise ValueError(
            f"{self.folder}, image {shown(self.name(place))}: its features must be finite; number {number} of region "
            f"{region} is NaN or infinite. `lxmert features check` lists all such images; import them again."
        )

    def close(self) -> None:
        """Close the files."""
        for rows in self._rows.values():
            rows.close()

    def _name_dtype(self) -> np.dtype:
        path = self.folder / layout.NAMES
        dtype = check_stored(path, None, (len(self),)).dtype
        if dtype.kind != "S" or not 0 < dtype.itemsize <= layout.MAX_NAME_BYTES:
            raise ValueError(f"{path} must hold names of 1 to {layout.MAX_NAME_BYTES} bytes; it holds {dtype}.")
        return dtype

    def _check_offsets_and_sizes(self, regions: int) -> None:
        most = 0
        for start in range(0, len(self), _BLOCK):
            steps = np.diff(self.offsets[start : start + _BLOCK + 1])
            if (steps < 0).any():
                raise self._damaged(
                    layout.OFFSETS, f"the regions of image {start + int(np.argmax(steps < 0))} end too early"
                )
            most = max(most, int(steps.max()))
            empty = (self.sizes[start : start + _BLOCK] < 1).any(1)
            if empty.any():
                raise self._damaged(layout.SIZES, f"image {start + int(np.argmax(empty))} has no height or width")
        if self.offsets[0] != 0 or self.offsets[-1] != regions:
            raise self._damaged(layout.OFFSETS, f"it must go from 0 to the number of regions, {regions:,}")
        if most != self.most_regions:
            raise self._damaged(layout.INDEX, f"the most regions of an image are {most}, not {self.most_regions}")

    def _check_names(self) -> None:
        """Check that names are sorted and unique, and that each leads to one image."""
        seen = np.zeros(len(self), bool)
        blocks = (self._rows[layout.NAMES].blocks(_BLOCK, overlap=1), self._rows[layout.NAME_PLACES].blocks(_BLOCK))
        for names, places in zip(*blocks, strict=True):
            unsorted = names[1:] <= names[:-1]
            if unsorted.any():
                at = int(np.argmax(unsorted))
                first, second = (repr(name.decode("utf-8", "replace")) for name in names[at : at + 2].tolist())
                raise self._damaged(
                    layout.NAMES, f"{first} is there twice" if first == second else f"{second} comes after {first}"
                )
            if (places < 0).any() or (places >= len(self)).any():
                raise self._damaged(layout.NAME_PLACES, "a name leads to no image")
            seen[places] = True
        if not seen.all():
            raise self._damaged(layout.NAME_PLACES, f"no name leads to image {int(np.argmin(seen))}")

    def _damaged(self, name: str, what: str) -> ValueError:
        return ValueError(f"{self.folder / name} is damaged: {what}. Import the regions again.")


# The counts in regions.json, and the smallest that each may be.
_COUNTS = {"images": 1, "regions": 0, "feature_size": 1, "most_regions": 0, "with_objects": 0, "with_attributes": 0}


def _read_index(folder: Path) -> dict[str, Any]:
    """The content of regions.json, validated: a FileNotFoundError without the folder, a ValueError for no store."""
    path = folder / layout.INDEX
    if not path.is_file():
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; pass a folder that `lxmert features import` made.")
        raise ValueError(
            f"{folder} holds no regions: it has no {layout.INDEX}. Make such a folder with `lxmert features import`."
        )
    index = read_json(path)
    if index.get("format") != layout.FORMAT:
        raise ValueError(f"{path} must have the format {layout.FORMAT!r}; it has {shown(index.get('format'))}.")
    if index.get("version") != layout.VERSION:
        raise ValueError(
            f"{path} has version {shown(index.get('version'))}; only version {layout.VERSION} can be read. Import the "
            "regions again, or use the version of this package that wrote them."
        )
    if "pictures" in index:  # the name of the count in stores of earlier commits
        index.setdefault("images", index.pop("pictures"))
    smallest = {**_COUNTS, **dict.fromkeys(layout.LARGEST_IDS, layout.NO_ID)}
    for name, least in smallest.items():
        value = index.get(name, layout.NO_ID if name in layout.LARGEST_IDS else None)
        most = 2**31 if name in layout.LARGEST_IDS else 2**48
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < most:
            raise ValueError(f"{path}: {name} must be an integer from {least}; it is {shown(value)}.")
    if index.get("dtype") not in list(layout.FEATURE_DTYPES):
        raise ValueError(
            f"{path}: dtype must be {' or '.join(layout.FEATURE_DTYPES)}; it is {shown(index.get('dtype'))}."
        )
    return index
