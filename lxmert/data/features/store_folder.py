"""One folder of a store: what is looked up (names, offsets, sizes) is mapped, what is large is read by position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.json_files import read_json
from lxmert.utils.paths import check_path

from .layout import (
    BOX_DTYPE,
    BOXES,
    CHECKSUM_DTYPE,
    CHECKSUMS,
    FEATURE_DTYPES,
    FEATURES,
    FORMAT,
    INDEX,
    LABEL_DTYPE,
    LABELS,
    LARGEST,
    LONGEST_NAME,
    NAME_PLACES,
    NAMES,
    NO_ID,
    OFFSET_DTYPE,
    OFFSETS,
    SIZE_DTYPE,
    SIZES,
    VERSION,
    largest_ids,
)
from .row_reader import Rows, check_announced, stored_in

_BLOCK = 65536  # how many entries are looked at together, so that no step needs memory for all images


class RegionFolder:
    """One folder of a store, checked when it is opened: nothing that its files say is trusted."""

    def __init__(self, folder: Path):
        check_path("the folder of regions", folder)
        self.folder = folder
        self.index = _read_index(folder)
        images, regions = self.index["images"], self.index["regions"]
        self.feature_size, self.most_regions = self.index["feature_size"], self.index["most_regions"]
        self.has_objects = self.index["with_objects"] == images
        self.has_attributes = self.index["with_attributes"] == images
        self.dtype = FEATURE_DTYPES[self.index["dtype"]]
        self.offsets = self._mapped(OFFSETS, OFFSET_DTYPE, (images + 1,))
        self.sizes = self._mapped(SIZES, SIZE_DTYPE, (images, 2))
        self.checksums = self._mapped(CHECKSUMS, CHECKSUM_DTYPE, (images,))
        self._names = self._mapped(NAMES, None, (images,))
        self._name_places = self._mapped(NAME_PLACES, OFFSET_DTYPE, (images,))
        self._check_catalogue(regions)
        self.features = Rows(folder / FEATURES, self.dtype, (regions, self.feature_size))
        self.boxes = Rows(folder / BOXES, BOX_DTYPE, (regions, 4))
        self.labels = Rows(folder / LABELS, LABEL_DTYPE, (regions,))

    def __len__(self) -> int:
        return self.index["images"]

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Where images are, int64, -1 for those that are not here."""
        width = self._names.dtype.itemsize
        encoded = [name.encode("utf-8", "replace") if isinstance(name, str) else b"" for name in names]
        wanted = np.array(encoded, f"S{width}")  # longer ones are cut, and sorted out below
        at = np.minimum(np.searchsorted(self._names, wanted), len(self) - 1)
        places = np.array(self._name_places[at])
        same = self._names[at] == wanted
        # NumPy drops zeros at the end of a text: such a name would be taken for the one without them.
        exact = [0 < len(name) <= width and not name.endswith(b"\0") for name in encoded]
        places[~(same & np.array(exact, bool))] = -1
        return places

    def names(self) -> list[str]:
        """All names by place."""
        names = [""] * len(self)
        for place, name in zip(self._name_places.tolist(), self._names.tolist(), strict=True):
            names[place] = name.decode("utf-8", "replace")
        return names

    def name(self, place: int) -> str:
        """The name of one image, found without reading them all into memory."""
        at = int(np.flatnonzero(self._name_places == place)[0])
        return self._names[at].decode("utf-8", "replace")

    @cached_property
    def largest_ids(self) -> list[int]:
        """The largest object id and attribute id, -1 for none: as regions.json says; an older store is looked through.

        Raises:
            OSError: the disk cannot be read.
        """
        if all(name in self.index for name in LARGEST):
            return [self.index[name] for name in LARGEST]
        return self.read_largest_ids()

    def read_largest_ids(self) -> list[int]:
        """The largest ids by the labels themselves, which are read from end to end."""
        largest = [NO_ID, NO_ID]
        for start in range(0, self.index["regions"], _BLOCK):
            labels = np.empty(min(_BLOCK, self.index["regions"] - start), LABEL_DTYPE)
            self.labels.into(start, labels)
            largest = [max(known, new) for known, new in zip(largest, largest_ids(labels), strict=True)]
        return largest

    def read_rows(self, rows: Sequence[int], targets: Iterable[int], features: np.ndarray) -> None:
        """Read the features of single regions."""
        announced = False
        for number, (row, target) in enumerate(zip(rows, targets, strict=True)):
            if not self.features.into(row, features[target : target + 1], waiting=announced):
                for later in rows[number:]:
                    self.features.announce(later, 1)
                announced = True
                self.features.into(row, features[target : target + 1])

    def close(self) -> None:
        """Let the files go."""
        for rows in (self.features, self.boxes, self.labels):
            rows.close()

    def _mapped(self, name: str, dtype: np.dtype | None, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / name
        stored = stored_in(path)
        if dtype is None:
            if stored.dtype.kind != "S" or not 0 < stored.dtype.itemsize <= LONGEST_NAME:
                raise ValueError(f"{path} must hold names of 1 to {LONGEST_NAME} bytes; it holds {stored.dtype}.")
            dtype = stored.dtype
        check_announced(path, stored.dtype, stored.shape, dtype, shape)
        # As a plain array: the class of maps costs more in every look-up than the look-up.
        return np.memmap(path, dtype, "r", stored.offset, shape).view(np.ndarray)

    def _check_catalogue(self, regions: int) -> None:
        """See that what is looked up leads to where regions are. In blocks: not all images at once in memory."""
        count = len(self)
        seen = np.zeros(count, bool)
        most = 0
        for start in range(0, count, _BLOCK):
            steps = np.diff(self.offsets[start : start + _BLOCK + 1])
            if (steps < 0).any():
                raise self._damaged(OFFSETS, f"the regions of image {start + int(np.argmax(steps < 0))} end too early")
            most = max(most, int(steps.max()))
            small = (self.sizes[start : start + _BLOCK] < 1).any(1)
            if small.any():
                raise self._damaged(SIZES, f"image {start + int(np.argmax(small))} has no height or width")
            names = self._names[start : start + _BLOCK + 1]
            falling = names[1:] <= names[:-1]
            if falling.any():
                at = int(np.argmax(falling))
                first, second = (repr(name.decode("utf-8", "replace")) for name in names[at : at + 2].tolist())
                twice = f"{first} is there twice" if first == second else f"{second} comes behind {first}"
                raise self._damaged(NAMES, twice)
            places = self._name_places[start : start + _BLOCK]
            if (places < 0).any() or (places >= count).any():
                raise self._damaged(NAME_PLACES, "a name leads to no image")
            seen[places] = True
        if not seen.all():
            raise self._damaged(NAME_PLACES, f"no name leads to image {int(np.argmin(seen))}")
        if self.offsets[0] != 0 or self.offsets[-1] != regions:
            raise self._damaged(OFFSETS, f"{regions:,} regions were to be from 0 to the end")
        if most != self.most_regions:
            raise self._damaged(INDEX, f"the most regions of an image are {most}, not {self.most_regions}")

    def _damaged(self, name: str, what: str) -> ValueError:
        return ValueError(f"{self.folder / name} is damaged: {what}. Import the regions again.")


_COUNTS = ("images", "regions", "feature_size", "most_regions", "with_objects", "with_attributes")


def _read_index(folder: Path) -> dict[str, Any]:
    """What regions.json says, seen to be whole.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no store, or one that this package cannot read.
    """
    path = folder / INDEX
    if not path.is_file():
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; give a folder that `lxmert features import` made.")
        raise ValueError(
            f"{folder} holds no regions: it has no {INDEX}. Make such a folder with `lxmert features import`."
        )
    index = read_json(path)
    if index.get("format") != FORMAT:
        raise ValueError(f"{path} must say that its format is {FORMAT!r}; it says {index.get('format')!r}.")
    if index.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {index.get('version')!r}; version {VERSION} is read. Import the regions again, or "
            "use the version of this package that wrote them."
        )
    for name in _COUNTS:
        value = index.get(name)
        least = 1 if name in ("images", "feature_size") else 0
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**48:
            raise ValueError(f"{path}: {name} must be an integer from {least}; it is {value!r}.")
    for name in LARGEST:
        value = index.get(name, NO_ID)
        if not isinstance(value, int) or isinstance(value, bool) or not NO_ID <= value < 2**31:
            raise ValueError(f"{path}: {name} must be an integer from {NO_ID}; it is {value!r}.")
    if index.get("dtype") not in FEATURE_DTYPES:
        raise ValueError(f"{path}: dtype must be {' or '.join(FEATURE_DTYPES)}; it is {index.get('dtype')!r}.")
    return index
