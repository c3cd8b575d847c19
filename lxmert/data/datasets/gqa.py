"""GQA: the questions of the original LXMERT, and the official ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxmert.utils.messages import shown

from .examples import Questions
from .json_reader import first_character, json_items
from .json_writer import write_members
from .question_records import QuestionsBuilder, read_questions, write_original
from .record_checks import Paths, RecordFile, list_files
from .record_files import open_container


def read_gqa(paths: Paths, formula: str = "auto") -> Questions:
    """Read questions about images; an answer has the score 1.

    Args:
        paths: one file or several of one layout, which is recognized by content:

            - The original's lists of `question_id`, `img_id`, `sent` and, except in test sets, `label` {answer: 1.0}.
            - The official objects of questions by id, `train_balanced_questions.json` or all parts of
              `train_all_questions`, and those of GQA-OOD: `imageId`, `question`, `answer` (none in test sets), and
              `types["structural"]`, which becomes the question's type. Everything else is ignored.
            - One's own; see `read_vqa`.
        formula: how the answers of several people are scored; see `soft_scores`.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong record, which is named; a repeated id; no questions.
    """
    files = list_files(paths)
    if not all(_is_official(path) for path in files):
        return read_questions(files, text_ids=True, formula=formula)
    builder = QuestionsBuilder(text_ids=True, layout="GQA")
    for path in files:
        builder.start_file(path)
        _read_official(path, builder)
    return builder.build(files)


def _is_official(path: str) -> bool:
    """Whether a file is an object of questions by id; otherwise its records are in a list, in lines or in a table."""
    return first_character(path) == "{" and open_container(path).kind == "object"


def _read_official(path: str, builder: QuestionsBuilder) -> None:
    file = RecordFile(path, "question_id")
    for key, place, value in json_items(path):
        if place is not None:
            raise ValueError(
                f"{path} is not a file of GQA questions: {shown(key)} has a list, and a question by its id is expected."
            )
        record = file.enter(value, id=key)
        builder.ids.append(file.text({"question_id": key}, "question_id"))
        builder.texts.append(file.text(record, "question"))
        builder.images.append(file.name(record, "imageId"))
        types = record.get("types", {})
        if type(types) is not dict:
            raise file.error(f"types must be an object; got {shown(types)}")
        builder.question_types.append(file.optional_text(types, "structural"))
        builder.add_label(file, {file.text(record, "answer"): 1.0} if "answer" in record else None)


def write_gqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the original's list of records; the file is replaced when it is complete."""
    write_original(path, questions)


def write_official_gqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the official object of questions by id; the file is replaced when it is complete.

    Raises:
        OSError: it cannot be written.
        ValueError: a question without an answer, with several, or with another score than 1, unless none has answers.
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
                    f"question {shown(questions.ids[row])} has {shown(label)}."
                )
            record["answer"] = next(iter(label))
        record["isBalanced"] = True
        if questions.question_types is not None:
            record["types"] = {"structural": questions.question_types[row]}
        yield str(questions.ids[row]), record
