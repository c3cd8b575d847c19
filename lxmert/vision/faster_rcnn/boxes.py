"""Boxes x1, y1, x2, y2: moved by predicted deltas, cut at the edges of an image, and how far they overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MOST_ENLARGED = math.log(1000 / 16)
"""The most that a delta enlarges a side, as a logarithm: from the smallest object to the whole of a large image."""


def move_boxes(boxes: np.ndarray, deltas: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The boxes that deltas (dx, dy, dw, dh) make of others, in the dtype of the deltas.

    dx and dy move the centre by parts of the sides, and dw and dh are the logarithms of what the sides are multiplied
    by, `MOST_ENLARGED` at most; a side may shrink without a limit.

    Args:
        boxes: ``[N, 4]``.
        deltas: ``[N, 4]``.
        weights: four numbers that divide the deltas first.
    """
    dtype = deltas.dtype
    boxes = boxes.astype(dtype, copy=False)
    shares = deltas / np.array(weights, dtype)
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + dtype.type(0.5) * sides
    centres = shares[:, :2] * sides + centres
    sides = np.exp(np.minimum(shares[:, 2:], dtype.type(MOST_ENLARGED))) * sides
    half = dtype.type(0.5) * sides
    return np.concatenate([centres - half, centres + half], axis=1)


def clip_boxes(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The parts of boxes ``[N, 4]`` that are in an image of this height and width; outside of it they are empty."""
    height, width = size
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def box_sides(boxes: np.ndarray) -> np.ndarray:
    """Width and height of boxes ``[N, 4]``: ``[N, 2]``."""
    return boxes[:, 2:] - boxes[:, :2]


def overlaps(box: np.ndarray, others: np.ndarray, whole_pixels: bool = False) -> np.ndarray:
    """Intersection over union of boxes ``[..., 4]`` with others ``[N, 4]``: ``[..., N]``, NaN for two empty ones.

    Args:
        box: one box or several.
        others: what they are compared with.
        whole_pixels: whether x2 and y2 are the last pixels inside, so that every side is longer by 1, as in Caffe.
    """
    extra = others.dtype.type(whole_pixels)
    x1, y1, x2, y2 = np.ascontiguousarray(others.T)
    left, top, right, bottom = (box[..., number, None] for number in range(4))
    wide = np.maximum(np.minimum(x2, right) - np.maximum(x1, left) + extra, 0)
    high = np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top) + extra, 0)
    common = wide * high
    area = (right - left + extra) * (bottom - top + extra)
    with np.errstate(invalid="ignore"):
        return np.asarray(common / (area + (x2 - x1 + extra) * (y2 - y1 + extra) - common))
