"""The easy-VQA data set (Victor Zhou's PyPI package of that name) as arrays.

5,000 images of 64 x 64 pixels, each a circle, a rectangle or a triangle of one of eight colours; 48,248 questions
about them with 13 answers. It is small enough to train a whole model in minutes on a laptop's processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from tqdm import tqdm

from lxmert.utils.optional_imports import require
from lxmert.vision.regions import RegionBatch, image_regions, pad_regions

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


@dataclass(frozen=True)
class EasyVqa:
    """One split: Q questions about P images.

    Attributes:
        split: "train" or "test".
        questions: Q texts.
        answers: Q texts, each one of `answer_list`.
        labels: int64 ``[Q]``, the answers as places in `answer_list`.
        image_index: int64 ``[Q]``, which image a question is about: a place in ``image_paths``.
        image_paths: P paths.
    """

    split: str
    questions: list[str]
    answers: list[str]
    labels: np.ndarray
    image_index: np.ndarray
    image_paths: list[str]

    def __len__(self) -> int:
        return len(self.questions)

    def first(self, images: int) -> EasyVqa:
        """The questions about the first so many images, for a quick try."""
        rows = np.flatnonzero(self.image_index < images)
        return EasyVqa(
            split=self.split,
            questions=[self.questions[row] for row in rows],
            answers=[self.answers[row] for row in rows],
            labels=self.labels[rows],
            image_index=self.image_index[rows],
            image_paths=self.image_paths[:images],
        )

    def regions(self, max_shapes: int = 1, progress: bool = True) -> RegionBatch:
        """The regions of all images in order, ``[P, R, ...]``; some seconds of work, shown by a progress bar.

        Args:
            max_shapes: As for `image_regions`; each image of the data set holds one shape.
            progress: Whether to show the progress bar, on standard error.
        """
        paths = tqdm(self.image_paths, desc=f"regions of {self.split} images", unit="", disable=not progress)
        return pad_regions([image_regions(path, max_shapes) for path in paths])


def answer_list() -> list[str]:
    """The 13 answers in the data set's order; a label is a place in it."""
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
        labels=answer_labels(answers),
        image_index=np.array([places[number] for number in numbers], np.int64),
        image_paths=[paths[number] for number in order],
    )


def answer_labels(answers: Sequence[str]) -> np.ndarray:
    """Answers as labels, int64 ``[Q]``.

    Raises:
        ValueError: If one is not in `answer_list`.
    """
    labels = {answer: label for label, answer in enumerate(answer_list())}
    unknown = sorted(set(answers) - set(labels))
    if unknown:
        raise ValueError(f"answers must be among {', '.join(labels)}; got {', '.join(map(repr, unknown[:5]))}.")
    return np.array([labels[answer] for answer in answers], np.int64)


def _package() -> ModuleType:
    return require("easy_vqa", "The easy-VQA data set")
