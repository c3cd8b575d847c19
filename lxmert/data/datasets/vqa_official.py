"""The official files of VQA v2: questions, and annotations with the answers of ten people to each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lxmert.utils.messages import first_few

from .columns import Coded
from .examples import Questions, label_key
from .json_reader import json_items
from .json_writer import write_records
from .questions_builder import QuestionColumns
from .record_checks import Labels, RecordFile, check_unique, shown
from .soft_scores import soft_scores, ten_answers

# The questions for the test server's quick phase are about images of the whole test set.
_IMAGES_OF = {"test-dev2015": "test2015"}


class _Annotations:
    """The annotations of all files, by the ids of their questions."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.image_ids: list[int] = []
        self.labels = Labels()
        self.question_types: Coded[str] = Coded()
        self.answer_types: Coded[str] = Coded()
        self.starts: list[tuple[str, int]] = []

    def add(self, file: RecordFile, record: dict[str, Any]) -> None:
        self.ids.append(file.number(record, "question_id"))
        self.image_ids.append(file.number(record, "image_id"))
        self.question_types.append(file.optional_text(record, "question_type"))
        self.answer_types.append(file.optional_text(record, "answer_type"))
        first = file.text(record, "multiple_choice_answer") if "multiple_choice_answer" in record else None
        scores = soft_scores(_ten_answers(file, record), first)
        self.labels.column.repeat(self.labels.number(file, scores))


def _ten_answers(file: RecordFile, record: dict[str, Any]) -> list[str]:
    answers = record.get("answers")
    if type(answers) is not list or not answers:
        raise file.error(f"answers must be a list of the answers that people gave, ten in VQA; got {shown(answers)}")
    if not all(type(answer) is dict and type(answer.get("answer")) is str for answer in answers):
        raise file.error('answers must be a list of objects with a text under "answer"')
    return [file.text(answer, "answer") for answer in answers]


def read_official(files: list[str]) -> Questions:
    """Read files of questions, and the annotations of all of them or of none; see `read_vqa`."""
    columns, annotations = QuestionColumns([], "question_id"), _Annotations()
    image_ids: list[int] = []
    for path in files:
        file = RecordFile(path, "question_id")
        header: dict[str, Any] = {}
        kind = None
        for key, place, value in json_items(path):
            if key not in ("questions", "annotations"):
                header[str(key)] = value
                continue
            if kind not in (None, key):
                raise ValueError(f"{path} holds both questions and annotations; the official files hold one of them.")
            if kind is None:
                kind = key
                (columns.starts if key == "questions" else annotations.starts).append(
                    (path, len(columns.texts) if key == "questions" else len(annotations.ids))
                )
            if place is None:
                if value != []:
                    raise ValueError(f"{path}: {key} must be a list; got {shown(value)}.")
                continue
            record = file.at(value, place + 1)
            if key == "questions":
                columns.ids.append(file.number(record, "question_id"))
                columns.texts.append(file.text(record, "question"))
                image_ids.append(file.number(record, "image_id"))
            else:
                annotations.add(file, record)
        if kind is None:
            raise ValueError(
                f'{path} has neither "questions" nor "annotations"; its keys are {first_few(header) or "none"}. '
                "The official files of VQA v2 have one of them."
            )
        if kind == "questions":
            start = image_start(*(_header_text(path, header, name) for name in ("data_type", "data_subtype")))
            for image_id in image_ids[len(columns.images) :]:
                columns.images.append(f"{start}{image_id:012d}")
    if not columns.starts:
        raise ValueError(f"{', '.join(files)}: annotations alone; give the file of their questions too.")
    if annotations.starts:
        _join(columns, annotations, image_ids)
    return columns.finished(files)


def _header_text(path: str, header: dict[str, Any], key: str) -> str:
    value = header.get(key)
    if type(value) is not str or not value or set(value) & set("/\\\0"):
        example = "mscoco" if key == "data_type" else "train2014"
        raise ValueError(
            f"{path}: {key} must be a text such as {example!r}, which the names of the images are made of; "
            f"got {shown(value) if key in header else 'none'}."
        )
    return value


def image_start(data_type: str, data_subtype: str) -> str:
    """What the name of an image of the official files begins with; the twelve digits of its `image_id` follow."""
    prefix = "COCO" if data_type == "mscoco" else data_type
    return f"{prefix}_{_IMAGES_OF.get(data_subtype, data_subtype)}_"


