"""Answer tables, and an answer head moved from one table to another by the text of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.json_files import read_json

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# As in the original: what is written in two ways is one answer.
_SAME = {
    **{word: str(i) for i, word in enumerate(_NUMBERS, 1)},
    "grey": "gray",
    "a man": "man",
    "the man": "man",
    "a woman": "woman",
    "the woman": "woman",
}


def normalize_answer(answer: str) -> str:
    """An answer as the table of pre-training writes it: lower case, no full stop, no article, numbers as digits.

    As in the original: the articles are taken off one after the other, each once.
    """
    answer = answer.lower()
    if answer.endswith("."):
        answer = answer[:-1].strip()
    for article in ("a ", "an ", "the "):
        if answer.startswith(article):
            answer = answer[len(article) :].strip()
    return _SAME.get(answer, answer)


def read_answer_vocabulary(path: str | Path) -> list[str]:
    """The answers of a table in the order of their numbers.

    Args:
        path: JSON: a list of answers (the original's trainval_label2ans.json), a list of objects with `ans` (its
            all_ans.json), an object of answers and their numbers (trainval_ans2label.json), or one of numbers and
            their answers (`id2label`).

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout, numbers with gaps, or an answer that is there twice.
    """
    table = read_json(path, (dict, list))
    answers = _listed(table)
    if answers is None:
        raise ValueError(
            f'{path} is no table of answers: a list of texts is wanted, a list of objects with "ans", or an object of '
            "answers and their numbers 0, 1, 2, ..., each once."
        )
    twice = len(answers) - len(set(answers))
    if twice:
        first = next(answer for answer, count in Counter(answers).items() if count > 1)
        raise ValueError(f"{path} has {twice} answers twice; the first is {first!r}.")
    return answers


def _listed(table: Any) -> list[str] | None:
    """The answers in order, None where they are in no known layout."""
    if isinstance(table, dict):
        pairs = list(table.items())
        if all(type(value) is int for _, value in pairs):
            pairs = [(number, answer) for answer, number in pairs]
        elif all(key.isdecimal() for key, _ in pairs):
            pairs = [(int(key), answer) for key, answer in pairs]
        numbered = dict(pairs)
        # Fewer numbers than answers: one is given twice.
        if len(numbered) < len(table) or numbered.keys() != set(range(len(table))):
            return None
        table = [numbered[i] for i in range(len(table))]
    answers: list[Any] = [entry.get("ans") if isinstance(entry, dict) else entry for entry in table]
    return answers if answers and all(isinstance(answer, str) for answer in answers) else None


def matching_rows(old: Sequence[str], new: Sequence[str]) -> np.ndarray:
    """For each new answer the number of the same old one, -1 where there is none.

    As in the original, the new answer is normalised and looked for among the old ones as they are. The original leaves
    it at that, because its old table is normalised throughout; in others the answer may stand as it is, or in another
    way of writing. So where that finds none, the same text is looked for, and then the normalised new answer among the
    normalised old ones, of which the first counts. An answer that both tables have is thus always found.
    """
    exact = {answer: i for i, answer in enumerate(old)}
    normalized: dict[str, int] = {}
    for i, answer in enumerate(old):
        normalized.setdefault(normalize_answer(answer), i)

    def row(answer: str) -> int:
        wanted = normalize_answer(answer)
        ways = (exact.get(wanted), exact.get(answer), normalized.get(wanted))
        return next((number for number in ways if number is not None), -1)

    return np.array([row(answer) for answer in new], dtype=np.int64)


def remap_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a weight or a bias [A, …] in a new order; those of no old answer are zero, as in the original."""
    chosen = values[np.maximum(rows, 0)]
    chosen[rows < 0] = 0
    return chosen
