"""What is in a drawn image: three to six shapes that do not touch, placed by chance from a seed.

Separate from drawing it and from asking about it: both read the same `Scene`.
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
"""A scene has from FEWEST to MOST shapes."""

SMALLEST_SIDE, LARGEST_SIDE = 64, 512
"""Pixels of an image's side: below, small shapes have too few pixels to be told apart; above, regions are found in a
smaller copy."""

# Sides of a shape's box as parts of the image's. Nothing is asked about sizes: boxes alone tell them, faintly.
_SIDES = {"small": (0.12, 0.14), "large": (0.21, 0.24)}
_GAP = 0.03  # between boxes, as a part of the image's side, and at least:
_LEAST_GAP = 3.0  # pixels, so that blurred edges stay apart
_SHADE = 16  # a colour's channels may differ by so much, of 255
_PALEST = 225  # backgrounds are this light at least in every channel
_MAIN = 0.6  # where a scene has a main colour or shape, each of its shapes has it with this chance, or else by chance


class DrawnShape(NamedTuple):
    """One shape: words as they stand in `SHAPES`, `COLOURS` and `SIZES`.

    Attributes:
        shape: what it is.
        colour: its colour's name.
        size: "small" or "large".
        x: of its middle, 0..1 of the image's side from the left.
        y: likewise from the top.
        side: of its box, which is square, likewise.
        shade: the colour as it is drawn, red, green and blue in 0..255.
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
    """The shapes of an image, and the colour behind them in 0..255."""

    shapes: tuple[DrawnShape, ...]
    background: tuple[int, int, int]


def random_scene(random: np.random.Generator, side: int) -> Scene:
    """A scene for an image of ``side`` pixels.

    Four in ten scenes have a main colour and four in ten a main shape, so that there is something to count; without
    them, four shapes of one colour would hardly ever meet.
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
    places = _places(random, sides, max(_GAP, _LEAST_GAP / side))
    shades = random.integers(-_SHADE, _SHADE + 1, (count, 3))
    background = random.integers(_PALEST, 256, 3)
    shapes = []
    for kind, colour, size, place, width, shade in zip(kinds, colours, sizes, places, sides, shades, strict=True):
        red, green, blue = np.clip(COLOURS[colour] + shade, 0, 255).tolist()
        x, y = place
        shapes.append(DrawnShape(kind, colour, size, x, y, width, (red, green, blue)))
    return Scene(tuple(shapes), tuple(background.tolist()))


def _mixed(random: np.random.Generator, words: tuple[str, ...], count: int) -> list[str]:
    return [words[place] for place in random.integers(len(words), size=count)]


def _places(random: np.random.Generator, sides: list[float], gap: float) -> list[tuple[float, float]]:
    """Middles (x, y) of boxes with these sides, in their order, at least ``gap`` apart and from the image's edge."""
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
                break  # no room: all anew
        if len(placed) == len(sides):
            return [placed[shape] for shape in range(len(sides))]
