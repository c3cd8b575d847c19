"""The answers in a record of questions: those of several people, or answers with weights."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from lxmert.utils.messages import shown

from .record_checks import RecordFile

ANSWERS = ("answers", "answer", "direct_answers", "label")
"""The keys of answers."""
_WEIGHTS = ("weights", "weight", "scores")
_LARGEST_CELL = 2**16  # characters


def people_or_scores(
    file: RecordFile, record: dict[str, Any], keys: Sequence[str] = ANSWERS
) -> tuple[list[str] | None, dict[str, Any] | None]:
    """The answers of a record: those of several people, or answers with scores; None twice without any."""
    key = given_key(record, keys)
    if key is None:
        return None, None
    value, weights_key = _cell(record[key]), given_key(record, _WEIGHTS)
    weights = None if weights_key is None else _cell(record[weights_key])
    if type(value) is str and key in ("answers", "direct_answers"):
        value = list(filter(str.strip, value.split("|")))
        weights = weights.split("|") if type(weights) is str else weights
    if isinstance(value, Mapping):
        return None, file.label(dict(value))
    if not isinstance(value, list | tuple):
        value, weights = [value], [1.0 if weights is None else weights]
    if not value:
        return None, {}
    if weights is not None:
        return None, _weighted(file, [_answer(file, key, answer) for answer in value], weights)
    if isinstance(value[0], Mapping) and value[0].keys() & {*_WEIGHTS, "score"}:
        pairs = [_weighted_answer(file, key, answer) for answer in value]
        return None, _weighted(file, [answer for answer, _ in pairs], [weight for _, weight in pairs])
    return [_answer(file, key, answer) for answer in value], None


def _answer(file: RecordFile, key: str, value: Any) -> str:
    """A text, a number, or an object with a text "answer", as text."""
    if isinstance(value, Mapping):
        if type(value.get("answer")) is not str:
            raise file.error(f'{key} must be a list of objects with a string "answer"; got {shown(value)}')
        return file.text(dict(value), "answer").strip()
    if _is_empty(value):  # someone who gave none of the answers
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if type(value) is not str:
        raise file.error(f"{key} must be a text, or a list of texts; got {shown(value)}")
    return file.text({key: value}, key).strip()


def _weighted_answer(file: RecordFile, key: str, value: Any) -> tuple[str, Any]:
    if not isinstance(value, Mapping):
        raise file.error(f"{key} must have a weight for each answer; got {shown(value)}")
    return _answer(file, key, value), next((value[name] for name in (*_WEIGHTS, "score") if name in value), None)


def _weighted(file: RecordFile, answers: Sequence[str], weights: Any) -> dict[str, float]:
    if not isinstance(weights, list | tuple) or len(weights) != len(answers):
        raise file.error(f"there must be one weight for each of the {len(answers)} answers; got {shown(weights)}")
    if len(set(answers)) < len(answers):
        raise file.error(f"an answer is there twice: {shown(answers)}")
    return file.label(dict(zip(answers, map(_weight, weights), strict=True)))


def _weight(value: Any) -> Any:
    """A number, also where a cell holds it as text; anything else as it is, for the error."""
    try:
        return float(value) if type(value) is str else value
    except ValueError:
        return value


def given_key(record: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first key with a value: tables leave cells empty, and pandas makes them NaN."""
    return next((key for key in keys if not _is_empty(record.get(key))), None)


def _is_empty(value: Any) -> bool:
    return (
        value is None or (type(value) is str and not value.strip()) or (isinstance(value, float) and math.isnan(value))
    )


def _cell(value: Any) -> Any:
    """The value of a cell that holds a list or an object, as JSON or as Python writes it; others as they are."""
    if type(value) is not str or value[:1] not in ("[", "{") or len(value) > _LARGEST_CELL:
        return value
    for parse in (json.loads, ast.literal_eval):  # constants alone
        with suppress(Exception):  # the parser of Python raises nearly anything
            return parse(value)
    return value
