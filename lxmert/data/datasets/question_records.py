"""What all data sets of questions share: questions built record by record, and the original LXMERT's files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxmert.utils.messages import first_few

from .columns import CategoricalColumn, TextColumn
from .examples import Questions
from .json_reader import first_character
from .json_writer import write_records
from .question_layouts import A_OKVQA, OWN, QuestionRecord, made_ids, read_records, recognize, record_of
from .record_checks import LabelColumn, RecordFile, check_not_empty, check_unique, types_or_none
from .soft_scores import A_OKVQA_FORMULA, check_formula, log_shares, soft_scores, uses_share


class QuestionsBuilder:
    """Columns of questions that grow record by record.

    Args:
        text_ids: whether ids are text in any case (GQA); otherwise integers, unless some are no numbers.
        formula: how the answers of several people are scored; see `soft_scores`.
        layout: for `Questions`.
    """

    def __init__(self, text_ids: bool, formula: str = "auto", layout: str = "") -> None:
        check_formula(formula)
        self.ids: Any = TextColumn() if text_ids else []
        self.texts = TextColumn()
        self.images: CategoricalColumn[str] = CategoricalColumn()
        self.labels = LabelColumn()
        self.question_types: CategoricalColumn[str] = CategoricalColumn()
        self.answer_types: CategoricalColumn[str] = CategoricalColumn()
        self.answerable: list[int | None] = []
        self.starts: list[tuple[str, int]] = []
        self.layout, self._few, self._made = layout, 0, 0
        self._formula = A_OKVQA_FORMULA if (layout, formula) == (A_OKVQA, "auto") else formula
        self._labelled: tuple[bool, str] | None = None

    def start_file(self, path: str) -> None:
        """Continue with the next file of questions."""
        self.starts.append((path, len(self.texts)))

    def add(self, file: RecordFile, record: QuestionRecord) -> None:
        """Add a question; a ValueError for wrong answers, or if only some questions have answers or ids."""
        self._made += record.id is None
        if self._made not in (0, len(self.texts) + 1):
            raise file.error("some questions have an id and some have none; give all of them one, or none")
        if record.id is not None:
            self.ids.append(str(record.id) if isinstance(self.ids, TextColumn) else record.id)
        self.texts.append(record.text)
        self.images.append(record.image)
        self.question_types.append(record.question_type)
        self.answer_types.append(record.answer_type)
        self.answerable.append(record.answerable)
        self.add_label(file, record.scores if record.people is None else self.score(record.people))

    def score(self, people: Sequence[str], first: str | None = None) -> dict[str, float]:
        """The scores of several people's answers; see `soft_scores`."""
        self._few += self._formula == "auto" and uses_share(len(people), "auto")
        return soft_scores(people, first, self._formula)

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
        if self._made:
            starts = [start for _, start in self.starts]
            counts = [end - start for start, end in zip(starts, [*starts[1:], len(self.texts)], strict=True)]
            self.ids = TextColumn(made_ids([path for path, _ in self.starts], counts))
        elif not isinstance(self.ids, TextColumn) and any(type(value) is str for value in self.ids):
            self.ids = TextColumn(map(str, self.ids))
        check_unique(self.ids, "question_id", self.starts)
        answers = self.labels.column.complete()
        if len(answers) and not any(answers.categories):
            raise ValueError(
                f"{', '.join(files)}: not one of the {len(self.texts):,} questions has an answer: every label is empty."
            )
        log_shares(self._few, len(self.texts))
        answerable = self.answerable if self.answerable and None not in self.answerable else None
        return Questions(
            ids=self.ids,
            texts=self.texts,
            images=self.images.complete(),
            answers=answers if len(answers) else None,  # type: ignore[arg-type]
            question_types=types_or_none(self.question_types),
            answer_types=types_or_none(self.answer_types),
            answerable=answerable,  # type: ignore[arg-type]
            files=tuple(files),
            layout=self.layout,
            made_ids=bool(self._made),
        )


def read_questions(files: Sequence[str], text_ids: bool, formula: str = "auto") -> Questions:
    """Read questions of any layout whose records hold their answers (question_layouts.py).

    Raises:
        OSError: a file cannot be read.
        ValueError: files of different layouts; or as for `QuestionsBuilder`.
    """
    recognized = [recognize(path) for path in files]
    names = {layout.name: path for path, (layout, _) in zip(files, recognized, strict=True) if layout is not None}
    if len(names) > 1:
        listed = "; ".join(f"{path} has the layout {name!r}" for name, path in names.items())
        raise ValueError(f"files of one layout can be read together; {listed}.")
    builder = QuestionsBuilder(text_ids, formula, next(iter(names), ""))
    for path, (layout, container) in zip(files, recognized, strict=True):
        builder.start_file(path)
        if layout is not None:
            for file, record in read_records(path, layout, container):
                builder.add(file, record)
    return builder.build(files)


def questions_from_records(records: Iterable[Any], formula: str = "auto", name: str = "records") -> Questions:
    """Questions of one's own from Python.

    Args:
        records: mappings with `image`, `question`, and except in test sets `answer` (a text) or `answers` (a list of
            several people's, or a mapping of answers and their weights from 0 to 1); maybe `question_id`.
        formula: how the answers of several people are scored; see `soft_scores`.
        name: what made ids begin with.

    Raises:
        ValueError: a wrong record, which is named by its number.
    """
    builder = QuestionsBuilder(False, formula, OWN)
    builder.start_file(name)
    for number, record in enumerate(records, 1):
        builder.add(*record_of(number, record))
    return replace(builder.build([name]), files=())


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
