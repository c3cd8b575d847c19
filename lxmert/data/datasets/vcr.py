"""VCR: the official JSON lines, and the texts that its object tags become."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lxmert.utils.messages import shown

from .columns import CategoricalColumn, TextColumn
from .examples import ChoiceQuestions
from .json_reader import json_lines
from .json_writer import json_text
from .record_checks import Paths, RecordFile, check_not_empty, check_unique, list_files

CHOICES = 4
"""The answers to a question, and the reasons for an answer."""
Tokens = Sequence[str | list[int]]
"""Words and tags."""

# As in the authors' code; one of them is there twice.
_NAMES = (
    *("Casey", "Riley", "Jessie", "Jackie", "Avery", "Jaime", "Peyton", "Kerry"),
    *("Jody", "Kendall", "Peyton", "Skyler", "Frankie", "Pat", "Quinn"),
)
_PERSON = "person"
_ALL_PERSONS = ("everyone", "everyones")


def read_vcr(paths: Paths) -> ChoiceQuestions:
    """Read questions with answers and reasons to choose from.

    Args:
        paths: the official JSON lines (`train.jsonl`), one file or several. Of each line are read `annot_id`, `img_fn`,
            `objects`, `question`, `answer_choices`, `rationale_choices`, and `answer_label` and `rationale_label`,
            which a test set does not have.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong line, which is named; a repeated id; no questions.
    """
    files = list_files(paths)
    texts = {name: TextColumn() for name in ("ids", "texts", "answer_choices", "rationale_choices")}
    images: CategoricalColumn[str] = CategoricalColumn()
    objects: CategoricalColumn[tuple[str, ...]] = CategoricalColumn()
    labels: dict[str, list[int]] = {"answer_label": [], "rationale_label": []}
    starts = []
    for path in files:
        starts.append((path, len(images)))
        file = RecordFile(path, "annot_id", "line")
        for number, value in json_lines(path):
            record = file.enter(value, number)
            classes = _classes(file, record)
            texts["ids"].append(file.text(record, "annot_id", empty=False))
            texts["texts"].append(json_text(_tokens(file, "question", record.get("question"), classes)))
            for name in ("answer_choices", "rationale_choices"):
                texts[name].append(json_text(_choices(file, name, record.get(name), classes)))
            images.append(file.name(record, "img_fn"))
            objects.append(classes)
            for name, known in labels.items():
                _read_label(file, record, name, known, len(images))
    check_not_empty(len(images), files, "questions")
    check_unique(texts["ids"], "annot_id", starts)
    right = [known or None for known in labels.values()]
    return ChoiceQuestions(
        **texts,
        images=images.complete(),
        objects=objects.complete(),
        labels=right[0],
        rationale_labels=right[1],
        files=tuple(files),
    )


def _classes(file: RecordFile, record: dict[str, Any]) -> tuple[str, ...]:
    """The classes of the objects of an image."""
    classes = record.get("objects")
    if type(classes) is not list or not all(type(name) is str and name for name in classes):
        raise file.error(f"objects must be a list of the classes of the objects; got {shown(classes)}")
    return tuple(classes)


def _choices(file: RecordFile, name: str, choices: Any, classes: Sequence[str]) -> list[Tokens]:
    """The texts to choose from."""
    if type(choices) is not list or len(choices) != CHOICES:
        raise file.error(f"{name} must be a list of {CHOICES} texts; got {shown(choices)}")
    return [_tokens(file, f"{name}[{place}]", tokens, classes) for place, tokens in enumerate(choices)]


def _tokens(file: RecordFile, name: str, tokens: Any, classes: Sequence[str]) -> Tokens:
    """The words and tags of a text."""
    if type(tokens) is not list:
        raise file.error(f'{name} must be a list of words and tags, as ["Is", [0], "here"]; got {shown(tokens)}')
    for token in tokens:
        if type(token) is str:
            if not token.isascii():
                file.text({name: token}, name)
            continue
        if type(token) is not list or not all(type(number) is int and 0 <= number < len(classes) for number in token):
            raise file.error(
                f"{name}: a tag must be a list of numbers of objects, below {len(classes)}; got {shown(token)}"
            )
    return tokens


def _read_label(file: RecordFile, record: dict[str, Any], name: str, known: list[int], row: int) -> None:
    """Add the right choice where it is given."""
    label = record.get(name)
    if label is not None:
        if type(label) is not int or not 0 <= label < CHOICES:
            raise file.error(f"{name} must be 0 to {CHOICES - 1}; got {shown(label)}")
        known.append(label)
    if len(known) not in (0, row):
        raise file.error(f"some questions have {name} and some have none; read questions without it separately")


class VcrText(NamedTuple):
    """A text as the model reads it.

    Attributes:
        words: the words; an object is its class, and a person a name.
        mentions: for each object that a tag names, the place of its word and the number of the object.
        names: the word of each object that was named so far, by its number.
    """

    words: list[str]
    mentions: list[tuple[int, int]]
    names: dict[int, str]


def vcr_text(tokens: Tokens, objects: Sequence[str], names: dict[int, str] | None = None) -> VcrText:
    """Write words for the tags of a text.

    As in the original: an object becomes its class, and a person the next of fifteen names that may be a woman's or a
    man's. Whoever was named before keeps the name. But the names start again in an answer, so that two persons, one in
    the question and one in the answer, may have the same.

    Args:
        tokens: words and tags.
        objects: the classes of the objects.
        names: the words of the objects that were named before: of the question, for an answer.
    """
    words: list[str] = []
    mentions: list[tuple[int, int]] = []
    known, persons = dict(names or {}), 0
    for token in tokens:
        if isinstance(token, str):
            words.append(token)
            continue
        for number in token:
            if number not in known:
                is_person = objects[number] == _PERSON
                known[number] = _NAMES[persons % len(_NAMES)] if is_person else objects[number]
                persons += is_person
            mentions.append((len(words), number))
            words.append(known[number])
    return VcrText(words, mentions, known)


def named_objects(questions: ChoiceQuestions, row: int) -> set[int]:
    """The objects that a question, its answers or its reasons name.

    As in the original: "everyone" names all persons, and so does a question without any tag. An image without persons
    has all of its objects then; the original fails.
    """
    objects = questions.objects[row]
    persons = {number for number, name in enumerate(objects) if name == _PERSON}
    found: set[int] = set()
    for token in _every_token(questions, row):
        if not isinstance(token, str):
            found.update(token)
        elif token.lower() in _ALL_PERSONS:
            found |= persons
    return found or persons or set(range(len(objects)))


def _every_token(questions: ChoiceQuestions, row: int) -> Iterator[str | list[int]]:
    yield from json.loads(questions.texts[row])
    for column in (questions.answer_choices, questions.rationale_choices):
        for tokens in json.loads(column[row]):
            yield from tokens
