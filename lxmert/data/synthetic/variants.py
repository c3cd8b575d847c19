"""Draw an image's shape again: rotated, stretched, in another place, size and shade, on another background.

The data set shows upright shapes in eight exact colours without blurred edges. A model trained on nothing else fails
on images that a person finds no harder.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from lxmert.data.synthetic.easy_vqa import COLOURS
from lxmert.utils.optional_imports import require
from lxmert.vision.shapes.find import find_shapes

# The shades that still have a colour's name: the darkest one as a factor, and the palest as a part of the way to white.
_SHADES = {
    "red": (0.75, 0.2),
    "green": (0.42, 0.25),
    "blue": (0.45, 0.25),
    "black": (1.0, 0.12),
    "gray": (0.75, 0.2),
    "teal": (0.75, 0.15),
    "brown": (0.75, 0.08),
    "yellow": (0.75, 0.25),
}


def vary(pixels: np.ndarray, random: np.random.Generator, versions: int = 1) -> list[np.ndarray]:
    """Changed versions of an image with one shape, uint8 ``[H, W, 3]`` each, of sizes 24..110.

    The shape's kind and the name of its colour stay true. An image without a shape comes back unchanged.

    Args:
        pixels: uint8 ``[H, W, 3]``.
        random: Where chance comes from; the same state gives the same versions.
        versions: How many.
    """
    shapes = find_shapes(pixels, 1)
    if not shapes:
        return [pixels.copy() for _ in range(versions)]
    cut = shapes[0].cut
    cover = cut[..., 3]
    colour = (cut[..., :3].sum(axis=(0, 1)) / cover.sum() + 1.0) * 127.5
    # A transparent border, so that a rotated edge blends into it instead of being repeated outwards.
    mask = np.pad(np.rint(cover * 255.0).astype(np.uint8), 1)
    return [_draw(mask, colour, random) for _ in range(versions)]


def _draw(mask: np.ndarray, colour: np.ndarray, random: np.random.Generator) -> np.ndarray:
    part = _move(mask, random)[..., None]
    shade = _shade(colour, random)
    image = part * shade + (1.0 - part) * _background_colour(shade, random)
    finish = random.random()
    if finish < 0.2:
        image = image + random.normal(0.0, random.uniform(1.0, 8.0), image.shape)
    drawn = np.clip(image, 0.0, 255.0).astype(np.uint8)
    return _through_jpeg(drawn, int(random.integers(60, 96))) if finish > 0.8 else drawn


def _move(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The mask in a new frame, float32 ``[H, W]`` in 0..1: randomly rotated, stretched, sheared, scaled and placed."""
    height, width = mask.shape[0] - 2, mask.shape[1] - 2
    frame_width, frame_height = (int(side) for side in random.integers(24, 110, 2))
    quarter_turns = random.integers(4) * np.pi / 2 + random.normal(0.0, 0.03)
    angle = quarter_turns if random.random() < 0.5 else random.uniform(0.0, 2 * np.pi)
    shear = random.uniform(-0.4, 0.4) if random.random() < 0.4 else 0.0
    stretch = np.exp(random.uniform(-0.4, 0.4)) if random.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([stretch, 1.0 / stretch])
    reach = np.abs(change) @ np.array([width, height])  # the box of the changed shape: (width, height)
    largest = min(frame_width * 0.9 / reach[0], frame_height * 0.9 / reach[1])
    scale = random.uniform(min(largest, 9.0 / reach.min()), largest)
    change, reach = change * scale, reach * scale
    centre = random.uniform(reach / 2, np.array([frame_width, frame_height]) - reach / 2)
    # Pillow asks for the way back: from a place in the frame to one in the mask.
    back = np.linalg.inv(change)
    offset = np.array([mask.shape[1], mask.shape[0]]) / 2 - back @ centre
    image_module = require("PIL.Image", "Varying images")
    moved = image_module.fromarray(mask).transform(
        (frame_width, frame_height),
        image_module.Transform.AFFINE,
        (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1]),
        image_module.Resampling.BILINEAR,
    )
    return np.asarray(moved, np.float32) / 255.0


def _shade(colour: np.ndarray, random: np.random.Generator) -> np.ndarray:
    distance = {name: float(np.abs(colour - np.array(of)).sum()) for name, of in COLOURS.items()}
    darkest, palest = _SHADES[min(distance, key=lambda name: distance[name])]
    shade = colour * random.uniform(darkest, 1.0)
    shade = shade + (255.0 - shade) * random.uniform(0.0, palest)
    return np.clip(shade + random.normal(0.0, 8.0, 3), 0.0, 255.0)


def _background_colour(shade: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Half of them pale, half of any colour, none so near the shade that the shape would be lost."""
    while True:
        colour = random.integers(220 if random.random() < 0.5 else 0, 256, 3)
        if np.abs(colour - shade).max() > 70.0:
            return colour


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    image_module: Any = require("PIL.Image", "Varying images")
    file = io.BytesIO()
    image_module.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(image_module.open(file))
