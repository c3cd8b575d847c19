"""Result files in the three official formats, each checked against the questions that it answers.

| task  | file | content |
|---|---|---|
| VQA   | JSON | `[{"question_id": 458752000, "answer": "yes"}, …]`; the server wants every question of the test set |
| GQA   | JSON | `[{"questionId": "201307251", "prediction": "yes"}, …]` |
| NLVR2 | CSV  | a line `test1-0-1-0,True` for each pair of images, no title |

The official programs take the last of two answers to a question, and some pass over what they do not know. Here each of
this is an error: a file with such a fault is seldom the file that was meant.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import escaped, first_few

Id = TypeVar("Id", int, str)


def read_vqa_predictions(path: str | Path, questions: Collection[int] | None = None) -> dict[int, str]:
    """The answers of a VQA result file by question id; other keys of its entries are passed over.

    Args:
        path: JSON as this module's table shows it.
        questions: ids of the questions that are answered; where given, the file must answer each of them once.

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout; a question answered twice, or not at all; an answer to an unknown question. The
            message says how many, and names the first few.
    """
    return _read_entries(path, "question_id", int, "answer", questions)


def write_vqa_predictions(
    path: str | Path, predictions: Mapping[int, str], questions: Collection[int] | None = None
) -> None:
    """Write a VQA result file, in the order of the mapping.

    Args:
        path: JSON as this module's table shows it; replaced when it is complete.
        predictions: an answer for each question id.
        questions: as for `read_vqa_predictions`.

    Raises:
        OSError: nothing can be written there.
        ValueError: ids that are no integers, answers that are no texts, or predictions that do not fit the
            questions; nothing is written.
    """
    _write_entries(path, predictions, "question_id", int, "answer", questions)


def read_gqa_predictions(path: str | Path, questions: Collection[str] | None = None) -> dict[str, str]:
    """The answers of a GQA result file by question id, which is a text; else as `read_vqa_predictions`."""
    return _read_entries(path, "questionId", str, "prediction", questions)


def write_gqa_predictions(
    path: str | Path, predictions: Mapping[str, str], questions: Collection[str] | None = None
) -> None:
    """Write a GQA result file; as `write_vqa_predictions`, but for the ids, which are texts."""
    _write_entries(path, predictions, "questionId", str, "prediction", questions)


def read_nlvr2_predictions(path: str | Path, statements: Collection[str] | None = None) -> dict[str, bool]:
    """Whether each statement of an NLVR2 result file is held to be true, by identifier.

    As in the official evaluation, True and False may be written in small letters too, and lines may be empty.

    Args:
        path: CSV as this module's table shows it.
        statements: the identifiers of the statements that are judged; where given, each must be judged once.

    Raises:
        OSError: the file cannot be read.
        ValueError: as for `read_vqa_predictions`; a line of another form is named by its number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}") from None
    judged: list[tuple[str, bool]] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        identifier, comma, word = (part.strip() for part in line.partition(","))
        truth = {"true": True, "false": False}.get(word.lower())
        if not identifier or not comma or truth is None:
            wrong.append(f"line {number}: {line[:80]!r}")
        else:
            judged.append((identifier, truth))
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong):,} of {len(wrong) + len(judged):,} lines are not `identifier,True` or "
            f"`identifier,False`: {first_few(wrong, 3)}."
        )
    return _once(path, judged, statements, "statement", "judged")


def write_nlvr2_predictions(
    path: str | Path, predictions: Mapping[str, bool], statements: Collection[str] | None = None
) -> None:
    """Write an NLVR2 result file, in the order of the mapping.

    Args:
        path: CSV as this module's table shows it; replaced when it is complete.
        predictions: for each identifier whether the statement is held to be true, as a bool or as 1 and 0.
        statements: as for `read_nlvr2_predictions`.

    Raises:
        OSError: nothing can be written there.
        ValueError: identifiers that a line cannot hold, values that are neither true nor false, or predictions that do
            not fit the statements; nothing is written.
    """
    wrong = [
        f"{identifier!r}: {value!r}"
        for identifier, value in predictions.items()
        if not _fits_a_line(identifier) or value not in (0, 1)
    ]
    if wrong:
        raise ValueError(
            f"predictions must be True or False by identifier, a text without a comma or a line feed; {len(wrong):,} "
            f"are not: {first_few(wrong, 3)}."
        )
    if statements is not None:
        check_predictions(predictions, statements, "predictions", "statement", "judged")
    write_text(path, "".join(f"{identifier},{bool(value)}\n" for identifier, value in predictions.items()))


