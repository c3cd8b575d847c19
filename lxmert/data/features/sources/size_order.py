"""Whether width or height comes first in a file that does not say it: the boxes of wide and tall images show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lxmert.data.features.image_regions import ImageRegions

from .base import DamagedImage, WrongOptions
from .base64_arrays import MAX_REGIONS, array, integer
from .text.columns import IGNORED

_DECISIVE = 50  # images that are enough


class SizeOrder:
    """The evidence for the order of image_h and image_w in a TSV.

    Args:
        columns: the order that is examined; none of arrays, whose sizes are height and width.
        stated: whether the user or a header line gave it; otherwise it is inferred.
    """

    def __init__(self, columns: Sequence[str], stated: bool):
        self.columns, self.stated = tuple(columns), stated
        self.right = self.swapped = 0  # images that fit one order only

    @property
    def decided(self) -> bool:
        """Whether many images fit one order only."""
        return max(self.right, self.swapped) >= _DECISIVE

    def add(self, image: ImageRegions) -> bool:
        """Count an image; whether its boxes contradict the order."""
        height, width = np.asarray(image.size).tolist()
        boxes = np.asarray(image.boxes)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
            return False  # damaged: no evidence
        if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
            return False
        x, y = boxes[:, 2].max(), boxes[:, 3].max()
        fits, fits_swapped = inside(x, y, width, height), inside(x, y, height, width)
        self.right += fits and not fits_swapped
        self.swapped += fits_swapped and not fits
        return bool(fits_swapped and not fits)

    def add_row(self, row: dict[str, bytes]) -> DamagedImage | None:
        """Count a row of a TSV; what is damaged in it is returned, and an error when its image is read."""
        try:
            height, width = integer("image_h", row["image_h"]), integer("image_w", row["image_w"])
            count = integer("num_boxes", row["num_boxes"], MAX_REGIONS) if "num_boxes" in row else None
            self.add(ImageRegions("", (), array("boxes", row["boxes"], "<f4", count, 4), (height, width)))
        except DamagedImage as error:
            return error
        return None

    def turned(self) -> SizeOrder:
        """The other order, with the same evidence."""
        other = {"image_h": "image_w", "image_w": "image_h"}
        result = SizeOrder([other.get(name, name) for name in self.columns], self.stated)
        result.right, result.swapped = self.swapped, self.right
        return result

    def check(self, image: ImageRegions) -> None:
        """Count an image of the import.

        A stated order is right as long as no more images speak against it than for it, since a single image may be
        wrong. An inferred one must hold for every image.

        Raises:
            DamagedImage: the order is right, but not for this image.
            WrongOptions: the order is wrong.
        """
        if not self.add(image):
            return
        height, width = np.asarray(image.size).tolist()
        message = f"its boxes fit an image {height} wide and {width} high, not one {width} wide and {height} high"
        if self.stated and self.swapped <= self.right:
            raise DamagedImage(f"{message}; those of other images do not show that height and width are exchanged.")
        if not self.columns:
            raise WrongOptions(f"{message}: sizes are height, width. Exchange them and start over (--restart).")
        raise WrongOptions(
            f"{message}: height and width are in another order than in the columns {','.join(self.columns)}. "
            f"{how_to_state(self.turned().columns)} and start over (--restart)."
        )


def inside(x: float, y: float, width: int, height: int) -> bool:
    """Whether a box ends in an image, up to what detectors exceed it by."""
    return bool(x <= width * 1.01 + 1 and y <= height * 1.01 + 1)


def how_to_state(*orders: Sequence[str]) -> str:
    """What to pass for one of these orders of columns."""
    named = [",".join(order) for order in orders]
    ignored = f" ({IGNORED} for a column that is not read)" if any(IGNORED in order for order in orders) else ""
    return f"Pass --columns {' or --columns '.join(named)}{ignored}"
