"""Boxes of arrays, of which a file says neither unit nor layout: what contradicts the other images is an error.

Clipping would hide such a contradiction, and skipping it would keep the few images in which it does not show.
"""

from __future__ import annotations

import numpy as np

from lxmert.data.features.image_regions import FRACTIONS_SIZE, ImageRegions

from .base import DamagedImage, WrongOptions
from .size_order import SizeOrder, inside

LARGEST_FRACTION = 2.0  # detectors exceed the image slightly, and no image is two pixels wide
_LAYOUTS = {"xyxy": "two corners", "xywh": "a corner with width and height"}


class BoxReader:
    """Makes boxes x1, y1, x2, y2 in pixels of those of a source; one for a source, as its boxes are alike.

    Args:
        layout: "xyxy", two corners, or "xywh", a corner with width and height.
    """

    def __init__(self, layout: str):
        self._layout = layout
        self._fractions: bool | None = None
        self._in_fractions = self._in_pixels = 0  # images
        self._right = self._wrong = 0  # images that fit one layout only
        self._order = SizeOrder((), stated=True)

    def read(
        self, given: np.ndarray, normalized: bool, size: tuple[int, int] | None
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """The boxes ``[R, 4]`` and the size of an image.

        Args:
            given: the boxes ``[R, 4]`` in the layout of the source.
            normalized: whether they are fractions by their name.
            size: height and width; None if they are not known, as they need not be for fractions.

        Raises:
            DamagedImage: the unit or the order of height and width is another than in other images; or no size.
            WrongOptions: the layout, or height and width, are wrong by more images than they are right.
        """
        boxes = given.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # an error of `check_boxes`
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        if self._layout == "xywh":
            boxes, corners = corners, boxes
        fractions = self._are_fractions(boxes, normalized)
        if not fractions and size is None:
            raise DamagedImage(
                "it lacks the size of the image (height and width, or sizes: height, width), which boxes in pixels "
                "need; pass --sizes FILE, a JSON object of ids and [height, width], or normalized_boxes."
            )
        limits = FRACTIONS_SIZE if fractions or size is None else size
        if not fractions:
            self._order.check(ImageRegions("", (), boxes, limits))
        self._check_layout(boxes, corners, limits)
        if not fractions or size is None:
            return boxes, limits
        return boxes * np.array([size[1], size[0]] * 2, np.float32), size

    def decide_unit(self) -> None:
        """Let the most images read so far decide whether boxes are fractions; otherwise the first image does."""
        if self._in_fractions or self._in_pixels:
            self._fractions = self._in_fractions >= self._in_pixels

    def _are_fractions(self, boxes: np.ndarray, normalized: bool) -> bool:
        small = bool((boxes[np.isfinite(boxes)] <= LARGEST_FRACTION).all())
        if normalized:
            if not small:
                raise DamagedImage(
                    f"its normalized boxes must be fractions, 0 to 1; the largest number is {np.nanmax(boxes):g}. "
                    "Boxes in pixels are named boxes."
                )
            return True
        if not (boxes[:, 2:] > boxes[:, :2]).any():  # boxes of zeros tell nothing
            return small if self._fractions is None else self._fractions
        self._in_fractions, self._in_pixels = self._in_fractions + small, self._in_pixels + (not small)
        if self._fractions is None:
            self._fractions = small
        if small != self._fractions:
            units = ("fractions", "in pixels") if small else ("in pixels", "fractions")
            raise DamagedImage(f"its boxes are {units[0]}, unlike those of other images, which are {units[1]}.")
        return small

    def _check_layout(self, boxes: np.ndarray, others: np.ndarray, size: tuple[int, int]) -> None:
        """Count an image, given its boxes as corners by the layout of the source, and by the other layout."""
        fits, fits_other = _are_inside(boxes, size), _are_inside(others, size)
        self._right += fits and not fits_other
        self._wrong += fits_other and not fits
        if fits or not fits_other:
            return
        other = "xyxy" if self._layout == "xywh" else "xywh"
        message = f"its boxes fit the image only as {_LAYOUTS[other]}, not as {_LAYOUTS[self._layout]}."
        if self._wrong > self._right:
            raise WrongOptions(f"{message} State {other} (--boxes {other}), and start over (--restart).")
        raise DamagedImage(message)


def _are_inside(boxes: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether boxes are corners in order, and inside of an image up to what detectors exceed it by."""
    slack = 1e-3 * max(size)
    if not len(boxes) or not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2] - slack).any():
        return False
    right, bottom = boxes[:, 2:].max(0).tolist()
    return inside(right, bottom, size[1], size[0])
