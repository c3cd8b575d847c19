"""Which questions are asked about which image, so that the text of a question does not give its answer away.

Every text keeps count of its answers. An answer is asked for only while it is hardly ahead of the rarest answer that
the text can have, so that whoever knows the text alone guesses among all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from .questions import FAMILIES, KINDS, Asked

FEWEST_QUESTIONS, MOST_QUESTIONS = 7, 11
"""Each image is asked about so many times, where it answers as many that are still wanted."""

_TURNS = (*KINDS, "relation")
"""Which kinds are asked about in turn: relations twice, the hardest to learn."""

_AHEAD = 1  # by how much an answer may outnumber the rarest answer of its text


class Balance:
    """Chooses the questions of one split, image after image."""

    def __init__(self) -> None:
        self._answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._families: Counter[str] = Counter()

    def choose(self, possible: Sequence[Asked], random: np.random.Generator) -> list[Asked]:
        """The questions to ask about the next image, at most one of a text.

        Args:
            possible: what the image answers.
            random: the image's own.
        """
        wanted = int(random.integers(FEWEST_QUESTIONS, MOST_QUESTIONS + 1))
        order = random.permutation(len(possible)).tolist()
        by_kind: dict[str, list[Asked]] = {kind: [] for kind in KINDS}
        for place in order:
            by_kind[FAMILIES[possible[place].family].kind].append(possible[place])
        chosen: list[Asked] = []
        kinds = [_TURNS[place] for place in random.permutation(len(_TURNS))]
        while kinds and len(chosen) < wanted:
            kind = kinds.pop(0)
            question = self._most_wanted(by_kind[kind], {asked.text for asked in chosen})
            if question is not None:
                kinds.append(kind)
                chosen.append(question)
                self._answers[question.text][question.answer] += 1
                self._families[question.family] += 1
        return chosen

    def _most_wanted(self, questions: Sequence[Asked], asked: set[str]) -> Asked | None:
        best, best_rank = None, (0.0, 0, 0)
        for question in questions:
            if question.text in asked:
                continue
            family = FAMILIES[question.family]
            counts = self._answers[question.text]
            mine = counts[question.answer]
            ahead = mine - min(counts[answer] for answer in family.answers)
            if ahead >= _AHEAD:
                continue
            rank = (self._families[question.family] / family.share, ahead, mine)
            if best is None or rank < best_rank:
                best, best_rank = question, rank
        return best
