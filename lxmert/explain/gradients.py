"""What the rules need of a model: maps and gradients as NumPy arrays, from either backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from lxmert.common.validation.shared import shape_text

Maps = dict[str, tuple[np.ndarray | None, ...]]
"""Attention maps or their gradients: by the name of the model's output, one [B, N, Q, K] per layer."""


class Target(NamedTuple):
    """The score that is explained, one for each example.

    Attributes:
        output: the output that holds it, such as "question_answering_score": [B, C] or, with positions, [B, P, C].
        positions: int64 [B], of outputs that have scores at several positions: that of a word, or the number of a
            phrase.
        answers: int64 [B], the class; None for the one with the highest score.
    """

    output: str
    positions: np.ndarray | None = None
    answers: np.ndarray | None = None


class AttentionGradients(NamedTuple):
    """A batch's attention maps, and the gradients of each example's score by its maps.

    Rows of maps are those of the model's output: of a model with two images or several choices for an example, 2B or
    B · choices.

    Attributes:
        answers: int64 [B], the class of each example.
        scores: [B], its score, float64.
        maps: the softmax weights before dropout, in the model's precision (bfloat16 as float32).
        gradients: the derivative of the score by them; None where a map does not reach the score.
    """

    answers: np.ndarray
    scores: np.ndarray
    maps: Maps
    gradients: Maps


class InputGradients(NamedTuple):
    """A batch's floating-point inputs, and the gradients of each example's score by them.

    Attributes:
        answers, scores: as of `AttentionGradients`.
        inputs: by argument name: `inputs_embeds` (the word vectors of `input_ids`), and features and boxes of regions.
        gradients: the same names and shapes.
    """

    answers: np.ndarray
    scores: np.ndarray
    inputs: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]


def like_maps(maps: Mapping[str, Sequence[Any]], gradients: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
    """The gradients by all maps that are there, in one sequence, in the structure of the maps."""
    rest = iter(gradients)
    return {name: tuple(None if part is None else next(rest) for part in parts) for name, parts in maps.items()}


def check_scores(target: Target, shape: Sequence[int | None]) -> None:
    """Refuse an output that has other axes than the scores that are to be explained.

    Raises:
        ValueError: naming the output, its axes and its shape.
    """
    axes = "[B, C]" if target.positions is None else "[B, P, C]"
    if len(shape) != axes.count(",") + 1:
        raise ValueError(
            f"{target.output} must be {axes}, C scores of which one is explained; got {shape_text(shape)}."
        )


class GradientModel(Protocol):
    """A model in evaluation mode that returns maps and gradients; `lxmert.explain.pt` and `tf` implement it."""

    def attention_gradients(
        self, inputs: Mapping[str, np.ndarray], target: Target, with_gradients: bool = True
    ) -> AttentionGradients:
        """Maps and gradients in one forward and one backward pass of the whole batch; without gradients no backward."""

    def input_gradients(self, inputs: Mapping[str, np.ndarray], target: Target) -> InputGradients:
        """Gradients by the inputs. `inputs` may hold `inputs_embeds` instead of `input_ids`."""
