"""Max pooling of regions of a map, bit for bit as in Fast R-CNN.

Dimensions: P regions, C channels, h and w height and width of the map, n bins on each side.
Source: Girshick 2015 (arXiv 1504.08083).
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.vision.faster_rcnn.pooling_windows import PoolingWindows, pooling_windows


def pool_regions(feature_map: Any, rois: np.ndarray, size: int) -> Any:  # [h, w, C], [P, 4] -> [P, n, n, C]
    """The maximum of every bin of every region, 0 for a bin without cells.

    Args:
        feature_map: of one image.
        rois: int, x1, y1, x2, y2 in cells of the map, both corners inside.
        size: n.
    """
    bins, places = distinct_bins(feature_map, rois, size)
    return gather_bins(bins, places)


def distinct_bins(feature_map: Any, rois: np.ndarray, size: int) -> tuple[Any, Any]:
    # [h, w, C], [P, 4] -> [U, C], [P, n, n]
    """The maximum of every bin, once for all bins of the same cells, and the place of each bin of each region.

    Regions overlap, and bins of small regions cover one cell or two: a fifth to a third of all bins are distinct.
    """
    dtype = "float64" if keras.backend.standardize_dtype(feature_map.dtype) == "float64" else "float32"
    windows = pooling_windows(rois, (feature_map.shape[0], feature_map.shape[1]), size, dtype)
    table = window_maxima(feature_map, windows)  # [rows, C]
    first, *others = (ops.convert_to_tensor(each) for each in windows.rows)
    bins = ops.take(table, first, axis=0)
    for other in others:
        bins = ops.maximum(bins, ops.take(table, other, axis=0))
    return bins, ops.convert_to_tensor(windows.places)


def gather_bins(bins: Any, places: Any) -> Any:  # [U, C], [P, n, n] -> [P, n, n, C]
    """Lay bins out as the maps of regions."""
    return ops.take(bins, places, axis=0)


def window_maxima(feature_map: Any, windows: PoolingWindows) -> Any:  # [h, w, C] -> [rows, C]
    """The maxima of all windows of the sizes that are needed, one table after another, and a row of zeros."""
    channels = feature_map.shape[-1]
    known = {(0, 0): feature_map}

    def maxima(tall: int, wide: int) -> Any:
        if (tall, wide) not in known:
            half = maxima(tall - 1, wide) if tall else maxima(tall, wide - 1)
            step = 2 ** (tall - 1) if tall else 2 ** (wide - 1)
            pair = (half[:-step], half[step:]) if tall else (half[:, :-step], half[:, step:])
            known[tall, wide] = ops.maximum(*pair)
        return known[tall, wide]

    tables = [ops.reshape(maxima(*level), (-1, channels)) for level in windows.levels]
    return ops.concatenate([*tables, ops.zeros((1, channels), feature_map.dtype)])
