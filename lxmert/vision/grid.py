"""Cells of a feature map as regions: their boxes, and the mean of a map over the cells of a coarser grid."""

from __future__ import annotations

import numpy as np


def cell_boxes(grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:  # -> [h * w, 4]
    """The boxes of a grid's cells, row by row, as float32 x1, y1, x2, y2 in pixels of an image.

    Args:
        grid: rows and columns, h and w.
        size: height and width of the image.
    """
    y, x = (np.arange(count + 1) * (length / count) for count, length in zip(grid, size, strict=True))
    y[-1], x[-1] = size  # exactly, whatever was rounded
    top, left = (edges.ravel() for edges in np.meshgrid(y[:-1], x[:-1], indexing="ij"))
    bottom, right = (edges.ravel() for edges in np.meshgrid(y[1:], x[1:], indexing="ij"))
    return np.stack([left, top, right, bottom], axis=1).astype(np.float32)


def pool_map(feature_map: np.ndarray, grid: tuple[int, int]) -> np.ndarray:  # [H, W, C] -> [h, w, C]
    """The mean of a feature map over the cells of a coarser grid; a cell on a border counts by its part inside.

    Computed in float64, so that no order of summation shows in float32.
    """
    if feature_map.shape[:2] == grid:
        return feature_map.astype(np.float32)
    rows, columns = (_shares(*pair) for pair in zip(grid, feature_map.shape[:2], strict=True))
    pooled = np.einsum("hH,wW,HWC->hwC", rows, columns, feature_map.astype(np.float64), optimize=True)
    return pooled.astype(np.float32)


def _shares(cells: int, length: int) -> np.ndarray:  # -> [cells, length]
    """How much of each cell every position of a side fills; rows sum to one."""
    edges = np.arange(cells + 1) * (length / cells)
    positions = np.arange(length)
    overlap = np.minimum(edges[1:, None], positions + 1) - np.maximum(edges[:-1, None], positions)
    return np.clip(overlap, 0.0, None) * (cells / length)


def map_of_tokens(
    tokens: np.ndarray, size: tuple[int, int], patch: tuple[int, int], leading: int | None = None
) -> np.ndarray:  # [T, C] -> [h, w, C]
    """The patches among the tokens of a vision transformer, as a map.

    The tokens of the image as a whole (classes, registers), which come first, are left out.

    Args:
        tokens: one row per token.
        size: height and width of the network's input.
        patch: height and width of a patch.
        leading: how many tokens come before the patches; by default those that are too many for the patches, at most
            two: a class, and what is distilled.

    Raises:
        ValueError: the numbers do not fit each other.
    """
    (height, width), (patch_height, patch_width) = size, patch
    if height % patch_height or width % patch_width:
        raise ValueError(
            f"the image must be a multiple of the network's patches of {patch_height}x{patch_width}; got "
            f"{height}x{width}. Pass an image_size of {max(height // patch_height, 1) * patch_height}x"
            f"{max(width // patch_width, 1) * patch_width}, for example."
        )
    rows, columns = height // patch_height, width // patch_width
    extra = len(tokens) - rows * columns
    if not 0 <= extra <= 2 if leading is None else extra != leading:
        before = "" if leading is None else f" and {leading} before them"
        raise ValueError(
            f"the network must give a token for each of {rows}x{columns} patches{before}; it gave {len(tokens)}."
        )
    return tokens[extra:].reshape(rows, columns, -1)
