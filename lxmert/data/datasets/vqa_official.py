"""The official files of VQA v2: questions, and annotations with ten people's answers to each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lxmert.utils.messages import first_few, shown

from .columns import CategoricalColumn
from .examples import Questions, label_key
from .json_reader import json_items
from .json_writer import write_records
from .question_layouts import OFFICIAL
from .question_records import QuestionsBuilder
from .record_checks import LabelColumn, RecordFile, check_unique
from .soft_scores import ten_answers

# The questions of the test server's quick phase are about images of the whole test set.
_IMAGES_OF = {"test-dev2015": "test2015"}


class _Annotations:
    """The annotations of all files, by the ids of their questions."""

    def __init__(self, builder: QuestionsBuilder) -> None:
        self._score = builder.score
        self.ids: list[Any] = []
        self.image_ids: list[int] = []
        self.labels = LabelColumn()
        self.question_types: CategoricalColumn[str] = CategoricalColumn()
        self.answer_types: CategoricalColumn[str] = CategoricalColumn()
        self.starts: list[tuple[str, int]] = []

    def add(self, file: RecordFile, record: dict[str, Any]) -> None:
        self.ids.append(file.question_id(record, "question_id"))
        self.image_ids.append(file.integer(record, "image_id"))
        self.question_types.append(file.optional_text(record, "question_type"))
        self.answer_types.append(file.optional_text(record, "answer_type"))
        first = file.text(record, "multiple_choice_answer") if "multiple_choice_answer" in record else None
        answers = [file.text(answer, "answer") for answer in read_answers(file, record)]
        self.labels.append(file, self._score(answers, first))


def read_answers(file: RecordFile, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The people's answers in an annotation: objects with a string "answer", ten in VQA."""
    answers = record.get("answers")
    if type(answers) is not list or not answers:
        raise file.error(f"answers must be a list of people's answers, ten in VQA; got {shown(answers)}")
    for answer in answers:
        if type(answer) is not dict or type(answer.get("answer")) is not str:
            raise file.error(f'answers must be a list of objects with a string "answer"; got {shown(answer)}')
    return answers


def read_official(files: Sequence[str], formula: str = "auto") -> Questions:
    """Read files of questions, and the annotations of all or none of them; see `read_vqa`."""
    builder = QuestionsBuilder(text_ids=False, formula=formula, layout=OFFICIAL)
    annotations = _Annotations(builder)
    image_ids: list[int] = []
    for path in files:
        _read_file(path, builder, annotations, image_ids)
    if not builder.starts:
        raise ValueError(f"{', '.join(files)}: annotations alone; pass the file of their questions too.")
    if annotations.starts:
        _join(builder, annotations, image_ids)
    return builder.build(files)


def _read_file(path: str, builder: QuestionsBuilder, annotations: _Annotations, image_ids: list[int]) -> None:
    """Read one file; adds the image ids of its questions to `image_ids`."""
    file = RecordFile(path, "question_id")
    header: dict[str, Any] = {}
    kind = None
    for name, place, value in json_items(path):
        key = name
        if name is None:  # a list, as VQA-CP's files are: of one kind
            key = kind or ("questions" if isinstance(value, dict) and "question" in value else "annotations")
        if key not in ("questions", "annotations"):
            header[str(key)] = value
            continue
        if kind not in (None, key):
            raise ValueError(f"{path} holds both questions and annotations; the official files hold one of them.")
        if kind is None and key == "questions":
            builder.start_file(path)
        elif kind is None:
            annotations.starts.append((path, len(annotations.ids)))
        kind = key
        if place is None:
            if value != []:
                raise ValueError(f"{path}: {key} must be a list; got {shown(value)}.")
            continue
        record = file.enter(value, place + 1)
        if key == "questions":
            builder.ids.append(file.question_id(record, "question_id"))
            builder.texts.append(file.text(record, "question"))
            image_ids.append(file.integer(record, "image_id"))
            if name is None:
                split = file.text(record, "coco_split", empty=False) if "coco_split" in record else ""
                builder.images.append(f"COCO_{split}_{image_ids[-1]:012d}" if split else str(image_ids[-1]))
        else:
            annotations.add(file, record)
    if kind is None:
        raise ValueError(
            f'{path} has neither "questions" nor "annotations"; its keys are {first_few(header) or "none"}. '
            "The official files of VQA v2 have one of them."
        )
    if kind == "questions" and len(builder.images) < len(image_ids):  # the header may come after the questions
        prefix = image_prefix(*(_header_text(path, header, name) for name in ("data_type", "data_subtype")))
        for image_id in image_ids[len(builder.images) :]:
            builder.images.append(f"{prefix}{image_id:012d}")


def _header_text(path: str, header: dict[str, Any], key: str) -> str:
    value = header.get(key)
    if type(value) is not str or not value or set(value) & set("/\\\0"):
        example = "mscoco" if key == "data_type" else "train2014"
        raise ValueError(
            f"{path}: {key} must be a string such as {example!r}, a part of the images' names; "
            f"got {shown(value) if key in header else 'none'}."
        )
    return value


