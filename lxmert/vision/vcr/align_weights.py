"""How much the cells of a map count for the bins of a region, in RoIAlign.

Bilinear interpolation and the mean over the samples of a bin are sums of products along each axis. So the features of
all bins are two matrix products: of the map with the weights of its rows, and with those of its columns.

Source: He et al. 2017 (arXiv 1703.06870), without the later offset of half a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STRIDE = 16
"""Pixels of the image for a cell of the map, in each direction."""


class AlignWeights(NamedTuple):
    """The weights of N regions with n x n bins, over a map of height h and width w.

    Attributes:
        rows: ``[N, n, h]``.
        columns: ``[N, n, w]``.
    """

    rows: np.ndarray
    columns: np.ndarray


def align_weights(boxes: np.ndarray, map_size: tuple[int, int], bins: int, dtype: str) -> AlignWeights:
    """The weights of the cells of a map for the bins of boxes.

    As in the original: a side is at least one cell, and a bin has as many samples along each axis as it spans cells,
    rounded up. A sample more than one cell before the map or behind it counts as 0; another is moved into the map.

    Args:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in pixels of the network's input.
        map_size: h and w.
        bins: n.
        dtype: of the weights and of what computes them, "float32" or "float64".
    """
    corners = np.asarray(boxes, dtype) / np.array(STRIDE, dtype)
    x1, y1, x2, y2 = corners.T
    height, width = map_size
    return AlignWeights(_axis_weights(y1, y2, height, bins), _axis_weights(x1, x2, width, bins))


def _axis_weights(low: np.ndarray, high: np.ndarray, cells: int, bins: int) -> np.ndarray:  # [N], [N] -> [N, n, cells]
    """The weights along one axis; `low` and `high` are in cells."""
    side = np.maximum(high - low, 1)[:, None, None] / np.array(bins, low.dtype)  # of a bin, [N, 1, 1]
    samples = np.ceil(side)
    place = np.arange(int(samples.max(initial=1)), dtype=low.dtype)  # [S]
    start = low[:, None, None] + np.arange(bins, dtype=low.dtype)[:, None] * side  # [N, n, 1]
    positions = start + (place + low.dtype.type(0.5)) * side / samples  # [N, n, S]
    counts = (place < samples) & (positions >= -1) & (positions <= cells)
    positions = np.clip(positions, 0, cells - 1)
    distance = np.abs(positions[..., None] - np.arange(cells, dtype=low.dtype))  # [N, n, S, cells]
    shares = np.maximum(1 - distance, 0) * counts[..., None]
    return np.asarray(shares.sum(axis=2) / samples)
