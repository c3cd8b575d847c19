"""Result files in the three official formats, checked against their questions.

| task  | file | content |
|---|---|---|
| VQA   | JSON | `[{"question_id": 458752000, "answer": "yes"}, …]`; the server wants every question of the test set |
| GQA   | JSON | `[{"questionId": "201307251", "prediction": "yes"}, …]` |
| NLVR2 | CSV  | a line `test1-0-1-0,True` for each pair of images, without a header |

The official programs use the last of two answers to a question, and some ignore what they do not know. Here both are
errors: a file with such a mistake is seldom the intended one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import escaped, first_few

Id = TypeVar("Id", int, str)


def read_vqa_predictions(path: str | Path, questions: Collection[int] | None = None) -> dict[int, str]:
    """The answers of a VQA result file by question id; other keys of its entries are ignored.

    Args:
        path: JSON as in this module's table.
        questions: the ids of all questions; if given, the file must answer each of them.

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout; a question answered twice, or not at all; an answer to an unknown question. The
            message gives their number and the first few.
    """
    return _read_entries(path, "question_id", int, "answer", questions)


def write_vqa_predictions(
    path: str | Path, predictions: Mapping[int, str], questions: Collection[int] | None = None
) -> None:
    """Write a VQA result file, in the order of the mapping.

    Args:
        path: JSON as in this module's table; replaced when it is complete.
        predictions: an answer for each question id.
        questions: as for `read_vqa_predictions`.

    Raises:
        OSError: the file cannot be written.
        ValueError: ids that are not integers, answers that are not strings, or predictions that do not match the
            questions; nothing is written.
    """
    _write_entries(path, predictions, "question_id", int, "answer", questions)


def read_gqa_predictions(path: str | Path, questions: Collection[str] | None = None) -> dict[str, str]:
    """The answers of a GQA result file by question id, a string; otherwise as `read_vqa_predictions`."""
    return _read_entries(path, "questionId", str, "prediction", questions)


def write_gqa_predictions(
    path: str | Path, predictions: Mapping[str, str], questions: Collection[str] | None = None
) -> None:
    """Write a GQA result file; as `write_vqa_predictions`, but the ids are strings."""
    _write_entries(path, predictions, "questionId", str, "prediction", questions)


def read_nlvr2_predictions(path: str | Path, statements: Collection[str] | None = None) -> dict[str, bool]:
    """Whether each statement of an NLVR2 result file is predicted to be true, by identifier.

    As in the official evaluation, True and False may be in lower case, and lines may be empty.

    Args:
        path: CSV as in this module's table.
        statements: the identifiers of all statements; if given, the file must have each of them.

    Raises:
        OSError: the file cannot be read.
        ValueError: as for `read_vqa_predictions`; the message gives the number of a wrong line.
    """
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
    return _unique(path, predictions, statements, "statement")


def write_nlvr2_predictions(
    path: str | Path, predictions: Mapping[str, bool], statements: Collection[str] | None = None
) -> None:
    """Write an NLVR2 result file, in the order of the mapping.

    Args:
        path: CSV as in this module's table; replaced when it is complete.
        predictions: whether each statement is true, by identifier, as a bool or as 1 and 0.
        statements: as for `read_nlvr2_predictions`.

    Raises:
        OSError: the file cannot be written.
        ValueError: identifiers that do not fit into a line, values that are neither true nor false, or predictions
            that do not match the statements; nothing is written.
    """
    wrong = [f"{name!r}: {value!r}" for name, value in predictions.items() if not _fits(name) or value not in (0, 1)]
    if wrong:
        raise ValueError(
            f"predictions must be True or False by identifier, a string without a comma or a line feed; {len(wrong):,} "
            f"are not: {first_few(wrong, 3)}."
        )
    if statements is not None:
        check_predictions(predictions, statements, "predictions", "statement")
    write_text(path, "".join(f"{identifier},{bool(value)}\n" for identifier, value in predictions.items()))


def _fits(identifier: object) -> bool:
    """Whether an identifier can be written into a line of CSV."""
    return (
        isinstance(identifier, str)
        and "," not in identifier
        and identifier.splitlines() == [identifier]
        and identifier.strip() == identifier
    )


def check_predictions(
    predictions: Collection[Any],
    questions: Collection[Any],
    place: str | Path = "predictions",
    what: str = "question",
    optional: Collection[Any] = (),
) -> None:
    """Refuse predictions that do not answer exactly these questions.

    Args:
        predictions: the ids that have one.
        questions: the ids of the questions.
        place: the source of the predictions, for the message.
        what: "question" or "statement", for the message.
        optional: the ids of other questions that may have a prediction: GQA's unbalanced ones.

    Raises:
        ValueError: the message gives the number of missing and unknown ids, and the first few.
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


