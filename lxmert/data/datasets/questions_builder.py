"""The columns of questions while files are read, for VQA and GQA alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxmert.utils.messages import first_few

from .columns import Coded, Texts
from .examples import Questions
from .record_checks import Labels, RecordFile, check_some, check_unique, types_or_none


class QuestionColumns:
    """Columns that grow question by question.

    Args:
        ids: what the ids go into: a list of integers, or texts.
        id_name: what the ids are called in the files.
    """

    def __init__(self, ids: Any, id_name: str) -> None:
        self.ids: Any = ids
        self.id_name = id_name
        self.texts = Texts()
        self.images: Coded[str] = Coded()
        self.labels = Labels()
        self.question_types: Coded[str] = Coded()
        self.answer_types: Coded[str] = Coded()
        self.starts: list[tuple[str, int]] = []
        self._labelled: tuple[bool, str] | None = None

    def begin(self, path: str) -> None:
        """Go on with the next file of questions."""
        self.starts.append((path, len(self.texts)))

    def add_label(self, file: RecordFile, label: Any) -> None:
        """Add the label of the question that `file` is at, None where it has none.

        Raises:
            ValueError: no label, where others have one; or what no label is.
        """
        labelled = label is not None
        if self._labelled is None:
            self._labelled = labelled, file.path
        elif self._labelled[0] != labelled:
            has, had = ("an answer", "none") if labelled else ("no answer", "one")
            raise file.error(
                f"the question has {has}, and those before it ({self._labelled[1]}) have {had}; "
                "read questions with answers and test questions apart"
            )
        if labelled:
            self.labels.column.repeat(self.labels.number(file, label))

    def finished(self, files: Sequence[str]) -> Questions:
        """The questions.

        Raises:
            ValueError: none, ids that are there twice, or answers that are all empty.
        """
        check_some(len(self.texts), files, "questions")
        check_unique(self.ids, self.id_name, self.starts)
        answers = self.labels.column.complete()
        if len(answers) and not any(answers.values):
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


def one_layout(first_characters: dict[str, str], official: str) -> bool:
    """Whether files are the official ones (True) or the original's, which are lists.

    Args:
        first_characters: of every file.
        official: what the official files are, for the message.

    Raises:
        ValueError: some are one and some the other, or neither.
    """
    for path, character in first_characters.items():
        if character not in ("[", "{"):
            wrong = "is not a JSON file" if character else "is empty"
            raise ValueError(f"{path} {wrong}; the original's list of records is wanted, or {official}.")
    lists = [path for path, character in first_characters.items() if character == "["]
    others = [path for path in first_characters if path not in lists]
    if lists and others:
        raise ValueError(
            f"files of one layout can be read together; {first_few(lists, 3)} has the original's list of records, "
            f"{first_few(others, 3)} is of the official layout."
        )
    return not lists
