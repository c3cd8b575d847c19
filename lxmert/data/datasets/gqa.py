"""GQA: the questions of the original LXMERT, and the official ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .columns import Texts
from .examples import Questions
from .json_reader import first_character, json_items, list_items
from .json_writer import write_members, write_records
from .questions_builder import QuestionColumns, one_layout
from .record_checks import Paths, RecordFile, files_of, shown


def read_gqa(paths: Paths) -> Questions:
    """Read questions about images; an answer has the score 1.

    Args:
        paths: one file or several of one layout, told by what they hold:

            - The original's lists of `question_id`, `img_id`, `sent` and, but in test sets, `label` {answer: 1.0}.
            - The official objects, `train_balanced_questions.json` or all parts of `train_all_questions`, in which the
              question lies under its id: `imageId`, `question`, `answer` (none in test sets), and of the rest
              `types["structural"]`, which becomes the question's type.

    Raises:
        OSError: a file cannot be read.
        ValueError: something is wrong with a record, which is named; an id that is there twice; no questions.
    """
    files = files_of(paths)
    official = one_layout({file: first_character(file) for file in files}, "the official object of questions")
    columns = QuestionColumns(Texts(), "question_id")
    for path in files:
        columns.begin(path)
        (_read_official if official else _read_original)(path, columns)
    return columns.finished(files)


def _read_original(path: str, columns: QuestionColumns) -> None:
    file = RecordFile(path, "question_id")
    for number, value in list_items(path):
        record = file.at(value, number)
        columns.ids.append(file.name(record, "question_id"))
        columns.texts.append(file.text(record, "sent"))
        columns.images.append(file.name(record, "img_id"))
        columns.question_types.append(file.optional_text(record, "question_type"))
        columns.add_label(file, record.get("label"))


def _read_official(path: str, columns: QuestionColumns) -> None:
    file = RecordFile(path, "question_id")
    for key, place, value in json_items(path):
        if place is not None:
            raise ValueError(
                f'{path} is no file of GQA questions: under "{key}" is a list, and a question under its id is wanted.'
            )
        record = file.at(value, id=key)
        columns.ids.append(str(key))
        columns.texts.append(file.text(record, "question"))
        columns.images.append(file.name(record, "imageId"))
        types = record.get("types", {})
        if type(types) is not dict:
            raise file.error(f"types must be an object; got {shown(types)}")
        columns.question_types.append(file.optional_text(types, "structural"))
        columns.add_label(file, {file.text(record, "answer"): 1.0} if "answer" in record else None)


def write_gqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the original's list of records; the file is replaced when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    write_records(path, _original_records(questions))


def _original_records(questions: Questions) -> Iterator[dict[str, Any]]:
    for row in range(len(questions)):
        record: dict[str, Any] = {"question_id": str(questions.ids[row]), "img_id": questions.images[row]}
        record["sent"] = questions.texts[row]
        if questions.answers is not None:
            record["label"] = questions.answers[row]
        if questions.question_types is not None:  # beyond the original, which does not keep it
            record["question_type"] = questions.question_types[row]
        yield record


def write_official_gqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the official object of questions under their ids; the file is replaced when it is complete.

    Args:
        path: of the file.
        questions: what to write, with one answer to each or none at all.

    Raises:
        OSError: it cannot be written.
        ValueError: a question with no answer, or with more than one, or with another score than 1.
    """
    write_members(path, _official_members(questions))


def _official_members(questions: Questions) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in range(len(questions)):
        record: dict[str, Any] = {"imageId": questions.images[row], "question": questions.texts[row]}
        if questions.answers is not None:
            label = questions.answers[row]
            if list(label.values()) != [1]:
                raise ValueError(
                    "GQA's official files have one answer to each question; "
                    f"question {questions.ids[row]!r} has {label}."
                )
            record["answer"] = next(iter(label))
        record["isBalanced"] = True
        if questions.question_types is not None:
            record["types"] = {"structural": questions.question_types[row]}
        yield str(questions.ids[row]), record
