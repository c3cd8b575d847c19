"""Which images and questions the page shows: right and sure answers, the hardest that are right, and wrong ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .questions import QuestionSet

IMAGES = 6
"""On the page."""

RIGHT, LEAST_SURE, WRONG = "right and sure", "right, but least sure", "wrong"

_OF_A_KIND = 2  # images on which models are wrong, and images on which they are least sure
_QUESTIONS = {RIGHT: 3, LEAST_SURE: 2, WRONG: 2}  # about an image, at most


class Example(NamedTuple):
    """An image, some of the questions about it, and why it is shown: `RIGHT`, `LEAST_SURE` or `WRONG`."""

    image: int
    rows: list[int]
    reason: str


def choose_examples(right: np.ndarray, probabilities: np.ndarray, asked: QuestionSet) -> list[Example]:
    """Images that differ: first those where all models are right and sure, then the hardest, then wrong answers.

    Args:
        right: bool [M, Q], whether each model's answer to each question is true.
        probabilities: [M, Q], of that answer.
        asked: the Q questions. An image is shown with questions of several kinds.
    """
    return _Choice(right, probabilities, asked).examples()


class _Choice:
    """Chooses the images one by one; see `choose_examples`."""

    def __init__(self, right: np.ndarray, probabilities: np.ndarray, asked: QuestionSet):
        self.right, self.asked = right, asked
        self.image_index, self.kinds = asked.image_index, np.array(asked.kinds)
        self.probabilities = probabilities.round(3)  # so that rounding errors do not change the choice
        self.all_right = np.logical_and.reduce(right)  # [Q]
        self.least = self.probabilities.min(axis=0)  # [Q], of the model that is least sure
        self.shown: set[int] = set()  # images

    def examples(self) -> list[Example]:
        wrong = [example for place in range(_OF_A_KIND) for example in self._wrong(place % len(self.right))]
        hard = [example for _ in range(_OF_A_KIND) for example in self._least_sure()]
        sure = [example for place in range(IMAGES - len(hard) - len(wrong)) for example in self._sure(place)]
        return [*sure, *hard, *wrong]

    def _wrong(self, model: int) -> list[Example]:
        """The wrong answer of a model that is surest; rather one that no other model gets wrong."""
        alone = self.right.sum(axis=0) == len(self.right) - 1
        rank = self.probabilities[model] + alone
        first = self._first(~self.right[model], -rank)
        return [] if first is None else [self._example(first, WRONG, self.all_right + self.least)]

    def _least_sure(self) -> list[Example]:
        """The question that all models get right with the lowest probability."""
        first = self._first(self.all_right, self.least)
        return [] if first is None else [self._example(first, LEAST_SURE, np.where(self.all_right, self.least, np.inf))]

    def _sure(self, place: int) -> list[Example]:
        """The image with questions of most kinds that all models get right with the highest probability.

        Among those with about the same it is the one with the most different shapes: six equal ones ask for nothing.
        With each further image a kind that was left out before has its turn.
        """
        turn = place % len(self.asked.order)
        kinds = [*self.asked.order[turn:], *self.asked.order[:turn]][: _QUESTIONS[RIGHT]]
        best: tuple[tuple[int, float, int], int, list[int]] | None = None
        for image in sorted(set(self.image_index.tolist()) - self.shown):
            own = np.flatnonzero((self.image_index == image) & self.all_right)
            of_kinds = [own[self.kinds[own] == kind] for kind in kinds]
            rows = [int(some[self.least[some].argmax()]) for some in of_kinds if len(some)]
            surest = round(float(self.least[rows].min()), 2) if rows else 0.0
            rank = (len(rows), surest, self.asked.variety(image))
            if rows and (best is None or rank > best[0]):
                best = rank, image, rows
        if best is None:
            return []
        self.shown.add(best[1])
        return [Example(best[1], best[2], RIGHT)]

    def _first(self, among: np.ndarray, rank: np.ndarray) -> int | None:
        """The question of the lowest rank, about an image that is not shown yet; None if there is none."""
        rows = np.flatnonzero(among & ~np.isin(self.image_index, list(self.shown)))
        return int(rows[rank[rows].argmin()]) if len(rows) else None

    def _example(self, first: int, reason: str, rank: np.ndarray) -> Example:
        """An image with one question, and others of the lowest rank: rather of another kind, none of rank infinity."""
        image = int(self.image_index[first])
        others = np.flatnonzero((self.image_index == image) & np.isfinite(rank) & (np.arange(len(rank)) != first))
        others = others[np.lexsort((rank[others], self.kinds[others] == self.kinds[first]))]
        self.shown.add(image)
        return Example(image, [first, *others.tolist()][: _QUESTIONS[reason]], reason)
