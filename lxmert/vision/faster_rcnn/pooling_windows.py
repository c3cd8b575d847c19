"""Where the maximum of every bin of a region is found: in four rows of tables of window maxima.

A maximum over a bin of any size is that of at most four windows whose sides are powers of two, and which may overlap.
The maxima of all such windows of a map are few and made once for all regions; pooling is then a lookup of rows, which
both frameworks do fast. The values are copied, never computed: the result is exact in every dtype.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lxmert.vision.faster_rcnn.pooling import pooling_bins


class PoolingWindows(NamedTuple):
    """The windows of the bins of some regions.

    Attributes:
        levels: base-2 logarithms of height and width of the windows that are needed, in the order of their tables.
            The table of (a, b) has ``h - 2**a + 1`` rows of ``w - 2**b + 1`` windows, named by their top left cells.
        rows: int64 ``[4, U]``: the windows of each distinct bin, as rows of the tables one after another; the row after
            the last one stands for an empty bin, whose maximum is 0.
        places: int64 ``[P, n, n]``, the distinct bin of each bin of each region.
    """

    levels: tuple[tuple[int, int], ...]
    rows: np.ndarray
    places: np.ndarray


def pooling_windows(rois: np.ndarray, map_size: tuple[int, int], size: int, dtype: str) -> PoolingWindows:
    """The windows for pooling regions to ``size`` x ``size`` bins.

    Args:
        rois: int ``[P, 4]``, x1, y1, x2, y2 in cells of the map, both corners inside.
        map_size: height and width of the map.
        size: n, the bins on each side.
        dtype: "float32" or "float64", in which the edges of the bins are computed.
    """
    height, width = map_size
    (top, bottom), (left, right) = pooling_bins(rois, map_size, size, dtype)  # each [P, n]
    tall, high, low = _windows(top, bottom)
    wide, near, far = _windows(left, right)
    level = tall[:, :, None] * 32 + wide[:, None, :]  # [P, n, n]
    empty = (top >= bottom)[:, :, None] | (left >= right)[:, None, :]
    used = np.unique(level[~empty])
    levels = tuple((int(each) // 32, int(each) % 32) for each in used)
    sizes = [(height - 2**a + 1) * (width - 2**b + 1) for a, b in levels]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    place = np.searchsorted(used, level)  # the number of each bin's table
    start = starts[np.minimum(place, len(levels))]
    stride = (width - 2**wide + 1)[:, None, :]
    rows = np.stack([start + y[:, :, None] * stride + x[:, None, :] for y in (high, low) for x in (near, far)])
    rows[:, empty] = starts[-1]
    # The first and the last window of a bin, which are of one table, say which cells it covers.
    _, first, places = np.unique(rows[0] * (starts[-1] + 1) + rows[3], return_index=True, return_inverse=True)
    return PoolingWindows(levels, rows.reshape(4, -1)[:, first], places.reshape(empty.shape))


def _windows(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithm of the longest window that fits into each interval, and where the first and the last of them begin."""
    length = np.maximum(stop - start, 1).astype(np.int64)
    level = np.frexp(length.astype(np.float64))[1].astype(np.int64) - 1
    return level, start.astype(np.int64), stop.astype(np.int64) - 2**level
