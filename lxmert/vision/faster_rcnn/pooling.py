"""Regions in cells of the map, and the bins of region pooling: which cells each part of a region covers."""

from __future__ import annotations

import numpy as np

from lxmert.vision.faster_rcnn.anchors import STRIDE


def map_regions(boxes: np.ndarray) -> np.ndarray:
    """Boxes ``[N, 4]`` in pixels of the network's input as regions of the map, int64 ``[N, 4]``, both corners inside.

    Half a cell is rounded away from zero. A box at the right or bottom edge may round to cells after the map.
    """
    places = boxes / STRIDE
    whole = np.trunc(places)
    return (whole + np.sign(places) * (np.abs(places - whole) >= 0.5)).astype(np.int64)


def inside_map(regions: np.ndarray, map_size: tuple[int, int]) -> np.ndarray:
    """Regions ``[N, 4]``, with those that begin after the map made equal: each of them pools to zeros."""
    height, width = map_size
    after = (regions[:, 0] >= width) | (regions[:, 1] >= height)
    return np.where(after[:, None], np.array([width, height, width, height]), regions)


def distinct_regions(regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regions ``[N, 4]`` without those that are there already, ``[U, 4]``, and the row of each, int64 ``[N]``.

    Equal regions have equal features, so each needs to be computed once. They stay in the order of their first places.
    """
    _, first, rows = np.unique(regions, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return regions[first[order]], place[rows.reshape(-1)]


def pooling_bins(
    rois: np.ndarray, map_size: tuple[int, int], size: int, dtype: str = "float32"
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """First row and row after the last of the bins of each region, int64 ``[P, n]`` each, and the same of columns.

    A region of ``s`` cells has bins of ``s / n`` cells, computed in ``dtype``; a bin covers every cell that it touches,
    so neighbouring bins share cells. What lies outside of the map is left out; an empty bin has start >= stop.

    Args:
        rois: int ``[P, 4]``, x1, y1, x2, y2 in cells of the map, both corners inside.
        map_size: height and width of the map.
        size: n.
        dtype: "float32" or "float64": a few sides have bins whose rounded edges differ.
    """
    rois = np.asarray(rois, np.int64)
    numbers = np.arange(size + 1).astype(dtype)
    found = []
    for first, last, cells in ((1, 3, map_size[0]), (0, 2, map_size[1])):
        start = rois[:, first, None]
        side = np.maximum(rois[:, last, None] - start + 1, 1).astype(dtype) / np.dtype(dtype).type(size)  # [P, 1]
        edges = side * numbers  # [P, n + 1]
        lower, upper = np.floor(edges[:, :-1]).astype(np.int64), np.ceil(edges[:, 1:]).astype(np.int64)
        found.append((np.clip(lower + start, 0, cells), np.clip(upper + start, 0, cells)))
    return found[0], found[1]
