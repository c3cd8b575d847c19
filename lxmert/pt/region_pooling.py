"""Max pooling of regions of a map, bit for bit as in Fast R-CNN.

Dimensions: P regions, C channels, h and w height and width of the map, n bins on each side.
Source: Girshick 2015 (arXiv 1504.08083).
"""

import numpy as np
import torch
from torch import Tensor

from lxmert.vision.faster_rcnn.pooling_windows import PoolingWindows, pooling_windows


def pool_regions(feature_map: Tensor, rois: np.ndarray, size: int) -> Tensor:  # [C, h, w], [P, 4] -> [P, C, n, n]
    """The maximum of every bin of every region, 0 for a bin without cells. The result is in channels-last memory.

    Args:
        feature_map: of one image.
        rois: int, x1, y1, x2, y2 in cells of the map, both corners inside.
        size: n.
    """
    bins, places = distinct_bins(feature_map, rois, size)
    return gather_bins(bins, places)


def distinct_bins(feature_map: Tensor, rois: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    # [C, h, w], [P, 4] -> [C, U], [P, n, n]
    """The maximum of every bin, once for all bins of the same cells, and the place of each bin of each region.

    Regions overlap, and bins of small regions cover one cell or two: a fifth to a third of all bins are distinct.
    """
    dtype = "float64" if feature_map.dtype == torch.float64 else "float32"
    windows = pooling_windows(rois, (feature_map.shape[1], feature_map.shape[2]), size, dtype)
    table = window_maxima(feature_map.permute(1, 2, 0), windows)  # [rows, C]
    first, *others = torch.from_numpy(windows.rows).to(table.device)
    bins = table.index_select(0, first)
    for other in others:
        bins = torch.maximum(bins, table.index_select(0, other))
    return bins.t(), torch.from_numpy(windows.places).to(table.device)


def gather_bins(bins: Tensor, places: Tensor) -> Tensor:  # [C, U], [P, n, n] -> [P, C, n, n]
    """Lay bins out as the maps of regions."""
    return bins.t().index_select(0, places.flatten()).view(*places.shape, len(bins)).permute(0, 3, 1, 2)


def window_maxima(feature_map: Tensor, windows: PoolingWindows) -> Tensor:  # [h, w, C] -> [rows, C]
    """The maxima of all windows of the sizes that are needed, one table after another, and a row of zeros."""
    channels = feature_map.shape[-1]
    known = {(0, 0): feature_map}

    def maxima(tall: int, wide: int) -> Tensor:
        if (tall, wide) not in known:
            half = maxima(tall - 1, wide) if tall else maxima(tall, wide - 1)
            step = 2 ** (tall - 1) if tall else 2 ** (wide - 1)
            pair = (half[:-step], half[step:]) if tall else (half[:, :-step], half[:, step:])
            known[tall, wide] = torch.maximum(*pair)
        return known[tall, wide]

    tables = [maxima(*level).reshape(-1, channels) for level in windows.levels]
    return torch.cat([*tables, feature_map.new_zeros(1, channels)])
