"""The objects of an image as VCR gives them: a box, a class and an outline each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lxmert.utils.messages import escaped

OBJECT_NAMES = (
    *("__background__", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("trafficlight", "firehydrant", "stopsign", "parkingmeter", "bench", "bird", "cat", "dog", "horse", "sheep"),
    *("cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sportsball", "kite", "baseballbat", "baseballglove", "skateboard", "surfboard"),
    *("tennisracket", "bottle", "wineglass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hotdog", "pizza", "donut", "cake", "chair", "couch", "pottedplant", "bed"),
    *("diningtable", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cellphone", "microwave", "oven"),
    *("toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddybear", "hairdrier", "toothbrush"),
)
"""The classes by their number: 0 is the background, then those of COCO in its order, without blanks."""

_IDS = {name: number for number, name in enumerate(OBJECT_NAMES)}
# A box may exceed its image by this fraction of its side: rounding in whatever wrote it.
_TOLERANCE = 1e-5
_LISTED = 8  # faults in an error


@dataclass(frozen=True)
class ImageObjects:
    """The objects that are given with an image.

    Attributes:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in pixels of the image.
        names: N classes, each one of `OBJECT_NAMES`, with or without blanks.
        polygons: for each object its polygons, each ``[P, 2]``, x and y in pixels of the image. A polygon of less than
            three points covers nothing, and an object may have none. None where no outlines are known: the objects then
            fill their boxes.
        confidence: ``[N]``, how sure the boxes are, 0 to 1; 1 by default.
    """

    boxes: np.ndarray
    names: Sequence[str]
    polygons: Sequence[Sequence[np.ndarray]] | None = None
    confidence: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def object_ids(self) -> np.ndarray:
        """The classes as numbers, int64 ``[N]``.

        Raises:
            ValueError: a name that is no class.
        """
        return np.array([object_id(name) for name in self.names], np.int64)

    def check(self, height: int, width: int) -> None:
        """Refuse what does not fit together, or not the image.

        Raises:
            ValueError: the message has every fault.
        """
        faults = self._faults(height, width)
        if faults:
            more = f"; and {len(faults) - _LISTED:,} more" if len(faults) > _LISTED else ""
            listed = "; ".join(faults[:_LISTED])
            raise ValueError(f"the objects of an image {width} wide and {height} high: {listed}{more}.")

    def _faults(self, height: int, width: int) -> list[str]:
        boxes, count = np.asarray(self.boxes), len(self.names)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
            return [f"boxes must be numbers [N, 4]; got {boxes.dtype} {list(boxes.shape)}"]
        faults = [
            f"{what} must be one for each of the {len(boxes)} boxes; got {given}"
            for what, given in (
                ("names", count),
                ("polygons", len(boxes) if self.polygons is None else len(self.polygons)),
                ("confidence", len(boxes) if self.confidence is None else len(self.confidence)),
            )
            if given != len(boxes)
        ]
        limits = np.array([width, height, width, height], np.float64)
        inside = (boxes >= -_TOLERANCE * limits) & (boxes <= (1 + _TOLERANCE) * limits)  # False for NaN
        faults += [f"box {row} {boxes[row].tolist()} is not within it" for row in np.flatnonzero(~inside.all(axis=1))]
        ordered = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        faults += [
            f"box {row} {boxes[row].tolist()} must be x1, y1, x2, y2 with x1 < x2 and y1 < y2"
            for row in np.flatnonzero(inside.all(axis=1) & ~ordered)
        ]
        faults += [_unknown(name) for name in dict.fromkeys(self.names) if _key(name) not in _IDS]
        for row, polygons in enumerate(self.polygons or ()):
            for polygon in polygons:
                points = np.asarray(polygon)
                if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
                    faults.append(f"a polygon of object {row} must be finite numbers [P, 2]; got {list(points.shape)}")
        return faults


def object_id(name: str) -> int:
    """The number of a class; a ValueError for a name that is none."""
    if _key(name) not in _IDS:
        raise ValueError(f"{_unknown(name)}.")
    return _IDS[_key(name)]


def polygon_mask(box: np.ndarray, polygons: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Where an object is in its box: float32 ``[size, size]``, row = y.

    A cell is 1 if its centre lies in any of the polygons. What a polygon encloses twice is outside of it (even-odd
    rule).

    Args:
        box: x1, y1, x2, y2.
        polygons: each ``[P, 2]``, in the units of the box.
        size: cells in a row and in a column.
    """
    x, y = (_centres(low, high, size) for low, high in zip(box[:2], box[2:], strict=True))
    covered = np.zeros((size, size), bool)
    for polygon in polygons:
        if len(polygon) > 2:
            covered |= _inside(np.asarray(polygon, np.float64), x[None, :], y[:, None])
    return covered.astype(np.float32)


def _inside(polygon: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points are in a polygon: a ray to the right crosses an odd number of its edges."""
    (x0, y0), (x1, y1) = (corners.T[:, :, None, None] for corners in (polygon, np.roll(polygon, -1, axis=0)))
    starts_below, ends_below = y0 >= y, y1 >= y  # [P, Y, 1]; y grows downwards
    is_right = ((y1 - y) * (x0 - x1) >= (x1 - x) * (y0 - y1)) == ends_below  # [P, Y, X]
    return np.logical_xor.reduce((starts_below != ends_below) & is_right, axis=0)


def _centres(low: float, high: float, count: int) -> np.ndarray:
    half = (high - low) / (2 * count)
    return np.linspace(low + half, high - half, count)


def _key(name: str) -> str:
    return name.replace(" ", "")


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(_key(name), OBJECT_NAMES, n=1, cutoff=0.6)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ", such as person, car or diningtable"
    return f"{escaped(repr(name))} is none of the {len(OBJECT_NAMES) - 1} classes of COCO{hint}"
