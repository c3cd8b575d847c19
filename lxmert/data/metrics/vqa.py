"""The accuracy of VQA: the official one, from ten people's answers, and the mean score by soft labels.

All scores are in percent and not rounded; the official evaluation reports two decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxmert.data.datasets.json_reader import json_items
from lxmert.data.datasets.question_layouts import is_vizwiz
from lxmert.data.datasets.record_checks import RecordFile, canonical_id, list_files
from lxmert.data.datasets.soft_scores import check_formula, log_shares, uses_share
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
        further: other scores of a data set: "unanswerable, average precision" and "unanswerable, F1" (VizWiz), "ROC
            AUC" (Hateful Memes), where the result file has the numbers.
        left_out: predictions for other questions than these.
    """

    overall: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    per_question: dict[Any, float]
    answer_type_counts: dict[str, int] = field(default_factory=dict)
    question_type_counts: dict[str, int] = field(default_factory=dict)
    further: dict[str, float] = field(default_factory=dict)
    left_out: int = 0


def vqa_accuracy(
    predictions: Mapping[Any, str],
    annotations: Iterable[Mapping[str, Any]],
    place: str | Path = "predictions",
    formula: str = "auto",
    vizwiz: bool = False,
) -> VqaScores:
    """The official accuracy of VQA v2 (github.com/GT-Vision-Lab/VQA), equal to it on every question.

    An answer scores min(1, m/3), where m people gave it too, averaged over the ten ways to leave out one person: 0, 30,
    60, 90 or 100 percent for 0, 1, 2, 3 or more of ten. Answers are compared after `process_answer`. But if all people
    gave the same answer, only white space around it is removed: "Yes" is wrong if all said "yes".

    Args:
        predictions: an answer for each question id, 9 or "9"; a ValueError if a question has none. Others are left out.
        annotations: from a file (`read_vqa_annotations`), iterated once: objects with `question_id`, `answers`, a list
            of objects with `answer`, and maybe `question_type` and `answer_type`.
        place: the source of the predictions, for messages.
        formula: as for `soft_scores`: with fewer than ten people, an answer scores their share by default.
        vizwiz: compare as VizWiz does: the prediction after `process_answer`, the people's answers as they are.
    """
    check_formula(formula)
    given = {canonical_id(name): answer for name, answer in predictions.items()}
    asked: dict[Any, None] = {}
    few = 0

    def scored() -> Iterator[tuple[Any, float, str | None, str | None]]:
        nonlocal few
        for annotation in annotations:
            question = canonical_id(annotation["question_id"])
            asked[question] = None
            if question in given:
                people = [answer["answer"] for answer in annotation["answers"]]
                few += formula == "auto" and uses_share(len(people), formula)
                score = _agreement(given[question], people, formula, vizwiz)
                yield question, score, annotation.get("answer_type"), annotation.get("question_type")

    rows = list(scored())
    left_out = check_predictions(given, asked, place)
    log_shares(few, len(asked))
    return replace(_scores(rows), left_out=left_out)


def soft_accuracy(
    predictions: Mapping[Any, str], questions: Questions, place: str | Path = "predictions", processed: bool = False
) -> VqaScores:
    """The mean score of the predicted answers by the labels, which the original computes during training.

    The score of a prediction is that of the label with exactly the same text, or 0. On VQA's labels this is close to
    the official accuracy; on GQA it is the fraction of correct answers.

    Args:
        predictions: an answer for each question id, 9 or "9"; a ValueError if a question has none. Others are left out.
        questions: at least one, with labels {answer: score from 0 to 1}.
        place: the source of the predictions, for messages.
        processed: whether a prediction without a label of the same text has the score of one that is equal after
            `process_answer`, as TextVQA compares.
    """
    if questions.answers is None:
        raise ValueError("questions must have answers to be scored; these are of a test set, which has none.")
    given = {canonical_id(name): answer for name, answer in predictions.items()}
    ids = [canonical_id(name) for name in questions.ids]
    left_out = check_predictions(given, dict.fromkeys(ids), place)
    absent = [None] * len(ids)
    columns = (ids, questions.answers, questions.answer_types or absent, questions.question_types or absent)

    def score(labels: Mapping[str, float], prediction: str) -> float:
        if prediction in labels or not processed:
            return labels.get(prediction, 0.0)
        wanted = process_answer(prediction)
        equal = (score for answer, score in labels.items() if wanted and process_answer(answer) == wanted)
        return max(equal, default=0.0)

    rows = (
        (question, score(labels, given[question]), answer_type, question_type)
        for question, labels, answer_type, question_type in zip(*columns, strict=True)
    )
    return replace(_scores(rows), left_out=left_out)


def read_vqa_annotations(paths: str | Path | Sequence[str | Path]) -> Iterator[dict[str, Any]]:
    """The annotations of official files (v2_mscoco_val2014_annotations.json), one at a time in memory.

    Files of OK-VQA and lists of annotations, as VQA-CP has them, are read too; and VizWiz, by image.

    Raises:
        OSError: a file cannot be read.
        ValueError: another layout, a question without answers, or a repeated question, when the iteration gets there;
            the message names the file and the record.
    """
    seen: set[Any] = set()
    for path in list_files(paths):
        file = RecordFile(path, "question_id")
        before = len(seen)
        for key, place, value in json_items(path):
            if key in ("annotations", None) and place is not None:
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
    # VizWiz names a question by its image.
    question = file.question_id(annotation, "image" if is_vizwiz(annotation) else "question_id")
    types = {key: file.optional_text(annotation, key) or None for key in ("question_type", "answer_type")}
    read_answers(file, annotation)
    return {**annotation, "question_id": question, **types}


def _agreement(prediction: str, people: Sequence[str], formula: str, vizwiz: bool) -> float:
    """The accuracy of an answer, 0..1, by people's answers."""
    # Few of them are distinct, and the same ones come again and again: `process_answer` caches.
    if vizwiz:
        texts, prediction = list(people), process_answer(prediction)
    else:
        unanimous = len({tidy_answer(text) for text in set(people)}) == 1
        process = tidy_answer if unanimous else process_answer
        texts, prediction = [process(text) for text in people], process(prediction)
    count = texts.count(prediction)
    if not count or uses_share(len(texts), formula):
        return count / len(texts)
    # Each person is left out once: by place, since two people may have given equal answers. (The original compares
    # entries, which are all different in VQA v2.)
    return _mean(tuple([count - (text == prediction) for text in texts]))


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
