"""From an image and its objects to what VisualBERT's image network for VCR reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.vision.images import resize_image

from .objects import ImageObjects, polygon_mask


class Canvas(NamedTuple):
    """An image in the middle of a canvas.

    Attributes:
        pixels: uint8 ``[H, W, 3]``, RGB, with the black padding.
        scale: by which the image was resized.
        padding: pixels on the left, at the top, on the right and at the bottom.
    """

    pixels: np.ndarray
    scale: float
    padding: tuple[int, int, int, int]

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The box of the image in the canvas, x1, y1, x2, y2."""
        left, top, right, bottom = self.padding
        return left, top, self.pixels.shape[1] - right, self.pixels.shape[0] - bottom

    def place(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``[N, 4]`` in pixels of the image, in pixels of the canvas."""
        left, top = self.padding[:2]
        return np.asarray(boxes, np.float64) * self.scale + np.array([left, top, left, top], np.float64)


class VcrInputs(NamedTuple):
    """What the network reads of images of one canvas; row 0 of each image is all of it.

    Attributes:
        images: float32 ``[B, H, W, 3]``, RGB, normalized.
        boxes: float32 ``[B, R, 4]``, x1, y1, x2, y2 in pixels of the canvas; -1 for padding.
        box_mask: int64 ``[B, R]``, 1 for a box and 0 for padding, which comes last.
        object_ids: int64 ``[B, R]``, the class of each box, 0 for the whole image; -1 for padding.
        masks: float32 ``[B, R, M, M]``, 1 where the object is in its box; 0 for padding.
    """

    images: np.ndarray
    boxes: np.ndarray
    box_mask: np.ndarray
    object_ids: np.ndarray
    masks: np.ndarray


def vcr_inputs(images: Sequence[np.ndarray], objects: Sequence[ImageObjects], config: VcrDetectorConfig) -> VcrInputs:
    """Resize images, and place their objects in them.

    Args:
        images: uint8 RGB arrays ``[H, W, 3]``, of any sizes.
        objects: of each image. Without polygons, a mask is all ones: the network was trained with real masks, and this
            is what it knows of the whole image.
        config: of the network.

    Raises:
        ValueError: objects that do not fit together or not their image; images and objects that differ in number.
    """
    rows = 1 + max(map(len, objects), default=0)
    count, cells = len(images), config.mask_size
    inputs = VcrInputs(
        np.empty((count, config.canvas_height, config.canvas_width, 3), np.float32),
        np.full((count, rows, 4), -1, np.float32),
        np.zeros((count, rows), np.int64),
        np.full((count, rows), -1, np.int64),
        np.zeros((count, rows, cells, cells), np.float32),
    )
    for row, (image, given) in enumerate(zip(images, objects, strict=True)):
        given.check(*image.shape[:2])
        canvas, real = fit_canvas(image, config), slice(1 + len(given))
        inputs.images[row] = normalized(canvas.pixels, config)
        inputs.boxes[row, real] = np.concatenate([[canvas.window], canvas.place(given.boxes)])
        inputs.box_mask[row, real] = 1
        inputs.object_ids[row, real] = [0, *given.object_ids]
        inputs.masks[row, real] = 1
        for place, polygons in enumerate(given.polygons or (), start=1):
            inputs.masks[row, place] = polygon_mask(given.boxes[place - 1], polygons, cells)
    return inputs


def fit_canvas(image: np.ndarray, config: VcrDetectorConfig) -> Canvas:
    """Resize an image to fit in the canvas, also to enlarge it, and put it in the middle.

    As in the original: bilinear with antialiasing, and black padding. An image far too wide or high for the canvas
    keeps one pixel of its shorter side, where the original fails.
    """
    height, width = image.shape[:2]
    scale = min(config.canvas_width / width, config.canvas_height / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = resize_image(image, (size[1], size[0]), "bilinear")
    left, top = (config.canvas_width - size[0]) // 2, (config.canvas_height - size[1]) // 2
    pixels = np.zeros((config.canvas_height, config.canvas_width, 3), np.uint8)
    pixels[top : top + size[1], left : left + size[0]] = image
    return Canvas(
        pixels, scale, (left, top, config.canvas_width - size[0] - left, config.canvas_height - size[1] - top)
    )


def normalized(pixels: np.ndarray, config: VcrDetectorConfig) -> np.ndarray:
    """Values 0 to 255 as float32 of mean 0 and standard deviation 1 in each channel of the training images."""
    fractions = pixels.astype(np.float32) / np.float32(255)
    return (fractions - np.array(config.image_mean, np.float32)) / np.array(config.image_std, np.float32)
