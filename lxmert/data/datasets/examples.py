"""Questions, statements, sentences and phrases, in columns instead of an object for each row.

Pre-training has nine million sentences and GQA fourteen million questions; columns.py keeps them small. Every column
may be given as a plain list. `take` and `first` share columns with the original: do not change them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from lxmert.utils.messages import first_few

from .columns import CategoricalColumn, TextColumn, row_numbers

ExamplesType = TypeVar("ExamplesType", bound="_Examples")

_BLOCK = 2**16  # values looked up at a time
_ABOUT_FILES = ("files", "layout", "made_ids")  # fields that are no columns


def label_key(label: Mapping[str, float] | None) -> Hashable:
    """A hashable form of a row's answers."""
    return None if label is None else tuple(label.items())


@dataclass(frozen=True)
class _Examples:
    """Columns of one length; the subclasses declare them."""

    def __post_init__(self) -> None:
        for name, values in self._columns():
            object.__setattr__(self, name, _compact(name, values))
            if len(values) != len(self):
                raise ValueError(
                    f"{type(self).__name__}: every column must have one value for each of the {len(self):,} texts; "
                    f"{name} has {len(values):,}."
                )

    def _columns(self) -> Iterator[tuple[str, Any]]:
        for column in fields(self):
            values = getattr(self, column.name)
            if values is not None and column.name not in _ABOUT_FILES:
                yield column.name, values

    def __len__(self) -> int:
        return len(self.texts)  # type: ignore[attr-defined]

    def take(self: ExamplesType, rows: ArrayLike) -> ExamplesType:
        """Some rows, in their order: integers ``[K]``, or one boolean per row; an IndexError for a missing row."""
        numbers = row_numbers(rows, len(self))
        return replace(
            self,
            **{
                name: values.take(numbers)
                if isinstance(values, TextColumn | CategoricalColumn)
                else [values[row] for row in numbers.tolist()]
                for name, values in self._columns()
            },
        )

    def first(self: ExamplesType, count: int) -> ExamplesType:
        """The first `count` rows, at least one, or all if there are fewer."""
        if count < 1:
            raise ValueError(f"count must be 1 or more; got {count}.")
        return self.take(np.arange(min(count, len(self))))

    @property
    def is_answered(self) -> bool:
        """Whether the right answers are known: they are not for a test set."""
        return all(getattr(self, name, ()) is not None for name in ("answers", "labels"))

    @property
    def image_names(self) -> list[Any]:
        """The names of the distinct images, or pairs of names."""
        return self.images.categories  # type: ignore[attr-defined]

    @property
    def image_numbers(self) -> np.ndarray:
        """For each row the index of its image, or pair, in `image_names`: int32 ``[N]``."""
        return self.images.codes  # type: ignore[attr-defined]


def _compact(name: str, values: Any) -> Any:
    if isinstance(values, TextColumn):
        return values
    if isinstance(values, CategoricalColumn):
        return values.complete()
    if name in ("labels", "answerable") or (name == "ids" and not all(isinstance(value, str) for value in values)):
        return values if isinstance(values, list) else [int(value) for value in values]
    if name in ("texts", "ids", "answer_choices", "rationale_choices"):
        return TextColumn(values)
    return CategoricalColumn(values, label_key if name == "answers" else None).complete()


def categorical(column: Sequence[Any]) -> CategoricalColumn[Any]:
    """A column of examples that is kept as categories, typed as one."""
    return cast("CategoricalColumn[Any]", column)


@dataclass(frozen=True)
class Questions(_Examples):
    """N questions about images (VQA, GQA).

    Attributes:
        ids: N different question ids: all int (as in VQA), or all str (as in GQA).
        texts: the questions.
        images: the names of their images, as in the region store.
        answers: for each question its answers with their scores, above 0 and up to 1; an empty dict if no answer is
            known. None for a test set.
        question_types: VQA's ("how many"), or GQA's structural type ("query", "verify", ...). None if unknown.
        answer_types: VQA's "yes/no", "number" and "other". None if unknown.
        answerable: whether the question can be answered, 1 or 0 (VizWiz). None if unknown.
        files: where they were read.
        layout: their layout, such as "VizWiz"; "" if unknown.
        made_ids: whether the files have no ids: these are made of the file's name and the place in it.
    """

    ids: Sequence[int] | Sequence[str]
    texts: Sequence[str]
    images: Sequence[str]
    answers: Sequence[dict[str, float]] | None = None
    question_types: Sequence[str] | None = None
    answer_types: Sequence[str] | None = None
    answerable: Sequence[int] | None = None
    files: tuple[str, ...] = ()
    layout: str = ""
    made_ids: bool = False


