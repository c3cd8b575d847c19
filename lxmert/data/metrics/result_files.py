"""Result files in the three official formats, checked against their questions.

| task  | file | content |
|---|---|---|
| vqa   | JSON | `[{"question_id": 458752000, "answer": "yes"}, …]`; the server expects every question of the test set |
| gqa   | JSON | `[{"questionId": "201307251", "prediction": "yes"}, …]` |
| nlvr2 | CSV  | a line `test1-0-1-0,True` for each pair of images, without a header |

The official programs use the last of two answers to a question, and some ignore what they do not know. Here both are
errors: a file with such a mistake is seldom the intended one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import escaped, first_few


class _Entry(NamedTuple):
    """The keys of an entry of a JSON result file, the type of its id, and an example of it."""

    id_key: str
    id_type: type
    answer_key: str
    example: str


_ENTRIES = {
    "vqa": _Entry("question_id", int, "answer", "458752000"),
    "gqa": _Entry("questionId", str, "prediction", '"201307251"'),
}


def read_predictions(task: str, path: str | Path, ids: Collection[Any] | None = None) -> dict[Any, Any]:
    """The predictions of a result file by question id, or whether each statement is true by its identifier (NLVR2).

    Other keys of JSON entries are ignored. As in the official evaluation of NLVR2, True and False may be in lower case,
    and lines may be empty.

    Args:
        task: "vqa", "gqa" or "nlvr2".
        path: of the file.
        ids: of all questions or statements; if given, the file must have each of them and no other.

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout, a repeated id, or missing and unknown ids; the message has their number and the
            first few.
    """
    if task == "nlvr2":
        return _unique(path, _read_csv(path), ids, "statement")
    form = _ENTRIES[task]
    entries = parse_json(Path(path).read_bytes(), path, list)
    faults = [(i, _fault(entry, form)) for i, entry in enumerate(entries)]
    wrong = [f"entry {i} {fault}" for i, fault in faults if fault]
    if wrong:
        raise ValueError(
            f'{path}: {len(wrong):,} of {len(entries):,} entries are not like {{"{form.id_key}": {form.example}, '
            f'"{form.answer_key}": "yes"}}: {first_few(wrong, 3)}.'
        )
    return _unique(path, [(entry[form.id_key], entry[form.answer_key]) for entry in entries], ids, "question")


def write_predictions(
    task: str, path: str | Path, predictions: Mapping[Any, Any], ids: Collection[Any] | None = None
) -> None:
    """Write a result file, in the order of the mapping; it is replaced when it is complete.

    Args:
        task: "vqa", "gqa" or "nlvr2".
        path: of the file.
        predictions: an answer for each question id, or True or False (1 or 0) for each statement's identifier.
        ids: as for `read_predictions`.

    Raises:
        OSError: the file cannot be written.
        ValueError: ids or predictions that the format does not allow, or that do not match `ids`; nothing is written.
    """
    if task == "nlvr2":
        text = "".join(f"{name},{bool(value)}\n" for name, value in predictions.items())
        wrong = [f"{id_!r}: {value!r}" for id_, value in predictions.items() if not _fits(id_) or value not in (0, 1)]
        wanted = "True or False by identifier, a string without a comma or a line feed"
    else:
        form = _ENTRIES[task]
        entries = [{form.id_key: question, form.answer_key: answer} for question, answer in predictions.items()]
        text = json.dumps(entries, default=repr)
        wrong = [_short(entry) for entry in entries if _fault(entry, form)]
        wanted = f"strings by question id, and the ids {'integers' if form.id_type is int else 'strings'}"
    if wrong:
        raise ValueError(f"predictions must be {wanted}; {len(wrong):,} are not: {first_few(wrong, 3)}.")
    if ids is not None:
        check_predictions(predictions, ids, what="statement" if task == "nlvr2" else "question")
    write_text(path, text)


def check_predictions(
    predictions: Collection[Any],
    questions: Collection[Any],
    place: str | Path = "predictions",
    what: str = "question",
    optional: Collection[Any] = (),
) -> None:
    """Raise a ValueError for predictions that do not answer exactly these questions.

    Args:
        predictions: the ids that have one.
        questions: the ids of the questions.
        place: the source of the predictions, for the message.
        what: "question" or "statement", for the message.
        optional: the ids of other questions that may have a prediction: GQA's unbalanced ones.
    """
    known = questions if isinstance(questions, (set, frozenset, dict)) else set(questions)
    missing = [question for question in questions if question not in predictions]
    unknown = [prediction for prediction in predictions if prediction not in known]
    if unknown and optional:
        allowed = set(optional)
        unknown = [prediction for prediction in unknown if prediction not in allowed]
    if not missing and not unknown:
        return
    faults = []
    if missing:
        faults.append(f"{_count(missing, what)} not answered: {_list(missing)}")
    if unknown:
        faults.append(f"{_count(unknown, 'prediction')} for no {what} of these: {_list(unknown)}")
    may = f", and may have one for each of {len(optional):,} unbalanced ones" if optional else ""
    raise ValueError(
        f"{place} must have one prediction for each of the {len(known):,} {what}s{may}; {'; '.join(faults)}. Are these "
        "predictions for the same split?"
    )


def _read_csv(path: str | Path) -> list[tuple[str, bool]]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}") from None
    predictions: list[tuple[str, bool]] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        identifier, comma, word = (part.strip() for part in line.partition(","))
        truth = {"true": True, "false": False}.get(word.lower())
        if not identifier or not comma or truth is None:
            wrong.append(f"line {number}: {line[:80]!r}")
        else:
            predictions.append((identifier, truth))
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong):,} of {len(wrong) + len(predictions):,} lines are not `identifier,True` or "
            f"`identifier,False`: {first_few(wrong, 3)}."
        )
    return predictions


def _fits(identifier: object) -> bool:
    """Whether an identifier can be written into a line of CSV."""
    return (
        isinstance(identifier, str)
        and "," not in identifier
        and identifier.splitlines() == [identifier]
        and identifier.strip() == identifier
    )


def _fault(entry: Any, form: _Entry) -> str | None:
    """What is wrong with an entry of a JSON result file, None if nothing is."""
    if not isinstance(entry, dict):
        return f"is {_short(entry)}"
    for key, kind in ((form.id_key, form.id_type), (form.answer_key, str)):
        if key not in entry:
            return f'has no "{key}" but {", ".join(map(str, entry)) or "nothing"}'
        if type(entry[key]) is not kind:
            return f'has the "{key}" {_short(entry[key])}'
    return None


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:40]


def _unique(
    path: str | Path, pairs: Collection[tuple[Any, Any]], ids: Collection[Any] | None, what: str
) -> dict[Any, Any]:
    """The pairs as a dict; a ValueError for repeated ids, or ids that do not match."""
    predictions = dict(pairs)
    if len(predictions) < len(pairs):
        twice = [question for question, count in Counter(question for question, _ in pairs).items() if count > 1]
        raise ValueError(f"{path}: {_count(twice, what)} answered more than once: {_list(twice)}.")
    if ids is not None:
        check_predictions(predictions, ids, path, what)
    return predictions


def _list(ids: Iterable[Any]) -> str:
    return first_few(map(str, ids), 5)


def _count(ids: Collection[Any], what: str) -> str:
    return f"{len(ids):,} {escaped(what)}{'s are' if len(ids) > 1 else ' is'}"
