"""Statements about two images that are true or false, each as often true as false.

As in NLVR2, eight images make a set of four pairs, and a statement is made about all four: it is kept if it is true
of exactly two. So the text alone says nothing, and consistency (a statement judged rightly of all its pairs) has a
meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

SET = 8
"""Images of a set."""

PAIRS = SET // 2
_STATEMENTS = 6  # about a set, at most


class Shown(Protocol):
    """A shape in an image, as far as statements tell."""

    @property
    def shape(self) -> str:
        """Such as "circle"."""

    @property
    def colour(self) -> str:
        """Such as "red"."""


ImageInput = Sequence[Shown]


class Statement(NamedTuple):
    """A statement, and of which of a set's `PAIRS` it is true."""

    text: str
    labels: tuple[bool, ...]


class _Template(NamedTuple):
    form: str  # with {} for what is counted
    plural: bool
    true: Callable[[int, int], bool]  # of how many of them the left and the right image show


_TEMPLATES = (
    _Template("the left image shows a {}", False, lambda left, right: left > 0),
    _Template("the right image shows a {}", False, lambda left, right: right > 0),
    _Template("both images show a {}", False, lambda left, right: left > 0 and right > 0),
    _Template("exactly one image shows a {}", False, lambda left, right: (left > 0) != (right > 0)),
    _Template("the left image shows more {} than the right one", True, lambda left, right: left > right),
    _Template("the right image shows more {} than the left one", True, lambda left, right: right > left),
    _Template("there are two {} in all", True, lambda left, right: left + right == 2),
    _Template("there are three {} in all", True, lambda left, right: left + right == 3),
)


def set_statements(
    pairs: Sequence[tuple[ImageInput, ImageInput]],
    shapes: tuple[str, ...],
    colours: tuple[str, ...],
    random: np.random.Generator,
) -> list[Statement]:
    """Statements about a set, each true of half of its pairs.

    Args:
        pairs: the shapes in the left and the right image of the `PAIRS` pairs.
        shapes: the words that there are for shapes.
        colours: likewise for colours.
        random: decides which of the possible statements are made.

    Returns:
        At most six; fewer, or none, where the images are too much alike.
    """
    phrases = _phrases(shapes, colours)
    counts = np.zeros((2, len(pairs), len(phrases)), np.int64)
    place = {phrase: number for number, phrase in enumerate(phrases)}
    for number, pair in enumerate(pairs):
        for side, image in enumerate(pair):
            for shown in image:
                for phrase in ((shown.shape, ""), ("", shown.colour), (shown.shape, shown.colour)):
                    counts[side, number, place[phrase]] += 1
    possible: list[list[Statement]] = []
    for template in _TEMPLATES:
        fitting = []
        for phrase, number in place.items():
            labels = tuple(
                template.true(left, right)
                for left, right in zip(counts[0, :, number].tolist(), counts[1, :, number].tolist(), strict=True)
            )
            if sum(labels) * 2 == len(labels):
                fitting.append(Statement(template.form.format(_words(phrase, template.plural)), labels))
        possible.append([fitting[at] for at in random.permutation(len(fitting)).tolist()])
    made: list[Statement] = []
    turn = [possible[at] for at in random.permutation(len(possible)).tolist()]
    while turn and len(made) < _STATEMENTS:  # of every form in turn
        fitting = turn.pop(0)
        if fitting:
            made.append(fitting.pop())
            turn.append(fitting)
    return made


@lru_cache
def _phrases(shapes: tuple[str, ...], colours: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(shape, colour), either empty for any."""
    return tuple((shape, colour) for shape in (*shapes, "") for colour in (*colours, "") if shape or colour)


def _words(phrase: tuple[str, str], plural: bool) -> str:
    shape, colour = phrase
    return f"{colour} {shape or 'shape'}{'s' if plural else ''}".strip()
