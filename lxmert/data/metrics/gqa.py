"""The official accuracy of GQA: overall, for binary and open questions, and by type; in percent and not rounded.

Its other figures (consistency, validity, plausibility, distribution) are not computed: they need answers to more
questions, or other files than questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxmert.data.datasets import Questions, read_gqa
from lxmert.data.datasets.json_reader import json_items
from lxmert.data.datasets.question_layouts import is_own
from lxmert.data.datasets.record_checks import RecordFile, list_files
from lxmert.data.datasets.record_files import open_container
from lxmert.utils.messages import shown

from .result_files import check_predictions

_BINARY = ("yes", "no")  # answers of binary questions, if types are unknown


@dataclass(frozen=True)
class GqaAnswers:
    """The correct answers to GQA questions: columns of one length.

    Attributes:
        ids: of the questions.
        answers: the correct one of each.
        structural_types: "query", "verify", "logical", "choose", "compare"; None if unknown.
        semantic_types: "obj", "attr", "rel", "cat", "global"; None if unknown.
        unbalanced_ids: of the unbalanced questions of the same files, which may have a prediction but are not scored.
            They are in none of the columns.
    """

    ids: list[str]
    answers: list[str]
    structural_types: list[str] | None = None
    semantic_types: list[str] | None = None
    unbalanced_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class GqaScores:
    """Accuracies in percent.

    Attributes:
        accuracy: over all questions.
        binary, open: over the questions of each kind; None if there are none. If types are known, questions of the
            structural type "query" are open, as in the official evaluation; otherwise those whose answer is neither
            "yes" nor "no", such as "is it red or blue?".
        per_structural_type, per_semantic_type: empty if types are unknown.
        counts: the number of scored questions: "accuracy", "binary", "open"; and of others: "unbalanced".
        structural_type_counts, semantic_type_counts: the same by type.
        by_type: whether binary and open follow from the types.
        left_out: predictions for other questions than those of the files.
    """

    accuracy: float
    binary: float | None
    open: float | None
    per_structural_type: dict[str, float] = field(default_factory=dict)
    per_semantic_type: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    structural_type_counts: dict[str, int] = field(default_factory=dict)
    semantic_type_counts: dict[str, int] = field(default_factory=dict)
    by_type: bool = False
    left_out: int = 0


def gqa_accuracy(predictions: Mapping[str, str], answers: GqaAnswers, place: str | Path = "predictions") -> GqaScores:
    """The accuracy of predictions; an answer is correct if it is the same text.

    Args:
        predictions: an answer for each question id; a ValueError if a question has none. As in the official program,
            unbalanced questions may have one. Predictions for others are left out.
        answers: the correct ones.
        place: the source of the predictions, for messages.
    """
    left_out = check_predictions(predictions, dict.fromkeys(answers.ids), place, optional=answers.unbalanced_ids)
    if not answers.ids:
        raise ValueError("there must be at least one question to score; there is none.")
    right = [predictions[question] == answer for question, answer in zip(answers.ids, answers.answers, strict=True)]
    by_type = answers.structural_types is not None
    kinds = (
        ["open" if kind == "query" else "binary" for kind in answers.structural_types]
        if answers.structural_types is not None
        else ["binary" if answer in _BINARY else "open" for answer in answers.answers]
    )
    per_kind, counts = _by(kinds, right)
    structural, structural_counts = _by(answers.structural_types or [], right)
    semantic, semantic_counts = _by(answers.semantic_types or [], right)
    return GqaScores(
        100 * sum(right) / len(right),
        per_kind.get("binary"),
        per_kind.get("open"),
        structural,
        semantic,
        {
            "accuracy": len(right),
            "binary": counts.get("binary", 0),
            "open": counts.get("open", 0),
            "unbalanced": len(answers.unbalanced_ids),
        },
        structural_counts,
        semantic_counts,
        by_type,
        left_out,
    )


def _by(names: Sequence[str], right: Sequence[bool]) -> tuple[dict[str, float], dict[str, int]]:
    """The percentage of correct ones by name, in alphabetical order, and their number; nothing without names."""
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for name, is_right in zip(names, right, strict=bool(names)):
        found[name].append(is_right)
    parts = sorted(found.items())
    return {name: 100 * sum(part) / len(part) for name, part in parts}, {name: len(part) for name, part in parts}


def read_gqa_answers(paths: str | Path | Sequence[str | Path]) -> GqaAnswers:
    """The correct answers of official question files, or of the original's.

    Args:
        paths: one file or several: official ones (testdev_balanced_questions.json, or the parts of val_all), the
            original's lists (testdev.json), or one's own (`read_gqa`), recognized by content. Only balanced questions
            of official files are scored, as in the official evaluation. The types are known if all questions have
            them, as in official files and in lists that `write_gqa` wrote with "question_type".

    Raises:
        OSError: a file cannot be read.
        ValueError: another layout, a question without an answer, a repeated question, or no question; the message
            names the file and the record.
    """
    files = list_files(paths)
    if all(map(_is_own, files)):
        return _answers_of(read_gqa(files))
    rows: dict[str, tuple[str, str, str]] = {}
    unbalanced: dict[str, None] = {}
    for path in files:
        file = RecordFile(path, "question_id")
        for key, place, value in json_items(path):
            if key is None:
                entry = file.enter(value, (place or 0) + 1)
                question = file.name(entry, "question_id")
                row = _label(file, entry), file.optional_text(entry, "question_type"), ""
            else:
                entry = file.enter(value, id=key)
                question, row = key, _official(file, entry)
            if question in rows or question in unbalanced:
                raise file.error("the question is there twice")
            if entry.get("isBalanced", True):
                rows[question] = row
            else:
                unbalanced[question] = None
    if not rows:
        raise ValueError(f"{', '.join(files)}: there are no balanced questions; at least one is expected.")
    answers, structural, semantic = map(list, zip(*rows.values(), strict=True))
    return GqaAnswers(
        list(rows),
        answers,
        structural if all(structural) else None,
        semantic if all(semantic) else None,
        list(unbalanced),
    )


def _is_own(path: str) -> bool:
    """Whether a file is neither an official one nor the original's, whose records may have ids and labels alone."""
    container = open_container(path)
    return container.kind in ("lines", "table") or (isinstance(container.first, dict) and is_own(container.first))


