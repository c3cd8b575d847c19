"""Answer vocabularies, and the rows of an answer head moved from one to another by the text of the answers."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import first_bytes, read_small, reading
from lxmert.utils.json_files import LARGEST_JSON, read_json
from lxmert.utils.messages import shown
from lxmert.utils.plain_pickle import is_pickle, load_plain_pickle

_START = 4096  # bytes that tell what a file is
_DIGITS = 12  # more than an index has

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# As in the original: two ways to write one answer.
_SAME = {
    **{word: str(i) for i, word in enumerate(_NUMBERS, 1)},
    "grey": "gray",
    "a man": "man",
    "the man": "man",
    "a woman": "woman",
    "the woman": "woman",
}


def normalize_answer(answer: str) -> str:
    """Normalize as in the vocabulary of pre-training: lower case, no full stop, no article, digits for numbers.

    As in the original, each article is removed once, one after the other.
    """
    answer = answer.lower()
    if answer.endswith("."):
        answer = answer[:-1].strip()
    for article in ("a ", "an ", "the "):
        if answer.startswith(article):
            answer = answer[len(article) :].strip()
    return _SAME.get(answer, answer)


def read_answer_vocabulary(path: str | Path) -> list[str]:
    """Read an answer vocabulary, in the order of the class indices.

    Args:
        path: JSON: a list of answers (the original's trainval_label2ans.json), a list of objects with `ans` (its
            all_ans.json), an object of answers and their indices (trainval_ans2label.json), one of indices and
            their answers (`id2label`), or a list that begins with both objects (OpenVQA's answer_dict.json). A pickle
            of one of these, which is read without running it. A text with an answer on each line.

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout, gaps in the indices, or a duplicate answer.
    """
    answers = _listed(_read_table(Path(path)))
    if answers is None:
        raise ValueError(
            f'{path} is no answer vocabulary: it must be a list of strings, a list of objects with "ans", or an object '
            "of answers and their indices 0, 1, 2, ..., each once."
        )
    with reading(path, "holds an answer of half a character"):  # which can be neither printed nor written
        "".join(answers).encode()
    twice = len(answers) - len(set(answers))
    if twice:
        first = next(answer for answer, count in Counter(answers).items() if count > 1)
        raise ValueError(f"{path} has {twice} answers twice; the first is {shown(first)}.")
    return answers


def _read_table(path: Path) -> Any:
    """The content of a file: JSON, a pickle of plain containers, or the lines of a text."""
    start = first_bytes(path, _START)
    if is_pickle(start):
        return load_plain_pickle(path)
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{"):
        return read_json(path, (dict, list))
    with reading(path, "is neither JSON nor a text in UTF-8"):
        lines = read_small(path, LARGEST_JSON, "a table of answers").decode("utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _listed(table: Any) -> list[str] | None:
    """The answers in order; None for an unknown layout."""
    if _is_pair(table):
        listed = _listed(table[0])
        return listed if listed == _listed(table[1]) else None
    if not isinstance(table, dict | list | tuple):
        return None
    if isinstance(table, dict):
        pairs = list(table.items())
        if all(type(value) is int for _, value in pairs):
            pairs = [(number, answer) for answer, number in pairs]
        elif all(str(key).isdecimal() and len(str(key)) < _DIGITS for key, _ in pairs):
            pairs = [(int(key), answer) for key, answer in pairs]
        numbered = dict(pairs)
        # Fewer indices than answers: a duplicate.
        if len(numbered) < len(table) or numbered.keys() != set(range(len(table))):
            return None
        table = [numbered[i] for i in range(len(table))]
    answers: list[Any] = [entry.get("ans") if isinstance(entry, dict) else entry for entry in table]
    return answers if answers and all(isinstance(answer, str) for answer in answers) else None


def _is_pair(table: Any) -> bool:
    """Whether a list begins with an object of answers and their indices, and with its inverse."""
    if not isinstance(table, list | tuple) or len(table) < 2 or not all(isinstance(part, dict) for part in table[:2]):
        return False
    return bool(table[0]) and all(type(index) is int for index in table[0].values())


def matching_rows(old: Sequence[str], new: Sequence[str]) -> np.ndarray:
    """For each new answer the index of the same old answer, -1 if there is none.

    As in the original, the normalized new answer is looked up among the old ones. The original's old vocabulary is
    normalized; for others, the unchanged answer is looked up next, and then the normalized one among the normalized old
    answers, of which the first counts. So an answer that is in both vocabularies is always found.
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
    """The rows of a weight or bias [A, …] in a new order; rows without an old answer are zero, as in the original."""
    chosen = values[np.maximum(rows, 0)]
    chosen[rows < 0] = 0
    return chosen
