"""Soft labels: the scores of answers, of which ten people gave one each, and ten answers that have given scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def soft_scores(answers: Sequence[str], first: str | None = None) -> dict[str, float]:
    """The official accuracy that each different answer of several people would get.

    The answers are compared as the official evaluation does it: where they are not all the same, after its processing
    of their text. An answer that n of ten people gave has 0.3, 0.6, 0.9 for n = 1, 2, 3, and 1 from four on: for
    each person it is min(1, matches among the others / 3), of which this is the mean.

    Args:
        answers: what people answered, one or more; ten in VQA.
        first: an answer that is put in front of the others where it is among them: the annotation's most frequent one.

    Returns:
        The scores of the answers as they are compared; above 0, but for a single person's answer, which has none.
    """
    # Imported here, because the metrics are of the questions that are read here.
    from lxmert.data.text_normalization import process_answer, tidy_answer

    compared = [tidy_answer(answer) for answer in answers]
    prepare = process_answer if len(set(compared)) > 1 else tidy_answer
    counts: dict[str, int] = Counter(map(prepare, compared))
    if first is not None and prepare(first) in counts:
        counts = {prepare(first): counts[prepare(first)], **counts}  # a key keeps the place it got first
    people = len(answers)
    scores = {answer: (n * min(3, n - 1) + (people - n) * min(3, n)) / (3 * people) for answer, n in counts.items()}
    return {answer: score for answer, score in scores.items() if score}


def ten_answers(scores: Mapping[str, float]) -> list[str]:
    """Ten people's answers that have these scores; the reverse of `soft_scores`.

    Args:
        scores: 0.3, 0.6, 0.9 or 1 for each answer, as VQA's are.

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
            "scores must be those that ten people's answers have, as the official evaluation compares these; "
            f"got {dict(scores)}."
        )
    return answers
