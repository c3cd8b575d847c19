"""Find the shapes that differ from an image's background, and cut each out without any background.

Separate from regions.py for code that needs a shape itself and not its features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lxmert.utils.optional_imports import require
from lxmert.vision.shapes.background import estimate_background, largest_channel

_MIN_CONTRAST = 10.0  # of 255; below it, JPEG artefacts would be shapes
_EDGE = 0.4  # a shape's edge is where the contrast falls to this fraction of the shape's


class CutShape(NamedTuple):
    """A shape without its background.

    Attributes:
        rows, columns: of its box.
        cut: float32 ``[h, w, 4]`` for the pixels of the box: red, green and blue, each from -1 (none) to 1 (full) times
            the cover, and the cover, the fraction of the pixel that the shape fills.
    """

    rows: slice
    columns: slice
    cut: np.ndarray


def find_shapes(pixels: np.ndarray, most: int) -> list[CutShape]:
    """The shapes of an image, uint8 or float32 ``[H, W, 3]`` in 0..255; at most ``most``, the largest first."""
    pixels = pixels.astype(np.float32, copy=False)
    background, noise = estimate_background(pixels)
    labels, contrasts, distance = _label_shapes(pixels, background, noise)
    sizes = np.bincount(labels.ravel(), minlength=len(contrasts) + 1)[1:]
    ndimage = require("scipy.ndimage", "Finding regions")
    boxes = ndimage.find_objects(labels)
    shapes = []
    for shape in np.argsort(-sizes, kind="stable")[:most]:
        box = boxes[shape]
        under = background if background.shape[0] == 1 else background[box]
        # The rim is one pixel wide; less than half of it, but not nothing, is the shape.
        rim = ndimage.binary_dilation(labels[box] == shape + 1, np.ones((3, 3)))
        mine = (labels[box] == shape + 1) | (rim & (labels[box] == 0))
        cut = _cut_out(pixels[box], under, distance[box] / contrasts[shape], mine)
        shapes.append(CutShape(box[0], box[1], cut))
    return shapes


def _label_shapes(
    pixels: np.ndarray, background: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shapes as labels int ``[H, W]`` (0: background), the contrast of each label, and the distance ``[H, W]``."""
    ndimage = require("scipy.ndimage", "Finding regions")
    distance = largest_channel(pixels - background)
    signal = distance
    threshold = max(_MIN_CONTRAST, 5.0 * noise)
    if noise > 2.0:
        # The mean of nine pixels has a third of the noise, and shapes stay in place.
        smooth = ndimage.uniform_filter(pixels - background, size=(3, 3, 1), mode="nearest")
        signal = largest_channel(smooth)
        threshold = max(_MIN_CONTRAST, 2.5 * noise)
    labels, count = ndimage.label(signal > threshold)
    if count == 0:
        return labels, np.zeros(0, np.float32), distance
    # First at the threshold, with the blurred rims of shapes; then each shape at the middle of its own edge.
    contrasts = _contrasts(signal, labels, count)
    clear = np.concatenate([[False], contrasts > 12.0 * noise])[labels]
    signal = np.where(clear, distance, signal)  # with little noise, averaging would only round corners
    limits = np.concatenate([[np.inf], np.maximum(_EDGE * contrasts, threshold)])
    labels, count = ndimage.label(signal > limits[labels])
    contrasts = _contrasts(signal, labels, count)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    largest = areas.max(initial=0)
    # JPEG leaves small faint spots next to a shape; so a small region must have much contrast.
    least = np.where(areas < 0.3 * largest, 0.35, 0.12) * contrasts.max(initial=0.0)
    keep = (areas >= max(6.0, 2e-4 * labels.size, 0.005 * largest)) & (contrasts >= least)
    renumbered = np.zeros(count + 1, labels.dtype)
    renumbered[1:][keep] = np.arange(1, keep.sum() + 1)
    return renumbered[labels], contrasts[keep], distance


def _contrasts(distance: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The distance of a typical inner pixel of each label from the background: the 80th percentile."""
    inside = labels > 0
    owner, values = labels[inside], distance[inside]
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    ends = np.searchsorted(owner, np.arange(1, count + 2))
    return values[ends[:-1] + ((ends[1:] - ends[:-1]) * 4) // 5] if count else np.zeros(0, np.float32)


def _cut_out(pixels: np.ndarray, background: np.ndarray, share: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """A shape without its background, ``[h, w, 4]``: colours in -1..1 times cover, and cover.

    A pixel of the rim mixes shape and background; subtracting the background's part leaves the shape's colour.
    """
    cover = np.where(mine, np.clip((share - 0.15) / 0.7, 0.0, 1.0), 0.0)[..., None]
    colour = (pixels - (1.0 - cover) * background) / 127.5 - cover
    return np.concatenate([np.where(mine[..., None], np.clip(colour, -cover, cover), 0.0), cover], axis=2)
