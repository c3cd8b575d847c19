"""Looking for damage in stores: every number is read, and every image that is wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .image_regions import TOLERANCE
from .layout import INDEX, checksum
from .store_folder import RegionFolder

_BLOCK = 8 * 2**20  # bytes of features that are read together


@dataclass(frozen=True)
class Finding:
    """Something wrong with a store.

    Attributes:
        folder: of the store.
        image: its name, None if the store as a whole is meant.
        what: is wrong.
    """

    folder: str
    image: str | None
    what: str


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        images, regions: how many were looked at.
        damage: what is wrong; nothing in a good store.
        repeated: names that several of the folders hold, which is no damage: the first folder's is taken.
    """

    images: int
    regions: int
    damage: list[Finding]
    repeated: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage


def check_regions(
    folders: Sequence[str | Path], progress: Callable[[int, int], None] = lambda size, total: None
) -> CheckReport:
    """Read stores from end to end, and compare every image with its checksum.

    Found are also NaN and infinite features and boxes outside of their images, which no import lets in.

    Args:
        folders: of stores.
        progress: told the bytes that were read since the last call, and how many there are.

    Raises:
        FileNotFoundError: a folder that is not there.
    """
    damage: list[Finding] = []
    parts: list[RegionFolder] = []
    for folder in map(Path, folders):
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; give a folder that `lxmert features import` made.")
        try:
            parts.append(RegionFolder(folder))
        except (ValueError, OSError) as error:
            damage.append(Finding(str(folder), None, str(error)))
    total = sum(part.index["regions"] * part.feature_size * part.dtype.itemsize for part in parts)
    for part in parts:
        found = list(_damaged(part, progress, total)) or _wrong_index(part)
        damage += found
        part.close()
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    if len(parts) > 1:
        for part in parts:
            names = part.names()
            repeated.update(dict.fromkeys(name for name in names if name in seen))
            seen.update(names)
    regions = sum(part.index["regions"] for part in parts)
    return CheckReport(sum(map(len, parts)), regions, damage, list(repeated))


def _wrong_index(part: RegionFolder) -> list[Finding]:
    """What regions.json says wrongly of the labels of a store whose images are as they were written."""
    told, read = part.largest_ids, part.read_largest_ids()
    if told == read:
        return []
    what = f"{INDEX} says that the largest object id and attribute id are {told}; they are {read}"
    return [Finding(str(part.folder), None, what)]


def _damaged(part: RegionFolder, progress: Callable[[int, int], None], total: int) -> Iterable[Finding]:
    names = part.names()
    row = part.feature_size * part.dtype.itemsize
    at, count = 0, len(part)
    while at < count:
        begin = int(part.offsets[at])
        # As many images as fit into a block, at least one.
        behind = int(np.searchsorted(part.offsets, begin + max(1, _BLOCK // row), side="right")) - 1
        behind = min(count, max(at + 1, behind))
        regions = int(part.offsets[behind]) - begin
        features = np.empty((regions, part.feature_size), part.dtype)
        boxes, labels = np.empty((regions, 4), part.boxes.dtype), np.empty(regions, part.labels.dtype)
        try:
            for rows, target in ((part.features, features), (part.boxes, boxes), (part.labels, labels)):
                rows.into(begin, target)
        except OSError as error:
            yield Finding(str(part.folder), names[at], f"it, or an image behind it, cannot be read: {error}")
            return
        for place in range(at, behind):
            own = slice(int(part.offsets[place]) - begin, int(part.offsets[place + 1]) - begin)
            for what in _wrong(part, place, names[place], features[own], boxes[own], labels[own]):
                yield Finding(str(part.folder), names[place], what)
        progress(regions * row, total)
        at = behind


def _wrong(
    part: RegionFolder, place: int, name: str, features: np.ndarray, boxes: np.ndarray, labels: np.ndarray
) -> Iterable[str]:
    size = np.array(part.sizes[place])
    if checksum(name.encode("utf-8", "replace"), size, features, boxes, labels) != part.checksums[place]:
        yield "it is not what was written: its checksum is another one"
    finite = np.isfinite(features)
    if not finite.all():
        yield f"{int(np.count_nonzero(~finite)):,} of its features are NaN or infinite"
    height, width = size.tolist()
    whole = np.array([width, height, width, height], np.float32)
    inside = (boxes >= -TOLERANCE * whole) & (boxes <= (1 + TOLERANCE) * whole)  # NaN is not
    for region in np.flatnonzero(~inside.all(1))[:1].tolist():
        yield f"box {region} is {boxes[region].tolist()}, outside of the image, {width} wide and {height} high"
