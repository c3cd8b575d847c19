"""What pages and pictures show: an image, questions about it, answers of each model, and explanations of each answer.

These classes stand between what computes explanations (`questions.py`) and what draws them (`page`, `drawing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class MethodView:
    """One answer by one method.

    Attributes:
        words: [L], the relevance of each token.
        regions: [R], the relevance of each region.
        language_to_vision: [L, R], which regions each token drew on; None for methods without matrices.
    """

    words: np.ndarray
    regions: np.ndarray
    language_to_vision: np.ndarray | None = None


@dataclass(frozen=True)
class AnswerView:
    """An answer, its probability (0 to 1), and why: by the name of the method, in the order of the page's menu."""

    answer: str
    probability: float
    methods: Mapping[str, MethodView]


@dataclass(frozen=True)
class ModelView:
    """What one model says to a question.

    Attributes:
        title: of the model, as "LXMERT".
        tokens: L tokens as the model read them, special ones too.
        answers: its answers, the likeliest first.
        attention: [layers, N, L, R], how much each token attends to each region, by layer and head; None if unknown.
        note: a sentence about the answers; empty for none.
        attention_layers: what the layers of `attention` are called.
    """

    title: str
    tokens: list[str]
    answers: list[AnswerView]
    attention: np.ndarray | None = None
    note: str = ""
    attention_layers: str = "layers"


@dataclass(frozen=True)
class QuestionView:
    """A question, the true answer if it is known, and what each model says."""

    question: str
    models: list[ModelView]
    truth: str | None = None


@dataclass(frozen=True)
class ImageView:
    """An image and the questions about it.

    Attributes:
        name: of the image.
        image: uint8 [H, W, 3].
        boxes: [R, 4], x1, y1, x2, y2 as fractions (0 to 1) of width and height.
        labels: what each region shows, as "red circle"; empty where it is unknown. None of a detector without names.
        questions: the questions.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray
    labels: list[str] | None = None
    questions: list[QuestionView] = field(default_factory=list)
