"""VQA v2: the questions of the original LXMERT, and the official ones of vqa_official.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .examples import Questions
from .json_reader import first_character, list_items
from .json_writer import write_records
from .questions_builder import QuestionColumns, one_layout
from .record_checks import Paths, RecordFile, files_of
from .vqa_official import check_numbers, read_official


def read_vqa(paths: Paths) -> Questions:
    """Read questions about images, with the scores of their answers.

    Args:
        paths: one file or several of one layout, told by what they hold:

            - The original's lists of `question_id`, `img_id`, `sent` and, but in test sets, `label` {answer: score}.
            - The official files, in any order: questions (`v2_OpenEnded_mscoco_train2014_questions.json`) and the
              annotations of all of them (`v2_mscoco_train2014_annotations.json`), or of none. An image is called
              `COCO_train2014_000000458752` where the `data_type` is "mscoco", as the original's files call it, and else
              `{data_type}_{data_subtype}_{image_id:012d}`. The scores are those of `soft_scores`, with the annotation's
              `multiple_choice_answer` in front.

    Raises:
        OSError: a file cannot be read.
        ValueError: something is wrong with a record, which is named; an id that is there twice; annotations and
            questions that are not of each other; no questions.
    """
    files = files_of(paths)
    official = one_layout({file: first_character(file) for file in files}, "the official questions and annotations")
    return read_official(files) if official else _read_original(files)


def _read_original(files: list[str]) -> Questions:
    columns = QuestionColumns([], "question_id")
    for path in files:
        file = RecordFile(path, "question_id")
        columns.begin(path)
        for number, value in list_items(path):
            record = file.at(value, number)
            columns.ids.append(file.number(record, "question_id"))
            columns.texts.append(file.text(record, "sent"))
            columns.images.append(file.name(record, "img_id"))
            columns.question_types.append(file.optional_text(record, "question_type"))
            columns.answer_types.append(file.optional_text(record, "answer_type"))
            columns.add_label(file, record.get("label"))
    return columns.finished(files)


def write_vqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the original's list of records; the file is replaced when it is complete.

    Raises:
        OSError: it cannot be written.
        ValueError: ids that are no integers.
    """
    check_numbers(questions)
    write_records(path, _original_records(questions))


def _original_records(questions: Questions) -> Iterator[dict[str, Any]]:
    for row in range(len(questions)):
        record: dict[str, Any] = {"question_id": questions.ids[row], "img_id": questions.images[row]}
        record["sent"] = questions.texts[row]
        if questions.answers is not None:
            record["label"] = questions.answers[row]
        for name, column in (("question_type", questions.question_types), ("answer_type", questions.answer_types)):
            if column is not None:
                record[name] = column[row]
        yield record
