"""Make the table of answers that a model chooses from, out of the answers to training questions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lxmert.utils.atomic_files import write_text

from .examples import Questions, categorical
from .json_writer import json_text

logger = logging.getLogger(__name__)

# As in the original: its table has the 3,129 answers that were given nine times or more.
_ORIGINAL_MIN_COUNT = 9
_MANY_QUESTIONS = 100_000


@dataclass(frozen=True)
class AnswerTable:
    """A table of answers, and what it covers.

    Attributes:
        answers: the most frequent first, those of one number in alphabetical order.
        min_count: how often each is the best answer to a question.
        questions: the number of questions with an answer.
        covered: those of them that have an answer in the table.
    """

    answers: list[str]
    min_count: int
    questions: int
    covered: int

    def __str__(self) -> str:
        share = 100 * self.covered / self.questions
        size = f"{len(self.answers):,} answer{'s' if len(self.answers) > 1 else ''}"
        questions = f"{self.min_count:,} questions or more" if self.min_count > 1 else "a question"
        return (
            f"{size}, each the best answer to {questions}; together they cover {self.covered:,} of "
            f"{self.questions:,} questions with answers ({share:.1f} %)"
        )


def default_min_count(questions: int) -> int:
    """How often an answer must be given in so many questions: 9, as in the original, from 100,000 questions on."""
    return _ORIGINAL_MIN_COUNT if questions >= _MANY_QUESTIONS else 1


def make_answer_table(questions: Questions, min_count: int | None = None) -> AnswerTable:
    """Collect the answers that are the best one of some questions.

    The best is that with the highest score, of equal ones the first.

    Args:
        questions: with answers.
        min_count: of how many questions; None for `default_min_count`.

    Raises:
        ValueError: no answers, or none that is frequent enough.
    """
    files = ", ".join(questions.files) or "the questions"
    if questions.answers is None:
        raise ValueError(f"{files}: a table of answers is made from questions with answers; these have none.")
    if min_count is None:
        min_count = default_min_count(len(questions))
    if min_count < 1:
        raise ValueError(f"min_count must be 1 or more; got {min_count}.")
    column = categorical(questions.answers)
    numbers = Counter(column.codes.tolist())
    counts: Counter[str] = Counter()
    for code, label in enumerate(column.categories):
        if label:
            counts[max(label, key=label.__getitem__)] += numbers[code]
    frequent = sorted((-count, answer) for answer, count in counts.items() if count >= min_count)
    if not frequent:
        most = max(counts.values(), default=0)
        raise ValueError(f"{files}: no answer is the best one of {min_count} questions; the most frequent has {most}.")
    table = [answer for _, answer in frequent]
    known = set(table)
    covered = sum(numbers[code] for code, label in enumerate(column.categories) if not known.isdisjoint(label))
    answered = sum(numbers[code] for code, label in enumerate(column.categories) if label)
    return AnswerTable(table, min_count, answered, covered)


def write_answer_table(path: str | Path, answers: Sequence[str]) -> None:
    """Write a table as a JSON list, in the order of the model's scores; the file is replaced when it is complete."""
    write_text(path, "[" + ",\n".join(map(json_text, answers)) + "]\n")
