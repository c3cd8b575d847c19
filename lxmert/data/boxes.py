"""How much boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

MATCH = 0.5
"""The least overlap at which a region counts as the right one, as in the evaluation of Flickr30K Entities."""


def box_iou(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Intersection over union of boxes ``[N, 4]`` and ``[M, 4]`` (x1, y1, x2, y2): float64 ``[N, M]``.

    0 for boxes that do not overlap, and for two boxes without area.
    """
    one = np.asarray(first, np.float64).reshape(-1, 1, 4)
    two = np.asarray(second, np.float64).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    union = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (two[..., 2:] - two[..., :2]).prod(axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def matches_any(boxes: ArrayLike, right: ArrayLike) -> np.ndarray:
    """Which boxes ``[N, 4]`` overlap one of the right ones ``[M, 4]`` by `MATCH` or more: bool ``[N]``."""
    return np.asarray((box_iou(boxes, right) >= MATCH).any(axis=1))
