"""Check stores for damage: read every number, and name every damaged image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .image_regions import TOLERANCE, box_limits
from .layout import INDEX, checksum
from .store_folder import StoreFolder

_BLOCK = 8 * 2**20  # bytes of features read at a time


@dataclass(frozen=True)
class Finding:
    """Damage of an image; of the whole store if `image` is None."""

    folder: str
    image: str | None
    what: str


@dataclass(frozen=True)
class CheckReport:
    """The result of a check.

    Attributes:
        images, regions: how many were checked.
        damage: the findings; empty for a good store.
        repeated: image names in several folders: no damage, as the first folder's image is used.
    """

    images: int
    regions: int
    damage: list[Finding]
    repeated: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


def check_regions(
    folders: Sequence[str | Path], progress: Callable[[int, int], None] = lambda size, total: None
) -> CheckReport:
    """Read stores from end to end, and compare every image with its checksum.

    It also reports NaN and infinite features and boxes outside of their images, which no import accepts.

    Args:
        folders: of stores.
        progress: called with the bytes read since the last call, and the total.

    Raises:
        FileNotFoundError: a folder does not exist.
    """
    damage: list[Finding] = []
    parts: list[StoreFolder] = []
    for folder in map(Path, folders):
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; pass a folder that `lxmert features import` made.")
        try:
            parts.append(StoreFolder(folder))
        except (ValueError, OSError) as error:
            damage.append(Finding(str(folder), None, str(error)))
    total = sum(part.index["regions"] * part.feature_size * part.dtype.itemsize for part in parts)
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for part in parts:
        damage += list(_damaged_images(part, progress, total)) or _wrong_index(part)
        part.close()
        if len(parts) > 1:
            names = part.names()
            repeated.update(dict.fromkeys(name for name in names if name in seen))
            seen.update(names)
    regions = sum(part.index["regions"] for part in parts)
    return CheckReport(sum(map(len, parts)), regions, damage, list(repeated))


def _wrong_index(part: StoreFolder) -> list[Finding]:
    """Compare the largest ids in regions.json with the labels, which are intact."""
    declared, actual = part.largest_ids, part.read_largest_ids()
    if declared == actual:
        return []
    what = f"{INDEX} says that the largest object id and attribute id are {declared}; they are {actual}"
    return [Finding(str(part.folder), None, what)]


def _damaged_images(part: StoreFolder, progress: Callable[[int, int], None], total: int) -> Iterator[Finding]:
    names = part.names()
    row_size = part.feature_size * part.dtype.itemsize
    start = 0
    while start < len(part):
        first = int(part.offsets[start])
        # As many images as fit into a block, at least one.
        stop = int(np.searchsorted(part.offsets, first + max(1, _BLOCK // row_size), side="right")) - 1
        stop = min(len(part), max(start + 1, stop))
        regions = int(part.offsets[stop]) - first
        columns = (part.features, part.boxes, part.labels)
        blocks = [np.empty((regions, *rows.shape[1:]), rows.dtype) for rows in columns]
        try:
            for rows, block in zip(columns, blocks, strict=True):
                rows.read_into(first, block)
        except OSError as error:
            yield Finding(str(part.folder), names[start], f"it, or an image after it, cannot be read: {error}")
            return
        for place in range(start, stop):
            own = slice(int(part.offsets[place]) - first, int(part.offsets[place + 1]) - first)
            for what in _faults(part, place, names[place], *(block[own] for block in blocks)):
                yield Finding(str(part.folder), names[place], what)
        progress(regions * row_size, total)
        start = stop


def _faults(
    part: StoreFolder, place: int, name: str, features: np.ndarray, boxes: np.ndarray, labels: np.ndarray
) -> Iterator[str]:
    size = np.array(part.sizes[place])
    if checksum(name.encode("utf-8", "replace"), size, features, boxes, labels) != part.checksums[place]:
        yield "it is not what was written: its checksum differs"
    finite = np.isfinite(features)
    if not finite.all():
        yield f"{int(np.count_nonzero(~finite)):,} of its features are NaN or infinite"
    limits = box_limits(size)
    inside = (boxes >= -TOLERANCE * limits) & (boxes <= (1 + TOLERANCE) * limits)  # NaN is not
    for region in np.flatnonzero(~inside.all(1))[:1].tolist():
        height, width = size.tolist()
        yield f"box {region} is {boxes[region].tolist()}, outside of the image, {width} wide and {height} high"
