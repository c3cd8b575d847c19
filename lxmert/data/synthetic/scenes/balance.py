"""Choose questions so that the text of a question does not give its answer away.

The answers of every text are counted. A question is asked only while its answer is at most as frequent as the rarest
possible answer of its text, so that knowing the text does not help.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from .questions import FAMILIES, KINDS, Question

FEWEST_QUESTIONS, MOST_QUESTIONS = 7, 11
"""Questions about an image, if it answers as many that keep the balance."""

_TURNS = (*KINDS, "relation")
"""The kinds of questions in turn: relations twice, as they are the hardest to learn."""

_MAX_LEAD = 1  # an answer is not asked for if it is this much ahead of its text's rarest answer


class Balance:
    """Chooses the questions of one split, image by image."""

    def __init__(self) -> None:
        self._answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._families: Counter[str] = Counter()

    def choose(self, possible: Sequence[Question], random: np.random.Generator) -> list[Question]:
        """The questions about the next image, at most one with each text.

        Args:
            possible: all questions that the image answers.
            random: the image's own random numbers.
        """
        wanted = int(random.integers(FEWEST_QUESTIONS, MOST_QUESTIONS + 1))
        order = random.permutation(len(possible)).tolist()
        by_kind: dict[str, list[Question]] = {kind: [] for kind in KINDS}
        for place in order:
            by_kind[FAMILIES[possible[place].family].kind].append(possible[place])
        chosen: list[Question] = []
        kinds = [_TURNS[place] for place in random.permutation(len(_TURNS))]
        while kinds and len(chosen) < wanted:
            kind = kinds.pop(0)
            question = self._least_asked(by_kind[kind], {asked.text for asked in chosen})
            if question is not None:
                kinds.append(kind)
                chosen.append(question)
                self._answers[question.text][question.answer] += 1
                self._families[question.family] += 1
        return chosen

    def _least_asked(self, questions: Sequence[Question], asked: set[str]) -> Question | None:
        best, best_rank = None, (0.0, 0, 0)
        for question in questions:
            if question.text in asked:
                continue
            family = FAMILIES[question.family]
            counts = self._answers[question.text]
            mine = counts[question.answer]
            ahead = mine - min(counts[answer] for answer in family.answers)
            if ahead >= _MAX_LEAD:
                continue
            rank = (self._families[question.family] / family.share, ahead, mine)
            if best is None or rank < best_rank:
                best, best_rank = question, rank
        return best
