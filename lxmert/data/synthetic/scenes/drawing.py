"""Draw a scene as an image with smooth edges, in NumPy; and match regions of the image with its shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lxmert.data.features.layout import NO_LABEL

from .scene import COLOURS, SHAPES, Scene

_SUBPIXELS = 4  # a pixel's coverage is measured at SUBPIXELS x SUBPIXELS points

# Whether a point is in a shape; u (right) and v (down) are -1..1 in the shape's box.
_INSIDE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda u, v: u * u + v * v <= 1.0,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 1.0,
    "triangle": lambda u, v: (np.abs(u) <= (v + 1.0) / 2) & (v <= 1.0),
    "diamond": lambda u, v: np.abs(u) + np.abs(v) <= 1.0,
}
_MIN_IOU = 0.5  # of a region and a shape


def draw(scene: Scene, side: int) -> np.ndarray:
    """The image of a scene, uint8 ``[side, side, 3]``."""
    pixels = np.empty((side, side, 3), np.float64)
    pixels[:] = scene.background
    for shape in scene.shapes:
        x1, y1, x2, y2 = (edge * side for edge in shape.box)
        left, top, right, bottom = int(x1), int(y1), int(np.ceil(x2)), int(np.ceil(y2))
        u = (_subpixels(left, right) - shape.x * side) / (shape.side * side / 2)
        v = (_subpixels(top, bottom) - shape.y * side) / (shape.side * side / 2)
        inside = _INSIDE[shape.shape](u[None, :], v[:, None])
        cover = inside.reshape(bottom - top, _SUBPIXELS, right - left, _SUBPIXELS).mean(axis=(1, 3))[..., None]
        under = pixels[top:bottom, left:right]
        under += cover * (np.array(shape.shade, np.float64) - under)
    return np.rint(pixels).astype(np.uint8)


def _subpixels(start: int, stop: int) -> np.ndarray:
    return start + (np.arange((stop - start) * _SUBPIXELS) + 0.5) / _SUBPIXELS


def region_labels(scene: Scene, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shapes that the regions of an image show.

    Args:
        scene: what was drawn.
        boxes: of the regions, float ``[R, 4]`` as (x1, y1, x2, y2) in 0..1.

    Returns:
        Shapes and colours, each int64 ``[R]``: indices into `SHAPES` and `COLOURS`, or `NO_LABEL` for a region that is
        not one of the scene's shapes, such as the whole image.
    """
    colours = tuple(COLOURS)
    kinds = np.array([SHAPES.index(shape.shape) for shape in scene.shapes])
    hues = np.array([colours.index(shape.colour) for shape in scene.shapes])
    overlap = _overlap(boxes, np.array([shape.box for shape in scene.shapes]))  # [R, S]
    best = overlap.argmax(axis=1)
    same = overlap[np.arange(len(boxes)), best] > _MIN_IOU
    return np.where(same, kinds[best], NO_LABEL), np.where(same, hues[best], NO_LABEL)


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``[R, 4]`` and ``[S, 4]``: ``[R, S]``."""
    start = np.maximum(a[:, None, :2], b[None, :, :2])
    stop = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(stop - start, 0.0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1][None] - common)
