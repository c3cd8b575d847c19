"""The accuracy of VQA: the official one, from ten people's answers, and the mean score by soft labels.

All scores are in percent and not rounded; the official evaluation reports two decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxmert.data.datasets.json_reader import json_items
from lxmert.data.datasets.record_checks import RecordFile, list_files
from lxmert.data.datasets.vqa_official import read_answers
from lxmert.data.text_normalization import process_answer, tidy_answer

from .result_files import check_predictions

if TYPE_CHECKING:
    from lxmert.data.datasets import Questions


@dataclass(frozen=True)
class VqaScores:
    """Accuracies in percent, each a mean over questions.

    Attributes:
        overall: over all questions.
        per_answer_type: by "yes/no", "number", "other", in the order of first appearance.
        per_question_type: by the first words of the question, as in the annotations.
        per_question: by question id.
        answer_type_counts, question_type_counts: the number of questions of each type.
    """

    overall: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    per_question: dict[Any, float]
    answer_type_counts: dict[str, int] = field(default_factory=dict)
    question_type_counts: dict[str, int] = field(default_factory=dict)


def vqa_accuracy(
    predictions: Mapping[int, str], annotations: Iterable[Mapping[str, Any]], place: str | Path = "predictions"
) -> VqaScores:
    """The official accuracy of VQA v2 (github.com/GT-Vision-Lab/VQA), equal to it on every question.

    An answer scores min(1, m/3), where m people gave it too, averaged over the ten ways to leave out one person: 0, 30,
    60, 90 or 100 percent for 0, 1, 2, 3 or more of ten. Answers are compared after `process_answer`. But if all people
    gave the same answer, only white space around it is removed: "Yes" is wrong if all said "yes".

    Args:
        predictions: an answer for each question id; a ValueError if they do not match the questions, or without any.
        annotations: from an official file (`read_vqa_annotations`), iterated once: objects with `question_id`,
            `question_type`, `answer_type`, and `answers`, a list of objects with `answer`.
        place: the source of the predictions, for messages.
    """
    asked: dict[int, None] = {}

    def scored() -> Iterator[tuple[int, float, str, str]]:
        for annotation in annotations:
            question = annotation["question_id"]
            asked[question] = None
            if question in predictions:
                score = _agreement(predictions[question], annotation["answers"])
                yield question, score, annotation["answer_type"], annotation["question_type"]

    rows = list(scored())
    check_predictions(predictions, asked, place)
    return _scores(rows)


def soft_accuracy(predictions: Mapping[Any, str], questions: Questions) -> VqaScores:
    """The mean score of the predicted answers by the labels, which the original computes during training.

    The score of a prediction is that of the label with exactly the same text, or 0. On VQA's labels this is close to
    the official accuracy; on GQA it is the fraction of correct answers.

    Args:
        predictions: an answer for each question id; a ValueError if they do not match the questions.
        questions: at least one, with labels {answer: score from 0 to 1}.
    """
    if questions.answers is None:
        raise ValueError("questions must have answers to be scored; these are of a test set, which has none.")
    check_predictions(predictions, dict.fromkeys(questions.ids))
    absent = [None] * len(questions.ids)
    columns = (questions.ids, questions.answers, questions.answer_types or absent, questions.question_types or absent)
    return _scores(
        (question, labels.get(predictions[question], 0.0), answer_type, question_type)
        for question, labels, answer_type, question_type in zip(*columns, strict=True)
    )


def read_vqa_annotations(paths: str | Path | Sequence[str | Path]) -> Iterator[dict[str, Any]]:
    """The annotations of official files (v2_mscoco_val2014_annotations.json), one at a time in memory.

    Raises:
        OSError: a file cannot be read.
        ValueError: another layout, a question without answers, or a repeated question, when the iteration gets there;
            the message names the file and the record.
    """
    seen: set[int] = set()
    for path in list_files(paths):
        file = RecordFile(path, "question_id")
        before = len(seen)
        for key, place, value in json_items(path):
            if key == "annotations" and place is not None:
                annotation = _check_annotation(file, file.enter(value, place + 1))
                if annotation["question_id"] in seen:
                    raise file.error("the question was annotated before")
                seen.add(annotation["question_id"])
                yield annotation
        if len(seen) == before:
            raise ValueError(
                f'{path} must have a list "annotations" with entries, as v2_mscoco_val2014_annotations.json has. '
                "(The file of questions has no answers.)"
            )


def _check_annotation(file: RecordFile, annotation: dict[str, Any]) -> dict[str, Any]:
    file.integer(annotation, "question_id")
    for key in ("question_type", "answer_type"):
        file.text(annotation, key)
    read_answers(file, annotation)
    return annotation


def _agreement(prediction: str, answers: Sequence[Mapping[str, Any]]) -> float:
    """The accuracy of an answer, 0..1, by people's answers."""
    texts = [answer["answer"] for answer in answers]
    # Few of them are distinct, and the same ones come again and again: `process_answer` caches.
    unanimous = len({tidy_answer(text) for text in set(texts)}) == 1
    process = tidy_answer if unanimous else process_answer
    texts = [process(text) for text in texts]
    prediction = process(prediction)
    count = texts.count(prediction)
    if not count:
        return 0.0
    same = _equal_entries(answers, texts)
    return _mean(tuple([count - same[i] if text == prediction else count for i, text in enumerate(texts)]))


def _equal_entries(answers: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[int]:
    """For each answer the number of equal entries, including itself; they are left out together.

    As in the original, which compares entries, not places. In VQA v2 each has its own `answer_id`; in data sets without
    (VizWiz, for example) equal answers of equal confidence count as one person.
    """
    if len({answer.get("answer_id") for answer in answers}) == len(answers):
        return [1] * len(answers)
    entries = [{**answer, "answer": text} for answer, text in zip(answers, texts, strict=True)]
    return [entries.count(entry) for entry in entries]


@lru_cache(maxsize=4096)
def _mean(others: tuple[int, ...]) -> float:
    """The mean of min(1, m/3), added in the original's order, so that it is equal to the last bit."""
    return sum(min(1, m / 3) for m in others) / len(others)


def _scores(rows: Iterable[tuple[Any, float, str | None, str | None]]) -> VqaScores:
    """Means over rows of id, score 0..1, answer type and question type."""
    every: dict[Any, float] = {}
    answer_types: defaultdict[str, list[float]] = defaultdict(list)
    question_types: defaultdict[str, list[float]] = defaultdict(list)
    for question, score, answer_type, question_type in rows:
        every[question] = score
        if answer_type is not None:
            answer_types[answer_type].append(score)
        if question_type is not None:
            question_types[question_type].append(score)
    if not every:
        raise ValueError("there must be at least one question to score; there is none.")
    return VqaScores(
        _percent(list(every.values())),
        {name: _percent(scores) for name, scores in answer_types.items()},
        {name: _percent(scores) for name, scores in question_types.items()},
        {question: 100 * score for question, score in every.items()},
        {name: len(scores) for name, scores in answer_types.items()},
        {name: len(scores) for name, scores in question_types.items()},
    )


def _percent(scores: Sequence[float]) -> float:
    """The mean in percent, in the original's order of operations, which decides how a half is rounded."""
    return 100 * sum(scores) / len(scores)
