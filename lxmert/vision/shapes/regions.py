"""From an image to the regions that a model sees: the whole image, and what differs from its background.

The original LXMERT has an object detector here. This one suits drawn images: a few shapes on a smooth background. A
region's features depend neither on the background nor on the image's size.

Limits of the method: it misses a shape whose colour is within 10 of 255 of the background's in every channel (gray on
gray); touching shapes are one region; it takes a frame around an image for its background, and also a shape that covers
most of the border; photographs are mostly one region.
"""

from __future__ import annotations

import numpy as np

from lxmert.utils.held_memory import cached_within
from lxmert.vision.images import ImageInput, open_image, resize_image
from lxmert.vision.shapes.find import find_shapes

CELLS = 8
"""A region's features describe CELLS x CELLS cells."""

FEATURE_SIZE = CELLS * CELLS * 4
"""F: red, green, blue and cover of each cell."""

MAX_SHAPES = 7
"""The most shapes of an image that become regions by default: the largest ones."""

_MOST_DEVIATION = 0.13  # of the colours in a drawn shape, of a range of -1..1; see `are_plain_shapes`
_WORKING_PIXELS = 512 * 512  # larger images are scaled down to this


def image_regions(image: ImageInput, max_shapes: int = MAX_SHAPES) -> tuple[np.ndarray, np.ndarray]:
    """Find the regions of one image and compute their features.

    The first region is the whole image; the others are its shapes, the largest first. A region's features describe
    `CELLS` x `CELLS` cells, row by row from the top left of its box, by (red, green, blue, cover): cover is the
    fraction of the cell that a shape fills, and the colours are those of the shape, from -1 (none) to 1 (full), times
    the cover. So the background is 0, and an image without shapes has zeros.

    Args:
        image: anything that `open_image` opens.
        max_shapes: the most shapes to describe.

    Returns:
        Features, float32 ``[R, F]``, and boxes, float32 ``[R, 4]`` as (x1, y1, x2, y2) in 0..1 of width and height,
        with 1 <= R <= 1 + max_shapes and F = `FEATURE_SIZE`.
    """
    if max_shapes < 0:
        raise ValueError(f"max_shapes must be at least 0; got {max_shapes}.")
    pixels = _resized_size(open_image(image))
    height, width = pixels.shape[:2]
    shapes = find_shapes(pixels, max_shapes)
    features = np.zeros((1 + len(shapes), FEATURE_SIZE), np.float32)
    boxes = np.empty((1 + len(shapes), 4), np.float32)
    boxes[0] = (0.0, 0.0, 1.0, 1.0)
    shown = np.zeros((height, width, 4), np.float32)  # the shapes alone, where they are in the image
    for region, (rows, columns, cut) in enumerate(shapes, start=1):
        features[region] = _cell_means(cut)
        boxes[region] = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        shown[rows, columns] += cut
    if shapes:
        features[0] = _cell_means(shown)
    return features, boxes


def are_plain_shapes(features: np.ndarray) -> bool:  # [R, F]
    """Whether each region of an image but the first, which is the whole image, has one colour: it may be a drawn shape.

    Measured is how far the colours of a region's cells are from their median, on average. It is below 0.125 for drawn
    shapes of 48 pixels and more, also with noise and as JPEG of quality 40; the regions that are found in photographs
    reach 0.15 to 0.45, and those of a blurred detail of one 0.08.
    """
    cells = features[1:].reshape(-1, CELLS * CELLS, 4)
    cover = cells[..., 3]
    for colours, part in zip(cells[..., :3] / np.maximum(cover, 0.5)[..., None], cover, strict=True):
        inside = colours[part > 0.5]  # a cell with less is mostly the blurred edge
        if len(inside) >= 4 and float(np.abs(inside - np.median(inside, axis=0)).mean()) > _MOST_DEVIATION:
            return False
    return True


def _resized_size(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    if height * width <= _WORKING_PIXELS:
        return pixels
    scale = (_WORKING_PIXELS / (height * width)) ** 0.5
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    # An image so long that its shorter side keeps one pixel would have too many along the longer one.
    return resize_image(pixels, (min(rows, _WORKING_PIXELS), min(columns, _WORKING_PIXELS)), "box")


def _cell_means(cut: np.ndarray) -> np.ndarray:
    """``[h, w, 4]`` to ``[F]``: the mean of each cell; the edges of cells may cut pixels."""
    rows, columns = _cell_weights(cut.shape[0]), _cell_weights(cut.shape[1])
    height, width = cut.shape[:2]
    by_rows = (rows @ cut.reshape(height, width * 4)).reshape(CELLS, width, 4)
    return np.matmul(columns, by_rows).reshape(-1)


@cached_within(2**24)
def _cell_weights(count: int) -> np.ndarray:
    """``[CELLS, count]``: the share of each of ``count`` pixels in each cell's mean."""
    edges = np.linspace(0.0, count, CELLS + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(count)[None]
    overlap = np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0.0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
