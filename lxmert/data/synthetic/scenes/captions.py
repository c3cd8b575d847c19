"""True sentences about a scene for pre-training; each is so specific that it seldom fits another image."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np

from .questions import APART, named_shapes, nearest_shape
from .scene import DrawnShape, Scene

_LISTED = 3  # so that a caption has at most 20 tokens
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def captions(scene: Scene, random: np.random.Generator) -> list[str]:
    """Two to four captions: the shapes, their numbers, and the relation of two shapes."""
    shown = [scene.shapes[place] for place in random.permutation(len(scene.shapes))[:_LISTED]]
    sentences = [_listed([_described(shape) for shape in shown])]
    first, second = random.permutation(2).tolist()
    counts = (
        Counter(f"{shape.shape}" for shape in scene.shapes),
        Counter(f"{shape.colour} shape" for shape in scene.shapes),
    )
    some = [list(counts[side])[random.integers(len(counts[side]))] for side in (first, second)]
    sentences.append(f"there {_are([counts[0][word] or counts[1][word] for word in some], some)}")
    pairs = list(permutations(named_shapes(scene).items(), 2))
    separated = [(a, b) for a, b in pairs if b[1].x - a[1].x >= APART]
    if separated:
        (left, _), (right, _) = separated[random.integers(len(separated))]
        way = ("left of", left, right) if random.random() < 0.5 else ("right of", right, left)
        sentences.append(f"the {way[1]} is {way[0]} the {way[2]}")
    near = [(a, b) for a, b in pairs if nearest_shape(scene, a[1]) is b[1]]
    if near:
        (name, _), (nearest, _) = near[random.integers(len(near))]
        sentences.append(f"the {nearest} is nearest to the {name}")
    return sentences


def _described(shape: DrawnShape) -> str:
    return f"a {shape.colour} {shape.shape}"


def _listed(phrases: list[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]])


def _are(numbers: list[int], words: list[str]) -> str:
    phrases = [f"{_NUMBERS[n]} {word}{'' if n == 1 else 's'}" for n, word in zip(numbers, words, strict=True)]
    return f"{'is' if numbers[0] == 1 else 'are'} {' and '.join(phrases)}"
