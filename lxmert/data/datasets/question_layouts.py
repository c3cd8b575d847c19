"""The layouts of questions with one image each: which keys a record has, and what they mean.

A layout is recognized by the keys of a file's first record, in any container (record_files.py). The official files of
VQA v2, whose answers are in a file of their own, are joined in vqa_official.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.utils.messages import first_few, shown

from .record_answers import ANSWERS, given_key, people_or_scores
from .record_checks import RecordFile
from .record_files import Container, container_records, open_container

ORIGINAL, VIZWIZ, HATEFUL_MEMES, OWN = "the original LXMERT", "VizWiz", "Hateful Memes", "image, question, answer"
A_OKVQA = "A-OKVQA"
OFFICIAL = "questions and annotations"  # the official files of VQA v2, or lists of them
HATEFUL_CLASSES = ("not hateful", "hateful")
"""The answers of Hateful Memes, for its labels 0 and 1."""

_IDS = ("question_id", "id", "questionId", "pairID")
_IMAGES = ("image", "image_id", "img", "img_id", "image_path", "file_path", "imageId")
_TEXTS = ("question", "statement", "sentence", "text")


class QuestionRecord(NamedTuple):
    """One question.

    Attributes:
        id: int or str; None if the file has no ids.
        people: the answers of several people; None if there are none, or `scores` are known.
        scores: the scores of answers.
        answerable: 1 or 0 (VizWiz), None if unknown.
    """

    id: int | str | None
    text: str
    image: str
    people: list[str] | None = None
    scores: dict[str, Any] | None = None
    question_type: str = ""
    answer_type: str = ""
    answerable: int | None = None


@dataclass(frozen=True)
class QuestionLayout:
    """A layout of records.

    Attributes:
        name: for messages.
        matches: whether a file's first record is of this layout.
        read: reads a record.
        id_key: the key of its ids, for messages.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[RecordFile, dict[str, Any]], QuestionRecord]
    id_key: str | None


