"""The content of a synthetic image: three to six shapes that do not touch, placed at random from a seed.

Drawing and asking questions both use the same `Scene`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHAPES = ("circle", "square", "triangle", "diamond")

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (40, 60, 220),
    "yellow": (240, 205, 20),
    "purple": (140, 40, 160),
    "gray": (115, 115, 115),
}

SIZES = ("small", "large")

FEWEST, MOST = 3, 6
"""The number of shapes of a scene."""

SMALLEST_SIDE, LARGEST_SIDE = 64, 512
"""Pixels of an image's side: with fewer, small shapes cannot be distinguished; with more, regions are found in a
smaller copy."""

# Sides of a shape's box as fractions of the image's. No question is about sizes, which only the boxes show.
_SIDES = {"small": (0.12, 0.14), "large": (0.21, 0.24)}
_GAP = 0.03  # between boxes, as a fraction of the image's side, and at least:
_MIN_GAP = 3.0  # pixels, so that blurred edges stay apart
_SHADE = 16  # variation of a colour's channels, of 255
_MIN_BACKGROUND = 225  # of every channel of the background
_MAIN = 0.6  # probability that a shape has the scene's main colour or shape, if it has one


class DrawnShape(NamedTuple):
    """One shape: words of `SHAPES`, `COLOURS` and `SIZES`, and its place.

    Attributes:
        shape, colour, size: the words.
        x, y: the centre, 0..1 of the image's side from the left and from the top.
        side: of its square box, in 0..1 too.
        shade: the colour as drawn, red, green and blue in 0..255.
    """

    shape: str
    colour: str
    size: str
    x: float
    y: float
    side: float
    shade: tuple[int, int, int]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2) in 0..1."""
        half = self.side / 2
        return self.x - half, self.y - half, self.x + half, self.y + half


class Scene(NamedTuple):
    """The shapes of an image, and the background colour in 0..255."""

    shapes: tuple[DrawnShape, ...]
    background: tuple[int, int, int]


def random_scene(random: np.random.Generator, side: int) -> Scene:
    """A scene for an image of ``side`` pixels.

    Four in ten scenes have a main colour and four in ten a main shape, so that there is something to count; otherwise
    four shapes of one colour would hardly ever occur.
    """
    count = int(random.integers(FEWEST, MOST + 1))
    kinds, colours = _mixed(random, SHAPES, count), _mixed(random, tuple(COLOURS), count)
    style = random.random()
    often = random.random(count) < _MAIN
    if style < 0.4:
        colours = [colours[0] if main else colour for main, colour in zip(often, colours, strict=True)]
    elif style < 0.8:
        kinds = [kinds[0] if main else kind for main, kind in zip(often, kinds, strict=True)]
    sizes = _mixed(random, SIZES, count)
    sides = [float(random.uniform(*_SIDES[size])) for size in sizes]
    places = _places(random, sides, max(_GAP, _MIN_GAP / side))
    shades = random.integers(-_SHADE, _SHADE + 1, (count, 3))
    background = random.integers(_MIN_BACKGROUND, 256, 3)
    shapes = []
    for kind, colour, size, place, width, shade in zip(kinds, colours, sizes, places, sides, shades, strict=True):
        red, green, blue = np.clip(COLOURS[colour] + shade, 0, 255).tolist()
        x, y = place
        shapes.append(DrawnShape(kind, colour, size, x, y, width, (red, green, blue)))
    return Scene(tuple(shapes), tuple(background.tolist()))


def _mixed(random: np.random.Generator, words: tuple[str, ...], count: int) -> list[str]:
    return [words[place] for place in random.integers(len(words), size=count)]


def _places(random: np.random.Generator, sides: list[float], gap: float) -> list[tuple[float, float]]:
    """Centres (x, y) of boxes with these sides, in their order, at least ``gap`` apart and from the image's edge."""
    while True:
        placed: dict[int, tuple[float, float]] = {}
        for shape in sorted(range(len(sides)), key=lambda shape: -sides[shape]):  # the large ones need room first
            room = sides[shape] / 2 + gap
            for x, y in random.uniform(room, 1.0 - room, (40, 2)).tolist():
                if all(
                    max(abs(x - there[0]), abs(y - there[1])) >= (sides[shape] + sides[other]) / 2 + gap
                    for other, there in placed.items()
                ):
                    placed[shape] = (x, y)
                    break
            else:
                break  # no room: start over
        if len(placed) == len(sides):
            return [placed[shape] for shape in range(len(sides))]
