"""The easy-VQA data set (Victor Zhou's PyPI package of that name).

5,000 images of 64 x 64 pixels, each a circle, a rectangle or a triangle of one of eight colours; 48,248 questions
about them with 13 answers. It is small enough to train a whole model in minutes on a laptop's CPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np

from lxmert.utils.optional_imports import require

SPLITS = ("train", "test")

SHAPES = ("circle", "rectangle", "triangle")

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "teal": (0, 128, 128),
    "brown": (165, 42, 42),
    "yellow": (255, 255, 0),
}


class EasyVqaImage(NamedTuple):
    """One image: its shape and colour, "" where no question shows it, and its questions with their answers."""

    path: str
    shape: str
    colour: str
    questions: list[tuple[str, str]]


@dataclass(frozen=True)
class EasyVqa:
    """One split: Q questions about P images.

    Attributes:
        split: "train" or "test".
        questions: Q texts.
        answers: Q texts, each one of `answer_list`.
        image_index: int64 ``[Q]``, which image a question is about: a place in ``image_paths``.
        image_paths: P paths.
    """

    split: str
    questions: list[str]
    answers: list[str]
    image_index: np.ndarray
    image_paths: list[str]

    def __len__(self) -> int:
        return len(self.questions)

    def first(self, images: int) -> EasyVqa:
        """The questions about the first images, for a quick try."""
        rows = np.flatnonzero(self.image_index < images)
        return EasyVqa(
            split=self.split,
            questions=[self.questions[row] for row in rows],
            answers=[self.answers[row] for row in rows],
            image_index=self.image_index[rows],
            image_paths=self.image_paths[:images],
        )

    def images(self) -> list[EasyVqaImage]:
        """The images in order, each with its questions and what they tell about it."""
        questions: list[list[tuple[str, str]]] = [[] for _ in self.image_paths]
        for question, answer, place in zip(self.questions, self.answers, self.image_index.tolist(), strict=True):
            questions[place].append((question, answer))
        return [EasyVqaImage(path, *_traits(own), own) for path, own in zip(self.image_paths, questions, strict=True)]


def trait_in(text: str) -> str:
    """The colour or shape that a question or an answer names, "" for none; none names two."""
    return next((word for word in re.findall(r"\w+", text.lower()) if word in COLOURS or word in SHAPES), "")


def denies(question: str) -> bool:
    """Whether a question asks if something is not there."""
    return re.search(r"\b(not|no)\b", question.lower()) is not None


def _traits(questions: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The shape and the colour that the questions about an image tell."""
    shape = colour = ""
    for question, answer in questions:
        named = [trait_in(answer)]
        if answer not in ("yes", "no") or (answer == "yes") != denies(question):
            named.append(trait_in(question))  # what a question presumes, or an answer confirms
        for trait in filter(None, named):
            shape, colour = (trait, colour) if trait in SHAPES else (shape, trait)
    return shape, colour


def answer_list() -> list[str]:
    """The 13 answers in the data set's order."""
    return list(_package().get_answers())


def load(split: str) -> EasyVqa:
    """Read one split: "train" (38,575 questions on 4,000 images) or "test" (9,673 on 1,000).

    Raises:
        ValueError: If there is no such split.
        ImportError: If the package easy-vqa is not installed.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(map(repr, SPLITS))}; got {split!r}.")
    package = _package()
    train = split == "train"
    questions, answers, numbers = package.get_train_questions() if train else package.get_test_questions()
    paths = package.get_train_image_paths() if train else package.get_test_image_paths()
    order = sorted(paths)
    places = {number: place for place, number in enumerate(order)}
    return EasyVqa(
        split=split,
        questions=list(questions),
        answers=list(answers),
        image_index=np.array([places[number] for number in numbers], np.int64),
        image_paths=[paths[number] for number in order],
    )


def _package() -> ModuleType:
    return require("easy_vqa", "The easy-VQA data set")
