"""What the readers give: questions, statements and sentences, as columns and not as an object for each row.

Pre-training has nine million sentences and GQA fourteen million questions; see columns.py for how they lie in memory.
Every column may be given as a plain list. Columns are shared between what `take` and `first` give: do not change them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from lxmert.utils.messages import first_few

from .columns import Coded, Texts, row_numbers

Records = TypeVar("Records", bound="_Records")

_BLOCK = 2**16  # values that are looked up together


def label_key(label: Mapping[str, float] | None) -> Hashable:
    """What tells the answers of two rows apart."""
    return None if label is None else tuple(label.items())


@dataclass(frozen=True)
class _Records:
    """Columns of one length."""

    def __post_init__(self) -> None:
        for column in fields(self):
            values = getattr(self, column.name)
            if values is None or column.name == "files":
                continue
            object.__setattr__(self, column.name, _compact(column.name, values))
            if len(values) != len(self):
                raise ValueError(
                    f"{type(self).__name__}: every column must have one value for each of the {len(self):,} texts; "
                    f"{column.name} has {len(values):,}."
                )

    def __len__(self) -> int:
        return len(self.texts)  # type: ignore[attr-defined]

    def take(self: Records, rows: Any) -> Records:
        """Some rows, in their order.

        Args:
            rows: integers ``[K]``, or one boolean per row.

        Raises:
            IndexError: a row that is not there.
        """
        rows = row_numbers(rows, len(self))
        changes = {}
        for column in fields(self):
            values = getattr(self, column.name)
            if values is None or column.name == "files":
                continue
            chosen = values.take(rows) if isinstance(values, Texts | Coded) else [values[row] for row in rows.tolist()]
            changes[column.name] = chosen
        return replace(self, **changes)

    @property
    def image_names(self) -> list[Any]:
        """The names of the different images, or pairs of names."""
        return self.images.values  # type: ignore[attr-defined]

    @property
    def image_numbers(self) -> np.ndarray:
        """For each row the place of its image, or pair, in `image_names`: int32 ``[N]``."""
        return self.images.codes  # type: ignore[attr-defined]

    def first(self: Records, count: int) -> Records:
        """The first `count` rows, or all where there are fewer, for a quick try.

        Raises:
            ValueError: less than one row.
        """
        if count < 1:
            raise ValueError(f"count must be 1 or more; got {count}.")
        return self.take(np.arange(min(count, len(self))))


def _compact(name: str, values: Any) -> Any:
    if isinstance(values, Texts):
        return values
    if isinstance(values, Coded):
        return values.complete()
    if name == "labels" or (name == "ids" and not all(isinstance(value, str) for value in values)):
        return values if isinstance(values, list) else [int(value) for value in values]
    if name in ("texts", "ids"):
        return Texts(values)
    return Coded(values, label_key if name == "answers" else None).complete()


@dataclass(frozen=True)
class Questions(_Records):
    """N questions about images (VQA, GQA).

    Attributes:
        ids: N different question ids, int (VQA) or str (GQA).
        texts: the questions.
        images: the names of their images, as the region store knows them.
        answers: for each question its answers and their scores, each above 0 and up to 1; an empty dict where no
            answer is known. None for a test set.
        question_types: VQA's ("how many"), or GQA's structural type ("query", "verify", ...). None where unknown.
        answer_types: VQA's "yes/no", "number" and "other". None where unknown.
        files: where they were read.
    """

    ids: Sequence[int] | Sequence[str]
    texts: Sequence[str]
    images: Sequence[str]
    answers: Sequence[dict[str, float]] | None = None
    question_types: Sequence[str] | None = None
    answer_types: Sequence[str] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statements(_Records):
    """N statements, each about two images (NLVR2).

    Attributes:
        ids: N different identifiers, such as "dev-850-0-0".
        texts: the statements.
        images: the names of the left and the right image.
        labels: 1 where the statement is true, 0 where it is false. None for a hidden test set.
        files: where they were read.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    images: Sequence[tuple[str, str]]
    labels: Sequence[int] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sentences(_Records):
    """N sentences that fit their images: captions and questions (pre-training).

    Attributes:
        texts: the sentences.
        images: the names of their images.
        sources: where each is from, such as "mscoco" or "vqa".
        answers: a question's answers and their scores; None for a caption, and where no answer is known.
        files: where they were read.
    """

    texts: Sequence[str]
    images: Sequence[str]
    sources: Sequence[str]
    answers: Sequence[dict[str, float] | None]
    files: tuple[str, ...] = ()


def check_apart(train: Questions | Statements | Sentences, valid: Questions | Statements | Sentences) -> None:
    """Refuse to validate on what was trained on: equal ids, or for sentences equal images.

    Raises:
        ValueError: naming how many there are, the first of them, and the files.
    """
    if isinstance(train, Sentences) or isinstance(valid, Sentences):
        name, both = "image", _in_both(train.image_names, valid.image_names)
    else:
        name, both = "id", _in_both(train.ids, valid.ids)
    if both:
        some = first_few(map(str, both), 3)
        raise ValueError(
            f"training and validation must be apart; {len(both):,} {name}s are in both: {some}. "
            f"Training: {', '.join(train.files)}. Validation: {', '.join(valid.files)}. "
            "Leave the files that both have out of one of them."
        )


def _in_both(train: Sequence[Any], valid: Sequence[Any]) -> list[Any]:
    """The values of `valid` that `train` has too, in their order; each of the two has different values."""
    # By hashes, because a set of fourteen million texts would need a gigabyte; values whose hashes are equal are
    # compared themselves.
    known = np.sort(np.fromiter(map(hash, valid), np.int64, len(valid)))
    if not known.size:
        return []
    suspects: set[Any] = set()
    values = iter(train)
    while block := list(islice(values, _BLOCK)):
        hashes = np.fromiter(map(hash, block), np.int64, len(block))
        places = np.minimum(np.searchsorted(known, hashes), known.size - 1)
        suspects.update(block[row] for row in np.flatnonzero(known[places] == hashes).tolist())
    return [value for value in valid if value in suspects] if suspects else []