@dataclass(frozen=True)
class Statements(_Examples):
    """N statements, each about two images (NLVR2).

    Attributes:
        ids: N different identifiers, such as "dev-850-0-0".
        texts: the statements.
        images: the names of the left and the right image.
        labels: 1 for a true statement, 0 for a false one. None for a hidden test set.
        files: where they were read.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    images: Sequence[tuple[str, str]]
    labels: Sequence[int] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sentences(_Examples):
    """N sentences that match their images: captions and questions (pre-training).

    Attributes:
        texts: the sentences.
        images: the names of their images.
        sources: the data set of each, such as "mscoco" or "vqa".
        answers: a question's answers with their scores; None for a caption, and if no answer is known.
        files: where they were read.
    """

    texts: Sequence[str]
    images: Sequence[str]
    sources: Sequence[str]
    answers: Sequence[dict[str, float] | None]
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChoiceQuestions(_Examples):
    """N questions about images, each with four answers to choose from, and four reasons for the right one (VCR).

    A text is a list of words and of tags; a tag is a list of numbers of objects: `["Why", "is", [0, 2], "here", "?"]`.

    Attributes:
        ids: N different identifiers, such as "val-0".
        texts: the questions, each as the JSON text of a list of words and tags.
        answer_choices: the four answers to each, as the JSON text of a list of such lists.
        rationale_choices: the four reasons for the right answer to each, in the same way.
        images: the names of their images.
        objects: the classes of the objects in each image, which tags count from 0.
        labels: the right answer to each, 0 to 3. None for a test set.
        rationale_labels: the right reason. None for a test set.
        files: where they were read.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    answer_choices: Sequence[str]
    rationale_choices: Sequence[str]
    images: Sequence[str]
    objects: Sequence[tuple[str, ...]]
    labels: Sequence[int] | None = None
    rationale_labels: Sequence[int] | None = None
    files: tuple[str, ...] = ()


class Phrase(NamedTuple):
    """A phrase of a sentence and what it names.

    Attributes:
        entity: the id of what it names in the image.
        types: the kinds of it: "people", "clothing", "scene", ...
        first: its first word in the sentence, from 0.
        last: its last word.
        boxes: those of the entity, each x1, y1, x2, y2 in pixels from 0.
    """

    entity: str
    types: tuple[str, ...]
    first: int
    last: int
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class PhraseSentences(_Examples):
    """N sentences about images, with the boxes of what their phrases name (Flickr30K Entities).

    Attributes:
        ids: N different identifiers, such as "1000092795#0".
        texts: the sentences, words with one space between them.
        images: the names of their images.
        phrases: the phrases of each sentence that have boxes, at least one.
        files: where they were read.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    images: Sequence[str]
    phrases: Sequence[tuple[Phrase, ...]]
    files: tuple[str, ...] = ()


Examples = Questions | Statements | Sentences | ChoiceQuestions | PhraseSentences


def check_disjoint(train: Examples, valid: Examples) -> None:
    """Refuse validation data that is also training data: equal ids, or equal images for sentences.

    Raises:
        ValueError: the message has their number, the first of them, and the files.
    """
    if isinstance(train, Sentences) or isinstance(valid, Sentences):
        name, both = "image", _common_values(train.image_names, valid.image_names)
    else:
        name, both = "id", _common_values(train.ids, valid.ids)
        if isinstance(train, Questions) and isinstance(valid, Questions) and train.made_ids and valid.made_ids:
            both = _same_questions(both, train, valid)
    if both:
        some = first_few(map(str, both), 3)
        raise ValueError(
            f"training and validation must be disjoint; {len(both):,} {name}s are in both: {some}. "
            f"Training: {', '.join(train.files)}. Validation: {', '.join(valid.files)}. "
            "Leave the files that both have out of one of them."
        )


def _same_questions(ids: Sequence[Any], train: Questions, valid: Questions) -> list[Any]:
    """Those of some made ids that stand for one question: files of one name in two folders have equal ids."""
    wanted = set(ids)

    def by_id(questions: Questions) -> dict[Any, tuple[str, str]]:
        rows = zip(questions.ids, questions.texts, questions.images, strict=True)
        return {name: (text, image) for name, text, image in rows if name in wanted}

    first, second = by_id(train), by_id(valid)
    return [name for name in ids if first[name] == second[name]]


def _common_values(train: Sequence[Any], valid: Sequence[Any]) -> list[Any]:
    """The values of `valid` that `train` has too, in their order; both have distinct values."""
    # By hashes, because a set of fourteen million texts would need a gigabyte. Values with equal hashes are compared.
    known = np.sort(np.fromiter(map(hash, valid), np.int64, len(valid)))
    if not known.size:
        return []
    candidates: set[Any] = set()
    values = iter(train)
    while block := list(islice(values, _BLOCK)):
        hashes = np.fromiter(map(hash, block), np.int64, len(block))
        places = np.minimum(np.searchsorted(known, hashes), known.size - 1)
        candidates.update(block[row] for row in np.flatnonzero(known[places] == hashes).tolist())
    return [value for value in valid if value in candidates] if candidates else []