def _fits_a_line(identifier: Any) -> bool:
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
    done: str = "answered",
    optional: Collection[Any] = (),
) -> None:
    """Refuse predictions that do not answer exactly these questions.

    Args:
        predictions: ids that are answered.
        questions: ids that are asked.
        place: where the predictions are from, for the message.
        what: what is answered, for the message.
        done: what predictions do to it, for the message.
        optional: ids of further questions, which may be answered: GQA's unbalanced ones.

    Raises:
        ValueError: it says how many ids are missing and unknown, and names the first few.
    """
    known = questions if isinstance(questions, (set, frozenset, dict)) else set(questions)
    missing = [question for question in questions if question not in predictions]
    unknown = [prediction for prediction in predictions if prediction not in known]
    if unknown and optional:
        allowed = set(optional)
        unknown = [prediction for prediction in unknown if prediction not in allowed]
    if not missing and not unknown:
        return
    told = []
    if missing:
        told.append(f"{_count(missing, what)} {_are(missing)} not {done}: {_named(missing)}")
    if unknown:
        told.append(f"{_count(unknown, 'prediction')} {_are(unknown)} for no {what} of these: {_named(unknown)}")
    further = f", and may have one for each of {len(optional):,} unbalanced ones" if optional else ""
    raise ValueError(
        f"{place} must have one prediction for each of the {len(known):,} {what}s{further}; {'; '.join(told)}. Are "
        f"these predictions for the same split?"
    )


def _read_entries(
    path: str | Path, id_key: str, id_kind: Callable[..., Id], answer_key: str, questions: Collection[Id] | None
) -> dict[Id, str]:
    entries = parse_json(Path(path).read_bytes(), path, list)
    wrong = []
    for i, entry in enumerate(entries):
        fault = _fault(entry, id_key, id_kind, answer_key)
        if fault:
            wrong.append(f"entry {i} {fault}")
    if wrong:
        example = '458752000, "' if id_kind is int else '"201307251", "'
        raise ValueError(
            f'{path}: {len(wrong):,} of {len(entries):,} entries are not like {{"{id_key}": {example}{answer_key}": '
            f'"yes"}}: {first_few(wrong, 3)}.'
        )
    answered = ((entry[id_key], entry[answer_key]) for entry in entries)
    return _once(path, answered, questions, "question", "answered")


def _fault(entry: Any, id_key: str, id_kind: Any, answer_key: str) -> str | None:
    """What is wrong with an entry of a result file, None where nothing is."""
    if not isinstance(entry, dict):
        return f"is {_shown(entry)}"
    for key, kind in ((id_key, id_kind), (answer_key, str)):
        if key not in entry:
            return f'has no "{key}" but {", ".join(map(str, entry)) or "nothing"}'
        if type(entry[key]) is not kind:
            return f'has the "{key}" {_shown(entry[key])}'
    return None


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:40]


def _once(
    path: str | Path, pairs: Iterable[tuple[Id, Any]], questions: Collection[Id] | None, what: str, done: str
) -> dict[Id, Any]:
    """The pairs as a dict.

    Raises:
        ValueError: an id that is there twice, or ids that do not fit the questions.
    """
    pairs = list(pairs)
    predictions = dict(pairs)
    if len(predictions) < len(pairs):
        counts = Counter(question for question, _ in pairs)
        twice = [question for question, count in counts.items() if count > 1]
        raise ValueError(f"{path}: {_count(twice, what)} {_are(twice)} {done} more than once: {_named(twice)}.")
    if questions is not None:
        check_predictions(predictions, questions, path, what, done)
    return predictions


def _write_entries(
    path: str | Path,
    predictions: Mapping[Id, str],
    id_key: str,
    id_kind: Callable[..., Id],
    answer_key: str,
    questions: Collection[Id] | None,
) -> None:
    entries = [{id_key: question, answer_key: answer} for question, answer in predictions.items()]
    wrong = [_shown(entry) for entry in entries if _fault(entry, id_key, id_kind, answer_key)]
    if wrong:
        kind = "integers" if id_kind is int else "texts"
        raise ValueError(
            f"predictions must be texts by question id, and the ids {kind}; {len(wrong):,} are not: "
            f"{first_few(wrong, 3)}."
        )
    if questions is not None:
        check_predictions(predictions, questions)
    write_text(path, json.dumps(entries))


def _named(ids: Iterable[Any]) -> str:
    return first_few(map(str, ids), 5)


def _count(ids: Collection[Any], what: str) -> str:
    return f"{len(ids):,} {escaped(what)}{'s' if len(ids) > 1 else ''}"


def _are(ids: Collection[Any]) -> str:
    return "are" if len(ids) > 1 else "is"
