"""Statements about two images, true and false equally often.

As in NLVR2, eight images make a set of four pairs, and a statement is kept if it is true of exactly two of the pairs.
So the text alone does not give the label, and consistency (correct for all pairs of a statement) is meaningful.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

SET = 8  # images
PAIRS = SET // 2
_MAX_STATEMENTS = 6  # about a set


class Shown(Protocol):
    """What statements need of a shape in an image."""

    @property
    def shape(self) -> str:
        """Such as "circle"."""

    @property
    def colour(self) -> str:
        """Such as "red"."""


Shapes = Sequence[Shown]


class Statement(NamedTuple):
    """A statement, and whether it is true of each of a set's `PAIRS`."""

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
    pairs: Sequence[tuple[Shapes, Shapes]],
    shapes: tuple[str, ...],
    colours: tuple[str, ...],
    random: np.random.Generator,
) -> list[Statement]:
    """Statements about a set, each true of half of its pairs.

    Args:
        pairs: the shapes in the left and the right image of the `PAIRS` pairs.
        shapes, colours: all words for shapes and for colours.
        random: chooses among the possible statements.

    Returns:
        At most six; fewer, or none, if the images are too similar.
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
    while turn and len(made) < _MAX_STATEMENTS:  # of every form in turn
        fitting = turn.pop(0)
        if fitting:
            made.append(fitting.pop())
            turn.append(fitting)
    return made


@lru_cache
def _phrases(shapes: tuple[str, ...], colours: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(shape, colour), where either may be empty for any."""
    return tuple((shape, colour) for shape in (*shapes, "") for colour in (*colours, "") if shape or colour)


def _words(phrase: tuple[str, str], plural: bool) -> str:
    shape, colour = phrase
    return f"{colour} {shape or 'shape'}{'s' if plural else ''}".strip()
