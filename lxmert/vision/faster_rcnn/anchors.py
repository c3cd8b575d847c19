"""The anchors of a map: boxes of some sizes and shapes around every cell."""

from __future__ import annotations

import numpy as np

STRIDE = 16
"""Pixels of the network's input for a cell of its map, in each direction."""


def map_anchors(
    cell_anchors: np.ndarray, map_size: tuple[int, int], offset: float = 0.0, dtype: str = "float32"
) -> np.ndarray:
    """The anchors of all cells, ``[h * w * A, 4]``, in the order row, column, anchor.

    Args:
        cell_anchors: of one cell, ``[A, 4]``, x1, y1, x2, y2 around 0.
        map_size: height and width of the map, h and w.
        offset: cells between the top left corner of a cell and the middle of its anchors.
        dtype: "float32" or "float64"; in float32 the sums are rounded.
    """
    height, width = map_size
    start = np.dtype(dtype).type(offset)
    corners = np.empty((height, width, 1, 4), dtype)
    corners[..., 0::2] = ((np.arange(width, dtype=dtype) + start) * STRIDE)[None, :, None, None]
    corners[..., 1::2] = ((np.arange(height, dtype=dtype) + start) * STRIDE)[:, None, None, None]
    return (corners + cell_anchors.astype(dtype)).reshape(-1, 4)
