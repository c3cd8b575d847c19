"""The anchors of a proposal network: boxes of some sizes and shapes around every cell of the map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """The anchors of one cell, float32 ``[A, 4]``, x1, y1, x2, y2 around 0: size by size, with every ratio in turn.

    Args:
        sizes: the square roots of their areas in pixels.
        ratios: height by width.
    """
    sides = [((size * size / ratio) ** 0.5, ratio) for size in sizes for ratio in ratios]
    return np.array([[-w / 2, -w * r / 2, w / 2, w * r / 2] for w, r in sides], np.float32)
