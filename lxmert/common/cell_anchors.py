"""The boxes that a detector starts from: their sizes and ratios in every cell of its map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """The anchors of one cell, around its origin [A, 4]: corners x1, y1, x2, y2 in pixels, float32.

    The sizes change slowest. A size is the square root of the area; a ratio is height by width.
    """
    boxes = []
    for size in sizes:
        for ratio in ratios:
            width = np.sqrt(size**2.0 / ratio)
            boxes.append((-width / 2, -ratio * width / 2, width / 2, ratio * width / 2))
    return np.array(boxes, np.float32).reshape(-1, 4)