def _join(columns: QuestionColumns, annotations: _Annotations, image_ids: list[int]) -> None:
    """Put the annotations beside their questions.

    Raises:
        ValueError: a question without annotation, an annotation without question, or images that differ.
    """
    check_unique(columns.ids, "question_id", columns.starts)
    check_unique(annotations.ids, "question_id", annotations.starts)
    rows = {number: row for row, number in enumerate(annotations.ids)}
    alone = [str(number) for number in columns.ids if number not in rows]
    known = set(columns.ids)
    unasked = [str(number) for number in annotations.ids if number not in known]
    if alone or unasked:
        raise ValueError(
            f"{_names(columns.starts)} and {_names(annotations.starts)} do not belong together: "
            f"{_lacking(alone, len(known), 'questions', 'annotation')}, and "
            f"{_lacking(unasked, len(rows), 'annotations', 'question')}. Give both files of each split."
        )
    order = []
    for number, image_id in zip(columns.ids, image_ids, strict=True):
        row = rows[number]
        if annotations.image_ids[row] != image_id:
            raise ValueError(
                f"question_id {number} is about image_id {image_id} in {_names(columns.starts)}, "
                f"and about {annotations.image_ids[row]} in {_names(annotations.starts)}."
            )
        order.append(row)
    columns.labels.column = annotations.labels.column.take(order)
    columns.question_types = annotations.question_types.take(order)
    columns.answer_types = annotations.answer_types.take(order)


def _lacking(ids: list[str], of: int, what: str, lacks: str) -> str:
    first = f" (question_id {first_few(ids, 3)})" if ids else ""
    return f"{len(ids):,} of {of:,} {what} have no {lacks}{first}"


def _names(starts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(path for path, _ in starts)


def write_official_vqa(
    questions_path: str | Path,
    annotations_path: str | Path | None,
    questions: Questions,
    data_type: str,
    data_subtype: str,
    image_ids: Mapping[str, int] | None = None,
) -> None:
    """Write questions as the official files of VQA v2: questions, and annotations with ten answers to each.

    A reader names the images `{data_type}_{data_subtype}_{image_id:012d}` ("mscoco" is written COCO).

    Args:
        questions_path: the file of questions.
        annotations_path: the file of annotations; None writes none.
        questions: what to write. The scores of each have to be those of ten people's answers, such as {answer: 1.0}.
        data_type: what the images are of, such as "mscoco".
        data_subtype: the split, such as "val2014".
        image_ids: the number of each image; without it the names have to be those that a reader gives.

    Raises:
        OSError: a file cannot be written.
        ValueError: ids that are no integers, an image without number, annotations of questions without answers, or
            scores that ten answers cannot have. Nothing is written then.
    """
    check_numbers(questions)
    numbers = _image_numbers(questions, image_start(data_type, data_subtype), image_ids)
    header = {"info": {}, "license": {}, "data_type": data_type, "data_subtype": data_subtype}
    if annotations_path is not None:
        if questions.answers is None:
            raise ValueError("annotations_path must be None for questions without answers.")
        answers = _people_answers(questions, questions.answers)
        write_records(annotations_path, _annotation_records(questions, answers, numbers), header, "annotations")
    header = {"task_type": "Open-Ended", **header}
    write_records(questions_path, _question_records(questions, numbers), header, "questions")


def check_numbers(questions: Questions) -> None:
    """Refuse to write question ids that are no integers.

    Raises:
        ValueError: naming the first of them.
    """
    wrong = next((number for number in questions.ids if type(number) is not int), None)
    if wrong is not None:
        raise ValueError(f"VQA's question ids are integers; got {wrong!r}.")


def _image_numbers(questions: Questions, start: str, image_ids: Mapping[str, int] | None) -> dict[str, int]:
    name = re.compile(re.escape(start) + r"(\d{12,})")
    numbers = {}
    for image in questions.image_names:
        if image_ids is not None and image in image_ids:
            numbers[image] = image_ids[image]
        elif image_ids is None and (match := name.fullmatch(image)):
            numbers[image] = int(match[1])
        else:
            wanted = f"names such as {start}{7:012d}" if image_ids is None else "a number for each image in image_ids"
            raise ValueError(f"the official files of VQA have numbers for images; {wanted} are wanted, got {image!r}.")
    return numbers


def _people_answers(questions: Questions, labels: Sequence[dict[str, float]]) -> Coded[list[str]]:
    distinct = Coded(labels, label_key)
    answers = []
    for number, label in enumerate(distinct.values):
        try:
            answers.append(ten_answers(label))
        except ValueError as error:
            row = distinct.codes.tolist().index(number)
            raise ValueError(f"question_id {questions.ids[row]}: {error}") from None
    return Coded.of(answers, distinct.codes)


def _question_records(questions: Questions, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for row in range(len(questions)):
        yield {
            "image_id": numbers[questions.images[row]],
            "question": questions.texts[row],
            "question_id": questions.ids[row],
        }


def _annotation_records(
    questions: Questions, people: Sequence[list[str]], numbers: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for row in range(len(questions)):
        answers = people[row]
        yield {
            "question_type": questions.question_types[row] if questions.question_types else "",
            "multiple_choice_answer": answers[0],
            "answers": [
                {"answer": answer, "answer_confidence": "yes", "answer_id": number}
                for number, answer in enumerate(answers, 1)
            ],
            "image_id": numbers[questions.images[row]],
            "answer_type": questions.answer_types[row] if questions.answer_types else "",
            "question_id": questions.ids[row],
        }
