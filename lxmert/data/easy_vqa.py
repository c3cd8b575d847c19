"""The easy-VQA data set (Victor Zhou's PyPI package of that name) as arrays, and the recipe that learns it.

5,000 pictures of 64 x 64 pixels, each a circle, a rectangle or a triangle of one of eight colours; 48,248 questions
about them with 13 answers. It is small enough to train a whole model in minutes on a laptop's processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from tqdm import tqdm

from lxmert.data.extra import require
from lxmert.data.regions import RegionBatch, pad_regions, picture_regions

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
class Recipe:
    """How a model that answers easy-VQA is made, for either backend.

    Attributes:
        config: Arguments of `LxmertConfig`; the vocabulary's size is the vocabulary's.
        text_length: L of every batch; the longest question takes it all.
        variants: How many changed versions of each picture are made once, before training.
        varied: The part of the shapes that are shown in a changed version.
        company: The chance that a second shape joins a picture, and then that a third does.
        epochs: How often each question is asked.
        batch_size: B.
        learning_rate: The highest, reached after the warm-up; from there it falls linearly to 0.
        warm_up: The part of all steps in which the learning rate rises linearly from 0.
        weight_decay: AdamW's, for weights of two and more dimensions; none for biases and norms.
        epsilon: AdamW's. PyTorch adds it to the bias-corrected root, Keras to the uncorrected one.
        clip_norm: The norm that all gradients together are scaled down to.
        seed: Of the initial weights and of the order and changes of the pictures.
    """

    config: dict[str, int | float]
    text_length: int = 12
    variants: int = 2
    varied: float = 0.5
    company: float = 0.5
    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    seed: int = 0

    def steps(self, questions: int) -> int:
        """The steps of the whole training with so many questions; a last, incomplete batch of an epoch is left out."""
        return self.epochs * (questions // self.batch_size)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step 0 <= ``step`` < ``steps``."""
        rising = max(1, round(self.warm_up * steps))
        return self.learning_rate * min((step + 1) / rising, (steps - step) / max(1, steps - rising))


RECIPE = Recipe(
    config={
        "hidden_size": 96,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "l_layers": 1,
        "x_layers": 2,
        "r_layers": 1,
        "num_qa_labels": 13,
        "visual_feat_dim": 256,
        "visual_pos_dim": 4,
        "max_position_embeddings": 32,
        # Dropout keeps the model from the exact rules that these questions follow (it stays near 94 %).
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # The usual 0.02 suits widths near 768. At a width of 96 the layers then start so weak that training may stay
        # for many epochs where it answers "not" questions by chance.
        "initializer_range": 0.05,
    }
)
"""Found by measuring; see `Recipe` for what each number does."""


@dataclass(frozen=True)
class EasyVqa:
    """One split: Q questions about P pictures.

    Attributes:
        split: "train" or "test".
        questions: Q texts.
        answers: Q texts, each one of `answer_list`.
        labels: int64 ``[Q]``, the answers as places in `answer_list`.
        picture_index: int64 ``[Q]``, which picture a question is about: a place in ``picture_paths``.
        picture_paths: P paths.
    """

    split: str
    questions: list[str]
    answers: list[str]
    labels: np.ndarray
    picture_index: np.ndarray
    picture_paths: list[str]

    def __len__(self) -> int:
        return len(self.questions)

    def first(self, pictures: int) -> EasyVqa:
        """The questions about the first so many pictures, for a quick try."""
        rows = np.flatnonzero(self.picture_index < pictures)
        return EasyVqa(
            split=self.split,
            questions=[self.questions[row] for row in rows],
            answers=[self.answers[row] for row in rows],
            labels=self.labels[rows],
            picture_index=self.picture_index[rows],
            picture_paths=self.picture_paths[:pictures],
        )

    def regions(self, max_shapes: int = 1, progress: bool = True) -> RegionBatch:
        """The regions of all pictures in order, ``[P, R, ...]``; some seconds of work, shown by a progress bar.

        Args:
            max_shapes: As for `picture_regions`; each picture of the data set holds one shape.
            progress: Whether to show the progress bar, on standard error.
        """
        paths = tqdm(self.picture_paths, desc=f"regions of {self.split} pictures", unit="", disable=not progress)
        return pad_regions([picture_regions(path, max_shapes) for path in paths])


def answer_list() -> list[str]:
    """The 13 answers in the data set's order; a label is a place in it."""
    return list(_package().get_answers())


def load(split: str) -> EasyVqa:
    """Read one split: "train" (38,575 questions on 4,000 pictures) or "test" (9,673 on 1,000).

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
        picture_index=np.array([places[number] for number in numbers], np.int64),
        picture_paths=[paths[number] for number in order],
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
