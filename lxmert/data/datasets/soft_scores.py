"""Soft labels: the scores of the answers that ten people gave, and ten answers that have given scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lxmert.data.text_normalization import process_answer, tidy_answer


def soft_scores(answers: Sequence[str], first: str | None = None) -> dict[str, float]:
    """The official accuracy of each distinct answer.

    The answers are compared as in the official evaluation: unless all are equal, after its normalization. An answer
    that n of ten people gave has the score 0.3, 0.6, 0.9 for n = 1, 2, 3, and 1 from four on: the mean over the people
    of min(1, matches among the others / 3).

    Args:
        answers: of one person or more; ten in VQA.
        first: an answer that comes first in the result if it is among them: the annotation's most frequent one.

    Returns:
        The scores by normalized answer, all above 0; empty for the answer of a single person.
    """
    compared = [tidy_answer(answer) for answer in answers]
    prepare = process_answer if len(set(compared)) > 1 else tidy_answer
    counts: dict[str, int] = Counter(map(prepare, compared))
    if first is not None and prepare(first) in counts:
        counts = {prepare(first): counts[prepare(first)], **counts}
    people = len(answers)
    scores = {answer: (n * min(3, n - 1) + (people - n) * min(3, n)) / (3 * people) for answer, n in counts.items()}
    return {answer: score for answer, score in scores.items() if score}


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
