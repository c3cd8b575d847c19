"""Images drawn for the tests: shapes of the easy-VQA kind, of any size and on any background, and where they are."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "teal": (0, 128, 128),
    "brown": (165, 42, 42),
    "yellow": (255, 255, 0),
}
SHAPES = ("circle", "rectangle", "triangle")
SMOOTH = 4  # a smooth image is drawn so many times larger, then averaged


@dataclass(frozen=True)
class Shape:
    """A shape, its colour, and its box (x1, y1, x2, y2) in pixels; x2 and y2 are the first pixels outside."""

    kind: str
    colour: tuple[int, int, int]
    box: tuple[float, float, float, float]


def background(kind: str, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, 3]: a named colour, "slope" (light), "steep" (dark to light), or "bowl" (a vignette)."""
    plain = {"white": (255, 255, 255), "black": (0, 0, 0), "pastel": (232, 244, 250), "navy": (20, 25, 90)}
    plain |= {"pink": (255, 182, 193), "olive": (110, 120, 40), "sky": (135, 206, 235), "gray": (200, 200, 200)}
    if kind in plain:
        return np.full((height, width, 3), plain[kind], np.uint8)
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    if kind == "slope":
        part = 0.7 * x + 0.3 * y
        start, end = np.array([250, 225, 235]), np.array([205, 240, 255])
    elif kind == "steep":
        part = 0.2 * x + 0.8 * y
        start, end = np.array([60, 20, 90]), np.array([250, 200, 180])
    elif kind == "bowl":
        part = ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2
        start, end = np.array([255, 255, 245]), np.array([190, 200, 215])
    else:
        raise ValueError(f"kind must be a known background; got {kind!r}.")
    return np.rint(start + (end - start) * part).astype(np.uint8)


def draw(
    width: int,
    height: int,
    shapes: list[Shape],
    on: str = "pastel",
    smooth: bool = True,
    noise: float = 0.0,
    jpeg: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """uint8 [H, W, 3]: the shapes on a background; with smooth edges, noise, or as a JPEG of that quality leaves it."""
    image = background(on, width, height).astype(np.float64)
    scale = SMOOTH if smooth else 1
    for shape in shapes:
        cover = Image.new("L", (width * scale, height * scale), 0)
        pen = ImageDraw.Draw(cover)
        x1, y1, x2, y2 = (round(edge * scale) for edge in shape.box)
        if shape.kind == "circle":
            pen.ellipse((x1, y1, x2 - 1, y2 - 1), fill=255)
        elif shape.kind == "rectangle":
            pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=255)
        else:
            pen.polygon([(x1, y2 - 1), (x2 - 1, y2 - 1), ((x1 + x2 - 1) / 2, y1)], fill=255)
        part = np.asarray(cover, np.float64).reshape(height, scale, width, scale).mean(axis=(1, 3))[..., None] / 255
        image = image * (1 - part) + np.array(shape.colour) * part
    if noise:
        image = image + np.random.default_rng(seed).normal(0, noise, image.shape)
    drawn = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    if jpeg is not None:
        file = io.BytesIO()
        Image.fromarray(drawn).save(file, "JPEG", quality=jpeg)
        drawn = np.array(Image.open(file))
    return drawn


def overlap(a: tuple[float, ...] | np.ndarray, b: tuple[float, ...] | np.ndarray) -> float:
    """Intersection over union of two boxes."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = wide * high
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
