"""From an image to what a detector's network reads: resized, in the network's channel order, the mean subtracted."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from lxmert.common.config.detector import DetectorConfig
from lxmert.vision.images import ImageInput, open_image

LEAST_SIDE = 3
"""The stem of the network needs so many pixels in each direction."""


class NetworkInput(NamedTuple):
    """An image for the network.

    Attributes:
        pixels: float32 ``[H, W, 3]``.
        image_size: height and width of the image that it was resized from.
        path: of that image; empty where it was no file.
    """

    pixels: np.ndarray
    image_size: tuple[int, int]
    path: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def scale(self) -> np.ndarray:
        """Float32 ``[4]``: what boxes x1, y1, x2, y2 are multiplied by to be in pixels of the image."""
        y, x = np.array(self.image_size, np.float32) / np.array(self.size, np.float32)
        return np.array([x, y, x, y], np.float32)


def network_input(image: ImageInput, config: DetectorConfig, short_side: int, long_side: int) -> NetworkInput:
    """Open an image and prepare it for the network.

    Args:
        image: see `open_image`.
        config: of the network.
        short_side, long_side: of the network's input; see `resized_size`.

    Raises:
        As `open_image`.
    """
    pixels = open_image(image)
    height, width = pixels.shape[:2]
    resized = resize(pixels, resized_size(height, width, short_side, long_side))
    if config.channel_order == "BGR":
        resized = resized[:, :, ::-1]
    resized = resized - np.array(config.pixel_mean, np.float32)
    if any(value != 1 for value in config.pixel_std):
        resized /= np.array(config.pixel_std, np.float32)
    path = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
    return NetworkInput(np.ascontiguousarray(resized), (height, width), path)


def resized_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width after resizing: the shorter side has `short_side` pixels, unless the longer had more than
    `long_side`, which it then has.

    Both are rounded half up at the end; whether the longer side is too long is decided before that. Proportions are
    kept, also of small images, which are enlarged: 1x1 to `short_side` squared. Of an image so long that a side would
    have less than the 3 pixels that the network needs (30,000x2), it gets these.
    """
    scale = short_side / min(height, width)
    # The shorter side is exact: multiplied, it could be rounded.
    rows, columns = (short_side, scale * width) if height < width else (scale * height, short_side)
    if max(rows, columns) > long_side:
        scale = long_side / max(rows, columns)
        rows, columns = rows * scale, columns * scale
    return max(int(rows + 0.5), LEAST_SIDE), max(int(columns + 0.5), LEAST_SIDE)


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [H, W, C] -> [h, w, C]
    """Resize to float32 by bilinear interpolation between the centres of the nearest pixels, without antialiasing."""
    height, width = pixels.shape[:2]
    top, bottom, down = _neighbours(height, size[0])
    left, right, along = _neighbours(width, size[1])
    down, along = down[:, None, None], along[:, None]

    def row(numbers: np.ndarray) -> np.ndarray:
        rows = pixels[numbers]
        first = np.take(rows, left, axis=1).astype(np.float32)
        second = np.take(rows, right, axis=1).astype(np.float32)
        second -= first
        second *= along
        second += first
        return second

    upper, lower = row(top), row(bottom)
    lower -= upper
    lower *= down
    lower += upper
    return lower


def _neighbours(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel the two old ones between whose centres it lies, and how far after the first, float32."""
    half, step = np.float32(0.5), np.float32(before) / np.float32(after)
    # In float32, as PyTorch computes them.
    places = np.maximum(step * (np.arange(after, dtype=np.float32) + half) - half, np.float32(0))
    first = np.minimum(places.astype(np.int64), before - 1)
    return first, np.minimum(first + 1, before - 1), places - first.astype(np.float32)