def _read_original(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    return QuestionRecord(
        file.question_id(record, "question_id"),
        file.text(record, "sent"),
        file.name(record, "img_id"),
        scores=record.get("label"),  # checked where it is added: most labels are equal to others
        question_type=file.optional_text(record, "question_type"),
        answer_type=file.optional_text(record, "answer_type"),
    )


def _read_vizwiz(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    image = file.name(record, "image")
    answerable = record.get("answerable")
    if answerable is not None and answerable not in (0, 1):
        raise file.error(f"answerable must be 1 or 0; got {shown(answerable)}")
    return QuestionRecord(
        image,
        file.text(record, "question"),
        image,
        *people_or_scores(file, record),
        answer_type=file.optional_text(record, "answer_type"),
        answerable=answerable if answerable is None else int(answerable),
    )


def _read_aokvqa(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    return QuestionRecord(
        file.question_id(record, "question_id"),
        file.text(record, "question"),
        file.name(record, "image_id"),
        *people_or_scores(file, record, ("direct_answers",)),
    )


def _read_snli_ve(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    label = record.get("gold_label")
    known = ("entailment", "neutral", "contradiction", "-")  # "-": the annotators did not agree
    if label is not None and label not in known:
        raise file.error(f"gold_label must be one of {', '.join(known)}; got {shown(label)}")
    return QuestionRecord(
        file.question_id(record, "pairID"),
        file.text(record, "sentence2"),
        file.name(record, "Flickr30K_ID" if "Flickr30K_ID" in record else "Flikr30kID"),
        scores=None if label is None else {} if label == "-" else {label: 1.0},
    )


def _read_hateful_memes(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    label = record.get("label")
    if label is not None and (type(label) is not int or label not in (0, 1)):
        raise file.error(f"label must be 0 or 1; got {shown(label)}")
    return QuestionRecord(
        file.question_id(record, "id"),
        file.text(record, "text"),
        file.name(record, "img"),
        scores=None if label is None else {HATEFUL_CLASSES[label]: 1.0},
    )


def _read_own(file: RecordFile, record: dict[str, Any]) -> QuestionRecord:
    id_key = given_key(record, _IDS)
    return QuestionRecord(
        None if id_key is None else file.question_id(record, id_key),
        file.text(record, _first_key(record, _TEXTS)),
        file.name(record, _first_key(record, _IMAGES)),
        *people_or_scores(file, record),
        question_type=file.optional_text(record, "question_type"),
        answer_type=file.optional_text(record, "answer_type"),
    )


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda record: all(key in record for key in keys)


def is_vizwiz(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of VizWiz, which names questions by their images."""
    named = str(record.get("image", "")).startswith("VizWiz_") and not record.keys() & {*_IDS}
    return "question" in record and "image" in record and ("answerable" in record or named)


def _is_joined(record: Mapping[str, Any]) -> bool:
    """Whether records are questions without answers, or answers without questions, as in VQA-CP's lists."""
    if "question_id" not in record:
        return False
    if "question" in record:
        return type(record.get("image_id")) is int and not record.keys() & {*ANSWERS, "image", "choices"}
    return type(record.get("answers")) is list


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of one's own: it has an image and a text, but not under the original's names."""
    return "sent" not in record and bool(record.keys() & {*_TEXTS}) and bool(record.keys() & {*_IMAGES})


LAYOUTS = (
    QuestionLayout(
        ORIGINAL, lambda record: "sent" in record or _has("img_id", "label")(record), _read_original, "question_id"
    ),
    QuestionLayout("SNLI-VE", _has("sentence2", "pairID"), _read_snli_ve, "pairID"),
    QuestionLayout(HATEFUL_MEMES, _has("id", "img", "text"), _read_hateful_memes, "id"),
    QuestionLayout(VIZWIZ, is_vizwiz, _read_vizwiz, "image"),
    QuestionLayout(A_OKVQA, _has("question_id", "image_id", "question", "choices"), _read_aokvqa, "question_id"),
    QuestionLayout(OFFICIAL, _is_joined, _read_own, "question_id"),
    QuestionLayout(OWN, is_own, _read_own, None),
)


def recognize(path: str) -> tuple[QuestionLayout | None, Container]:
    """The layout of a file and its container; no layout for an empty one.

    Raises:
        OSError: the file cannot be read.
        ValueError: no known layout; the message says what the file has.
    """
    container = open_container(path)
    first = container.first
    by_name = {layout.name: layout for layout in LAYOUTS}
    if container.kind == "object" and container.key != "data":
        return by_name[OFFICIAL], container  # whose reader says what is missing
    if type(first) is not dict:
        if first is None:
            return None, container
        return by_name[ORIGINAL], container  # whose reader says what is expected
    possible = (layout for layout in LAYOUTS if layout.name != OFFICIAL or container.kind == "list")
    layout = next((layout for layout in possible if layout.matches(first)), None)
    if layout is None:
        raise ValueError(
            f"{path} is in no known layout of questions: its first record has the keys {first_few(first) or 'none'}. "
            'A record of your own needs an image and a question, such as {"image": "42.jpg", "question": "is it red?", '
            '"answer": "yes"}; in CSV, columns of these names.'
        )
    return layout, container


def read_records(
    path: str, layout: QuestionLayout, container: Container
) -> Iterator[tuple[RecordFile, QuestionRecord]]:
    """The questions of a file, each with the file for errors about it.

    Raises:
        OSError: the file cannot be read.
        ValueError: a wrong record, which is named.
    """
    file = RecordFile(path, layout.id_key, "line" if container.kind == "lines" else "record")
    for number, value in container_records(path, container):
        yield file, layout.read(file, file.enter(value, number))


def record_of(number: int, record: Any) -> tuple[RecordFile, QuestionRecord]:
    """One record of one's own from Python, as a file's records."""
    file = RecordFile("records", None)
    entered = file.enter(dict(record) if isinstance(record, Mapping) else record, number)
    if not is_own(entered):
        raise file.error(f"an image and a question are expected; the keys are {first_few(map(str, entered)) or 'none'}")
    return file, _read_own(file, entered)


def made_ids(files: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    """Ids for questions without: the name of the file, after its folders where several have it, and the place.

    They do not depend on the order of the files, so that a result file cannot be scored against another one of them.
    """
    paths = [Path(path).absolute().with_suffix("").parts for path in files]
    for path, count in zip(paths, counts, strict=True):
        same = [other for other in paths if other[-1] == path[-1] and other != path]
        depth = next(n for n in range(1, len(path) + 1) if n == len(path) or path[-n:] not in {o[-n:] for o in same})
        name = "/".join(path[-depth:])
        yield from (f"{name}-{number}" for number in range(1, count + 1))


def _first_key(record: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((key for key in keys if key in record), keys[0])
