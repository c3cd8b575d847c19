"""Max pooling of regions of a map, bit for bit as in Fast R-CNN.

Dimensions: P regions, C channels, h and w height and width of the map, n bins on each side.
Source: Girshick 2015 (arXiv 1504.08083).
"""

import numpy as np
import torch
from torch import Tensor

from lxmert.vision.pooling_windows import PoolingWindows, pooling_windows


def pool_regions(feature_map: Tensor, rois: np.ndarray, size: int) -> Tensor:  # [C, h, w], [P, 4] -> [P, C, n, n]
    """The maximum of every bin of every region, 0 for a bin without cells. The result is in channels-last memory.

    Args:
        feature_map: of one image.
        rois: int, x1, y1, x2, y2 in cells of the map, both corners inside.
        size: n.
    """
    dtype = "float64" if feature_map.dtype == torch.float64 else "float32"
    channels, height, width = feature_map.shape
    windows = pooling_windows(rois, (height, width), size, dtype)
    table = window_maxima(feature_map.permute(1, 2, 0), windows)
    return look_up_bins(table, windows.rows).view(len(rois), size, size, channels).permute(0, 3, 1, 2)


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


def look_up_bins(table: Tensor, rows: np.ndarray) -> Tensor:  # [rows, C], [4, P·n·n] -> [P·n·n, C]
    """The maximum of the four windows of each bin."""
    first, *others = torch.from_numpy(rows).to(table.device)
    found = table.index_select(0, first)
    for other in others:
        found = torch.maximum(found, table.index_select(0, other))
    return found
