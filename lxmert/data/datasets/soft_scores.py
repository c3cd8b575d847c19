"""Soft labels: the scores of the answers that several people gave, and ten answers that have given scores."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from lxmert.data.text_normalization import process_answer, tidy_answer

logger = logging.getLogger(__name__)

FORMULAS = ("auto", "official", "share")
"""How answers of several people are scored; see `soft_scores`."""
A_OKVQA_FORMULA = "A-OKVQA"
"""What that data set's own evaluation gives an answer: min(1, people who gave this text / 3)."""

_OFFICIAL_PEOPLE = 10  # with fewer, the official formula gives no answer the score 1 unless four people agree


def check_formula(formula: str) -> None:
    """Raise a ValueError for an unknown formula."""
    if formula not in (*FORMULAS, A_OKVQA_FORMULA):
        raise ValueError(f"the formula of answer scores must be one of {', '.join(FORMULAS)}; got {formula!r}.")


def uses_share(people: int, formula: str) -> bool:
    """Whether a formula gives the answers of so many people their shares."""
    return formula == "share" or (formula == "auto" and people < _OFFICIAL_PEOPLE)


def log_shares(few: int, total: int) -> None:
    """Say that the answers to some questions are scored by share, since few people answered them."""
    if few:
        logger.info(
            "%s of %s questions have answers of fewer than ten annotators: the score of an answer is the share of "
            "them who gave it (--answer-scores official: the formula of VQA, min(1, others who gave it / 3))",
            f"{few:,}",
            f"{total:,}",
        )


def soft_scores(answers: Sequence[str], first: str | None = None, formula: str = "auto") -> dict[str, float]:
    """The score of each distinct answer, from the answers of several people.

    The answers are compared as in the official evaluation of VQA: unless all are equal, after its normalization.

    Args:
        answers: of one person or more; ten in VQA.
        first: an answer that comes first in the result if it is among them: the annotation's most frequent one.
        formula: "official": the mean over the people of min(1, matches among the others / 3). An answer that n of ten
            people gave has the score 0.3, 0.6, 0.9 for n = 1, 2, 3, and 1 from four on; that of a single person has no
            score. "share": the share of the people who gave it, 1 for that of a single person. "auto": official for ten
            people or more, share for fewer. `A_OKVQA_FORMULA`: as it says, without normalization.

    Returns:
        The scores by normalized answer, all above 0. A share of no answer, of an empty one, is left out.
    """
    people, shared = len(answers), uses_share(len(answers), formula)
    compared = [tidy_answer(answer) for answer in answers]
    prepare: Callable[[str], str] = tidy_answer
    if len(set(compared)) > 1 and formula != A_OKVQA_FORMULA:
        prepare = _normalized if shared else process_answer
    counts: dict[str, int] = Counter(map(prepare, compared))
    if first is not None and prepare(first) in counts:
        counts = {prepare(first): counts[prepare(first)], **counts}
    if formula == A_OKVQA_FORMULA:
        return {answer: min(1, n / 3) for answer, n in counts.items()}
    if shared:
        return {answer: n / people for answer, n in counts.items() if answer}
    scores = {answer: (n * min(3, n - 1) + (people - n) * min(3, n)) / (3 * people) for answer, n in counts.items()}
    return {answer: score for answer, score in scores.items() if score}


def _normalized(answer: str) -> str:
    """An answer after `process_answer`, or as it is where that leaves nothing, as of the choice "A"."""
    return process_answer(answer) or tidy_answer(answer)


def ten_answers(scores: Mapping[str, float]) -> list[str]:
    """Ten answers that have these scores; the inverse of `soft_scores`.

    Args:
        scores: 0.3, 0.6, 0.9 or 1 for each answer, as in VQA.

    Raises:
        ValueError: no ten answers have them.
    """
    least = {0.3: 1, 0.6: 2, 0.9: 3, 1.0: 4}
    counts = {answer: least.get(score, 0) for answer, score in scores.items()}
    free = 10 - sum(counts.values())
    full = next((answer for answer, score in scores.items() if score == 1), None)
    if full is not None:
        counts[full] += free
    answers = [answer for answer, count in counts.items() for _ in range(count)]
    if not all(counts.values()) or len(answers) != 10 or soft_scores(answers) != dict(scores):
        raise ValueError(
            "scores must be those of ten people's answers, as the official evaluation compares them; "
            f"got {dict(scores)}."
        )
    return answers