def _answers_of(questions: Questions) -> GqaAnswers:
    """The best answer to each question of one's own."""
    if questions.answers is None or not all(questions.answers):
        raise ValueError(f"{', '.join(questions.files)}: there are questions without an answer. {_TEST_SET}.")
    types = list(questions.question_types) if questions.question_types else None
    known = types if types and all(types) else None
    return GqaAnswers(list(map(str, questions.ids)), list(map(_best, questions.answers)), known)


_TEST_SET = "Files of a test set have no answers: the server scores the results"


def _official(file: RecordFile, entry: dict[str, Any]) -> tuple[str, str, str]:
    if "answer" not in entry:
        raise file.error(f"there is no answer. {_TEST_SET}")
    types = entry.get("types", {})
    if type(types) is not dict:
        raise file.error(f"types must be an object; got {shown(types)}")
    return file.text(entry, "answer"), file.optional_text(types, "structural"), file.optional_text(types, "semantic")


def _label(file: RecordFile, entry: dict[str, Any]) -> str:
    if "label" not in entry:
        raise file.error(f"there is no label. {_TEST_SET}")
    labels = file.label(entry["label"])
    if not labels:
        raise file.error('label must have an answer, such as {"yes": 1.0}; it is empty')
    return _best(labels)


def _best(labels: Mapping[str, float]) -> str:
    """The correct answer in {answer: 1.0}."""
    return max(labels, key=lambda answer: labels[answer])
