"""All questions of four kinds that a scene answers clearly, with their answers.

A question names shapes by words that fit exactly one of them, and asks only about what has clear margins. balance.py
chooses among the questions, as that depends on all scenes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np

from .scene import COLOURS, SHAPES, DrawnShape, Scene

KINDS = ("attribute", "relation", "counting", "comparison")

YES_NO = ("yes", "no")
MOST_COUNTED = 4
_NUMBERS = tuple(str(number) for number in range(MOST_COUNTED + 1))
_COLOURS = tuple(COLOURS)

ANSWERS = (*YES_NO, *_NUMBERS, *_COLOURS, *SHAPES)
"""All answers, in the order of the answer vocabulary."""

APART = 0.12  # a shape is left of another whose centre is further right by this fraction of the image's side
_NEARER = 0.5  # the nearest shape's distance is at most this fraction of the second nearest's


class Family(NamedTuple):
    """Questions of one form.

    Attributes:
        kind: one of `KINDS`.
        answers: the possible answers; each is to occur equally often.
        share: how often it is asked, relative to the others of its kind.
    """

    kind: str
    answers: tuple[str, ...]
    share: float


FAMILIES = {
    "color": Family("attribute", _COLOURS, 3),
    "shape": Family("attribute", SHAPES, 3),
    "is color": Family("attribute", YES_NO, 1),
    "shape furthest": Family("relation", SHAPES, 1),
    "color furthest": Family("relation", _COLOURS, 1),
    "shape beside": Family("relation", SHAPES, 2),
    "color beside": Family("relation", _COLOURS, 2),
    "shape nearest": Family("relation", SHAPES, 2),
    "color nearest": Family("relation", _COLOURS, 2),
    "is beside": Family("relation", YES_NO, 1),
    "count": Family("counting", _NUMBERS, 3),
    "count two": Family("counting", _NUMBERS[:3], 1),
    "more": Family("comparison", YES_NO, 2),
    "as many": Family("comparison", YES_NO, 1),
}


class Question(NamedTuple):
    """A question, its answer, and its entry in `FAMILIES`."""

    family: str
    text: str
    answer: str


def possible_questions(scene: Scene, random: np.random.Generator) -> list[Question]:
    """All questions that the scene answers; the random numbers choose only the false assumptions of questions."""
    return [*_attributes(scene, random), *_relations(scene, random), *_counts(scene), *_comparisons(scene)]


def _attributes(scene: Scene, random: np.random.Generator) -> Iterator[Question]:
    colours = _present(shape.colour for shape in scene.shapes)
    for name, shape in _unique(scene.shapes, lambda shape: shape.shape).items():
        yield Question("color", f"what color is the {name}?", shape.colour)
        yield Question("is color", f"is the {name} {shape.colour}?", "yes")
        others = [colour for colour in colours if colour != shape.colour]
        if others:  # of another shape of the scene, so that the word alone is not enough
            yield Question("is color", f"is the {name} {others[random.integers(len(others))]}?", "no")
    for name, shape in _unique(scene.shapes, lambda shape: shape.colour).items():
        yield Question("shape", f"what shape is the {name} one?", shape.shape)


def _relations(scene: Scene, random: np.random.Generator) -> Iterator[Question]:
    named = named_shapes(scene)
    by_x = sorted(scene.shapes, key=lambda shape: shape.x)
    for side, (last, before) in (("left", by_x[:2]), ("right", by_x[:-3:-1])):
        if abs(last.x - before.x) >= APART:
            yield Question("shape furthest", f"what shape is furthest {side}?", last.shape)
            yield Question("color furthest", f"what color is the shape furthest {side}?", last.colour)
    for name, shape in named.items():
        others = [other for other in scene.shapes if other is not shape]
        for side, sign in (("left of", -1.0), ("right of", 1.0)):
            beyond = [sign * (other.x - shape.x) for other in others]
            if sum(way > 0 for way in beyond) == 1 and all(abs(way) >= APART for way in beyond):
                there = others[max(range(len(others)), key=beyond.__getitem__)]
                yield Question("shape beside", f"what shape is {side} the {name}?", there.shape)
                yield Question("color beside", f"what color is the shape {side} the {name}?", there.colour)
        nearest = nearest_shape(scene, shape)
        if nearest is not None:
            yield Question("shape nearest", f"what shape is nearest to the {name}?", nearest.shape)
            yield Question("color nearest", f"what color is the shape nearest to the {name}?", nearest.colour)
    separated = [(a, b) for a, b in permutations(named.items(), 2) if abs(b[1].x - a[1].x) >= APART]
    if separated:  # only one pair: there are so many that nothing else would be asked
        (name, shape), (other_name, other) = separated[random.integers(len(separated))]
        left, right = YES_NO if shape.x < other.x else YES_NO[::-1]
        yield Question("is beside", f"is the {name} left of the {other_name}?", left)
        yield Question("is beside", f"is the {name} right of the {other_name}?", right)


def nearest_shape(scene: Scene, shape: DrawnShape) -> DrawnShape | None:
    """The shape whose centre is nearest to that of ``shape``; None if a second one is hardly further away."""
    others = [other for other in scene.shapes if other is not shape]
    far = sorted((math.hypot(other.x - shape.x, other.y - shape.y), place) for place, other in enumerate(others))
    return others[far[0][1]] if far[0][0] <= _NEARER * far[1][0] else None


def _counts(scene: Scene) -> Iterator[Question]:
    shapes = Counter(shape.shape for shape in scene.shapes)
    colours = Counter(shape.colour for shape in scene.shapes)
    both = Counter(f"{shape.colour} {shape.shape}" for shape in scene.shapes)
    for word in SHAPES:
        yield from _count("count", f"{word}s", shapes[word])
    for word in _COLOURS:
        yield from _count("count", f"{word} shapes", colours[word])
    for first in _COLOURS:
        # None of a colour or a shape that is not there at all would be too easy.
        if colours[first]:
            for word in shapes:
                yield from _count("count two", f"{first} {word}s", both[f"{first} {word}"])


def _count(family: str, words: str, count: int) -> Iterator[Question]:
    if count < len(FAMILIES[family].answers):
        yield Question(family, f"how many {words} are there?", str(count))


def _comparisons(scene: Scene) -> Iterator[Question]:
    shapes = Counter(shape.shape for shape in scene.shapes)
    colours = Counter(shape.colour for shape in scene.shapes)
    for counts, ending in ((shapes, "s"), (colours, " shapes")):
        for first, second in permutations(SHAPES if counts is shapes else _COLOURS, 2):
            if counts[first] != counts[second]:
                more, fewer = YES_NO if counts[first] > counts[second] else YES_NO[::-1]
                yield Question("more", f"are there more {first}{ending} than {second}{ending}?", more)
                yield Question("more", f"are there fewer {first}{ending} than {second}{ending}?", fewer)
            if counts[first] and counts[second]:
                equal = YES_NO[0] if counts[first] == counts[second] else YES_NO[1]
                yield Question("as many", f"are there as many {first}{ending} as {second}{ending}?", equal)


def named_shapes(scene: Scene) -> dict[str, DrawnShape]:
    """The shapes that colour and shape identify, by these words."""
    return _unique(scene.shapes, lambda shape: f"{shape.colour} {shape.shape}")


def _unique(shapes: Iterable[DrawnShape], words: Callable[[DrawnShape], str]) -> dict[str, DrawnShape]:
    shapes = list(shapes)
    counts = Counter(map(words, shapes))
    return {words(shape): shape for shape in shapes if counts[words(shape)] == 1}


def _present(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
