"""What VQA and GQA share: questions built record by record, and the original LXMERT's files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lxmert.utils.messages import first_few

from .columns import CategoricalColumn, TextColumn
from .examples import Questions
from .json_reader import first_character, list_items
from .json_writer import write_records
from .record_checks import LabelColumn, RecordFile, check_not_empty, check_unique, types_or_none


class QuestionsBuilder:
    """Columns of questions that grow record by record; ids are integers (VQA) or strings (GQA)."""

    def __init__(self, integer_ids: bool) -> None:
        self.ids: Any = [] if integer_ids else TextColumn()
        self.texts = TextColumn()
        self.images: CategoricalColumn[str] = CategoricalColumn()
        self.labels = LabelColumn()
        self.question_types: CategoricalColumn[str] = CategoricalColumn()
        self.answer_types: CategoricalColumn[str] = CategoricalColumn()
        self.starts: list[tuple[str, int]] = []
        self._labelled: tuple[bool, str] | None = None

    def start_file(self, path: str) -> None:
        """Continue with the next file of questions."""
        self.starts.append((path, len(self.texts)))

    def add_label(self, file: RecordFile, label: Any) -> None:
        """Add the label of the current record, or None; a ValueError for a wrong one, or if only some have one."""
        labelled = label is not None
        if self._labelled is None:
            self._labelled = labelled, file.path
        elif self._labelled[0] != labelled:
            has, had = ("an answer", "none") if labelled else ("no answer", "one")
            raise file.error(
                f"the question has {has}, and those before it ({self._labelled[1]}) have {had}; "
                "read questions without answers separately"
            )
        if labelled:
            self.labels.append(file, label)

    def build(self, files: Sequence[str]) -> Questions:
        """The questions; a ValueError without any, for repeated ids, or if all answers are empty."""
        check_not_empty(len(self.texts), files, "questions")
        check_unique(self.ids, "question_id", self.starts)
        answers = self.labels.column.complete()
        if len(answers) and not any(answers.categories):
            raise ValueError(
                f"{', '.join(files)}: not one of the {len(self.texts):,} questions has an answer: every label is empty."
            )
        return Questions(
            ids=self.ids,
            texts=self.texts,
            images=self.images.complete(),
            answers=answers if len(answers) else None,  # type: ignore[arg-type]
            question_types=types_or_none(self.question_types),
            answer_types=types_or_none(self.answer_types),
            files=tuple(files),
        )


def is_official(files: Sequence[str], official: str) -> bool:
    """Whether files are official ones (True) or the original LXMERT's, which are lists.

    Raises:
        ValueError: files of both layouts, or of neither; `official` describes the official ones.
    """
    lists: list[str] = []
    others: list[str] = []
    for path in files:
        character = first_character(path)
        if character not in ("[", "{"):
            wrong = "is not a JSON file" if character else "is empty"
            raise ValueError(f"{path} {wrong}; the original's list of records is expected, or {official}.")
        (lists if character == "[" else others).append(path)
    if lists and others:
        raise ValueError(
            f"files of one layout can be read together; {first_few(lists, 3)} has the original's list of records, "
            f"{first_few(others, 3)} has the official layout."
        )
    return not lists


def read_original(files: Sequence[str], integer_ids: bool) -> Questions:
    """Read the original's lists of `question_id`, `img_id`, `sent`, and maybe `label` and types."""
    builder = QuestionsBuilder(integer_ids)
    for path in files:
        file = RecordFile(path, "question_id")
        builder.start_file(path)
        for number, value in list_items(path):
            record = file.enter(value, number)
            builder.ids.append((file.integer if integer_ids else file.name)(record, "question_id"))
            builder.texts.append(file.text(record, "sent"))
            builder.images.append(file.name(record, "img_id"))
            builder.question_types.append(file.optional_text(record, "question_type"))
            builder.answer_types.append(file.optional_text(record, "answer_type"))
            builder.add_label(file, record.get("label"))
    return builder.build(files)


def write_original(path: str | Path, questions: Questions) -> None:
    """Write questions as the original's list of records."""
    # The original does not keep the types.
    optional = {
        "label": questions.answers,
        "question_type": questions.question_types,
        "answer_type": questions.answer_types,
    }
    columns = {name: column for name, column in optional.items() if column is not None}
    write_records(
        path,
        (
            {"question_id": question_id, "img_id": image, "sent": text}
            | {name: column[row] for name, column in columns.items()}
            for row, (question_id, image, text) in enumerate(
                zip(questions.ids, questions.images, questions.texts, strict=True)
            )
        ),
    )