def _read_entries(
    path: str | Path, id_key: str, id_type: type[Id], answer_key: str, questions: Collection[Id] | None
) -> dict[Id, str]:
    entries = parse_json(Path(path).read_bytes(), path, list)
    faults = [(i, _fault(entry, id_key, id_type, answer_key)) for i, entry in enumerate(entries)]
    wrong = [f"entry {i} {fault}" for i, fault in faults if fault]
    if wrong:
        example = '458752000, "' if id_type is int else '"201307251", "'
        raise ValueError(
            f'{path}: {len(wrong):,} of {len(entries):,} entries are not like {{"{id_key}": {example}{answer_key}": '
            f'"yes"}}: {first_few(wrong, 3)}.'
        )
    return _unique(path, [(entry[id_key], entry[answer_key]) for entry in entries], questions, "question")


def _fault(entry: Any, id_key: str, id_type: type, answer_key: str) -> str | None:
    """What is wrong with an entry of a result file, None if nothing is."""
    if not isinstance(entry, dict):
        return f"is {_short(entry)}"
    for key, kind in ((id_key, id_type), (answer_key, str)):
        if key not in entry:
            return f'has no "{key}" but {", ".join(map(str, entry)) or "nothing"}'
        if type(entry[key]) is not kind:
            return f'has the "{key}" {_short(entry[key])}'
    return None


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:40]


def _unique(
    path: str | Path, pairs: Collection[tuple[Id, Any]], questions: Collection[Id] | None, what: str
) -> dict[Id, Any]:
    """The pairs as a dict.

    Raises:
        ValueError: a repeated id, or ids that do not match the questions.
    """
    predictions = dict(pairs)
    if len(predictions) < len(pairs):
        twice = [question for question, count in Counter(question for question, _ in pairs).items() if count > 1]
        raise ValueError(f"{path}: {_count(twice, what)} answered more than once: {_list(twice)}.")
    if questions is not None:
        check_predictions(predictions, questions, path, what)
    return predictions


def _write_entries(
    path: str | Path,
    predictions: Mapping[Id, str],
    id_key: str,
    id_type: type[Id],
    answer_key: str,
    questions: Collection[Id] | None,
) -> None:
    entries = [{id_key: question, answer_key: answer} for question, answer in predictions.items()]
    wrong = [_short(entry) for entry in entries if _fault(entry, id_key, id_type, answer_key)]
    if wrong:
        kind = "integers" if id_type is int else "strings"
        raise ValueError(
            f"predictions must be strings by question id, and the ids {kind}; {len(wrong):,} are not: "
            f"{first_few(wrong, 3)}."
        )
    if questions is not None:
        check_predictions(predictions, questions)
    write_text(path, json.dumps(entries))


def _list(ids: Iterable[Any]) -> str:
    return first_few(map(str, ids), 5)


def _count(ids: Collection[Any], what: str) -> str:
    return f"{len(ids):,} {escaped(what)}{'s are' if len(ids) > 1 else ' is'}"