def image_prefix(data_type: str, data_subtype: str) -> str:
    """The start of an official image name; the twelve digits of its `image_id` follow."""
    prefix = "COCO" if data_type == "mscoco" else data_type
    return f"{prefix}_{_IMAGES_OF.get(data_subtype, data_subtype)}_"


def _join(builder: QuestionsBuilder, annotations: _Annotations, image_ids: list[int]) -> None:
    """Add the annotations to their questions; a ValueError if they do not belong together."""
    check_unique(builder.ids, "question_id", builder.starts)
    check_unique(annotations.ids, "question_id", annotations.starts)
    question_files, annotation_files = (
        ", ".join(path for path, _ in starts) for starts in (builder.starts, annotations.starts)
    )
    rows = {number: row for row, number in enumerate(annotations.ids)}
    known = set(builder.ids)
    unannotated = [number for number in builder.ids if number not in rows]
    unasked = [number for number in annotations.ids if number not in known]
    if unannotated or unasked:
        raise ValueError(
            f"{question_files} and {annotation_files} do not belong together: "
            f"{_lacking(unannotated, len(known), 'questions', 'annotation')}, and "
            f"{_lacking(unasked, len(rows), 'annotations', 'question')}. Pass both files of each split."
        )
    order = [rows[number] for number in builder.ids]
    for number, row, image_id in zip(builder.ids, order, image_ids, strict=True):
        if annotations.image_ids[row] != image_id:
            raise ValueError(
                f"question_id {number} is about image_id {image_id} in {question_files}, "
                f"and about {annotations.image_ids[row]} in {annotation_files}."
            )
    builder.labels.column = annotations.labels.column.take(order)
    builder.question_types = annotations.question_types.take(order)
    builder.answer_types = annotations.answer_types.take(order)


def _lacking(ids: list[int], total: int, what: str, lacks: str) -> str:
    first = f" (question_id {first_few(map(str, ids), 3)})" if ids else ""
    return f"{len(ids):,} of {total:,} {what} have no {lacks}{first}"


def write_official_vqa(
    questions_path: str | Path,
    annotations_path: str | Path | None,
    questions: Questions,
    data_type: str,
    data_subtype: str,
) -> None:
    """Write questions as the official files of VQA v2: questions, and annotations with ten answers to each.

    `read_vqa` names their images `{data_type}_{data_subtype}_{image_id:012d}` ("mscoco" becomes COCO).

    Args:
        questions_path: the file of questions.
        annotations_path: the file of annotations; None writes none.
        questions: the scores of each must be those of ten people's answers, such as {answer: 1.0}; the images must
            have official names.
        data_type: the source of the images, such as "mscoco".
        data_subtype: the split, such as "val2014".

    Raises:
        OSError: a file cannot be written.
        ValueError: ids that are not integers, an image of another name, annotations of questions without answers, or
            scores that ten answers cannot have. Nothing is written then.
    """
    check_integer_ids(questions)
    numbers = _image_numbers(questions, image_prefix(data_type, data_subtype))
    header = {"info": {}, "license": {}, "data_type": data_type, "data_subtype": data_subtype}
    if annotations_path is not None:
        if questions.answers is None:
            raise ValueError("annotations_path must be None for questions without answers.")
        answers = _people_answers(questions, questions.answers)
        write_records(annotations_path, _annotation_records(questions, answers, numbers), header, "annotations")
    columns = zip(questions.images, questions.texts, questions.ids, strict=True)
    records = ({"image_id": numbers[image], "question": text, "question_id": i} for image, text, i in columns)
    write_records(questions_path, records, {"task_type": "Open-Ended", **header}, "questions")


def check_integer_ids(questions: Questions) -> None:
    """Raise a ValueError for a question id that is not an integer."""
    wrong = next((number for number in questions.ids if type(number) is not int), None)
    if wrong is not None:
        raise ValueError(f"VQA's question ids are integers; got {shown(wrong)}.")


def _image_numbers(questions: Questions, prefix: str) -> dict[str, int]:
    name = re.compile(re.escape(prefix) + r"(\d{12,})")
    numbers = {}
    for image in questions.image_names:
        match = name.fullmatch(image)
        if match is None:
            raise ValueError(
                f"VQA's official files have numbers for images: use names such as {prefix}{7:012d}; got {shown(image)}."
            )
        numbers[image] = int(match[1])
    return numbers


def _people_answers(questions: Questions, labels: Sequence[dict[str, float]]) -> CategoricalColumn[list[str]]:
    distinct = CategoricalColumn(labels, label_key)
    answers = []
    for code, label in enumerate(distinct.categories):
        try:
            answers.append(ten_answers(label))
        except ValueError as error:
            row = distinct.codes.tolist().index(code)
            raise ValueError(f"question_id {questions.ids[row]}: {error}") from None
    return CategoricalColumn.from_codes(answers, distinct.codes)


def _annotation_records(
    questions: Questions, people: Sequence[list[str]], numbers: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for row, answers in enumerate(people):
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
