"""Read result files: the official formats, and those that the servers of other data sets and programs use.

The official programs use the last of two answers to a question, and some ignore what they do not know. Here both are
errors: a file with such a mistake is seldom the intended one.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxmert.data.datasets.json_reader import json_items
from lxmert.data.datasets.record_checks import canonical_id
from lxmert.data.datasets.record_files import container_records, open_container
from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import first_few, shown

from .result_files import KEYS, check_predictions, list_ids

_IDS = ("question_id", "questionId", "id", "pairID", "image")
_ANSWERS = ("answer", "prediction", "direct_answer", "label")
_NUMBERS = {"answerable": "answerable", **dict.fromkeys(("proba", "score"), "proba")}
_EXAMPLES = {"vqa": "458752000", "gqa": '"201307251"'}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class ResultFile:
    """The content of a result file.

    Attributes:
        answers: by question id, or whether each statement is true by its identifier (NLVR2).
        numbers: further numbers by id: "answerable" (VizWiz), and "proba", the probability that a meme is hateful,
            which may be under "score" too.
    """

    answers: dict[Any, Any]
    numbers: dict[str, dict[Any, float]] = field(default_factory=dict)


def read_predictions(task: str, path: str | Path, ids: Collection[Any] | None = None) -> dict[Any, Any]:
    """The predictions of a result file; see `read_result_file`.

    Args:
        task: "vqa", "gqa" or "nlvr2".
        path: of the file.
        ids: of all questions or statements; if given, the file must have each of them, and others are left out.
    """
    answers = read_result_file(task, path).answers
    if ids is None:
        return answers
    key = canonical_id if task == "vqa" else str
    wanted = {key(name): name for name in ids}
    check_predictions(answers, wanted, path, "statement" if task == "nlvr2" else "question")
    return {wanted[name]: answer for name, answer in answers.items() if name in wanted}


def read_result_file(task: str, path: str | Path) -> ResultFile:
    """Read a result file, in one of these forms, which are recognized by content:

    - JSON, a list or lines: objects with an id ("question_id", "questionId", "id", "pairID" or "image") and an answer
      ("answer", "prediction", "direct_answer" or "label"). Other keys are ignored, but for the numbers of `ResultFile`.
    - JSON, an object of answers by id.
    - CSV with a header that has these keys, as Hateful Memes' server expects.
    - NLVR2: CSV without a header: `identifier,True`; also in lower case, or as 1 and 0.

    The ids 9 and "9" are one (GQA: the text).

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout, or a repeated id; the message has their number and the first few.
    """
    if task == "nlvr2":
        return ResultFile(_unique(path, _read_truths(path), "statement"))
    key = canonical_id if task == "vqa" else str
    pairs: list[tuple[Any, str]] = []
    numbers: dict[str, dict[Any, float]] = {}
    wrong: list[str] = []
    id_key, answer_key, entries = _entries(str(path), *KEYS[task])
    for place, entry in enumerate(entries):
        fault = _fault(entry, id_key, answer_key)
        if fault:
            wrong.append(f"entry {place} {fault}")
            continue
        name = key(entry[id_key])
        pairs.append((name, str(entry[answer_key])))
        for column, meaning in _NUMBERS.items():
            if column in entry and _number(entry[column]) is not None:
                numbers.setdefault(meaning, {})[name] = _number(entry[column])  # type: ignore[assignment]
    if wrong:
        raise ValueError(
            f'{path}: {len(wrong):,} of {len(wrong) + len(pairs):,} entries are not like {{"{id_key}": '
            f'{_EXAMPLES[task]}, "{answer_key}": "yes"}}: {first_few(wrong, 3)}.'
        )
    return ResultFile(_unique(path, pairs, "question"), numbers)


def _entries(path: str, id_key: str, answer_key: str) -> tuple[str, str, Iterator[Any]]:
    """The keys of id and answer, and the entries."""
    container = open_container(path)
    first = container.first if isinstance(container.first, dict) else {}
    if container.kind == "object" or (container.kind == "lines" and not first.keys() & {*_IDS}):
        return id_key, answer_key, ({id_key: key, answer_key: _direct(value)} for key, _, value in json_items(path))
    return (
        next((key for key in (id_key, *_IDS) if key in first), id_key),
        next((key for key in (answer_key, *_ANSWERS) if key in first), answer_key),
        (value for _, value in container_records(path, container)),
    )


def _direct(value: Any) -> Any:
    """The answer in an object of answers by id; A-OKVQA has objects with two kinds."""
    return value.get("direct_answer") if isinstance(value, Mapping) else value


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _fault(entry: Any, id_key: str, answer_key: str) -> str | None:
    """What is wrong with an entry, None if nothing is."""
    if not isinstance(entry, dict):
        return f"is {shown(entry, 40)}"
    for key in (id_key, answer_key):
        value = entry.get(key)
        if key not in entry:
            return f'has no "{key}" but {first_few(entry) or "nothing"}'
        number = type(value) is int and (key == id_key or key == "label")
        if type(value) is not str and not number:
            return f'has the "{key}" {shown(value, 40)}'
    return None


def _read_truths(path: str | Path) -> list[tuple[str, bool]]:
    with reading(path, "is not a table in CSV"), open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    predictions: list[tuple[str, bool]] = []
    wrong: list[str] = []
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        cells = [cell.strip() for cell in row]
        truth = _TRUTHS.get(cells[1].lower()) if len(cells) == 2 else None
        if not cells[0] or truth is None:
            wrong.append(f"line {number}: {shown(','.join(row))}")
        else:
            predictions.append((cells[0], truth))
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong):,} of {len(wrong) + len(predictions):,} lines are not `identifier,True` or "
            f"`identifier,False`: {first_few(wrong, 3)}."
        )
    return predictions


def _unique(path: str | Path, pairs: Collection[tuple[Any, Any]], what: str) -> dict[Any, Any]:
    """The pairs as a dict; a ValueError for repeated ids."""
    predictions = dict(pairs)
    if len(predictions) < len(pairs):
        twice = [question for question, count in Counter(question for question, _ in pairs).items() if count > 1]
        are = f"{len(twice):,} {what}{'s are' if len(twice) > 1 else ' is'}"
        raise ValueError(f"{path}: {are} answered more than once: {list_ids(twice)}.")
    return predictions
