"""The rules for two streams that attend to each other.

Dimensions: B rows, L language tokens, R regions. `language` and `vision` are the streams; a row of a matrix is what is
influenced, a column is what it comes from. The numbers of equations are those that the published code states.

Sources: Chefer, Gur and Wolf 2021 (arXiv 2103.15679), and their code for what the others are on this model; roll-out:
Abnar and Zuidema 2020 (arXiv 2005.00928).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from lxmert.explain.gradients import AttentionGradients

from .heads import HeadMeans
from .matrices import Relevance, divided_by_sums, mean_of_rows, outer, with_identity, without_own

# The maps by the names of the model's outputs: which stream attends to which.
LANGUAGE, VISION = "language_attentions", "vision_attentions"
LANGUAGE_TO_VISION, VISION_TO_LANGUAGE = "cross_encoder_attentions", "cross_encoder_vision_attentions"
LANGUAGE_SELF, VISION_SELF = "cross_encoder_language_self_attentions", "cross_encoder_vision_self_attentions"
STREAMS = {
    LANGUAGE: ("language", "language"),
    VISION: ("vision", "vision"),
    LANGUAGE_TO_VISION: ("language", "vision"),
    VISION_TO_LANGUAGE: ("vision", "language"),
    LANGUAGE_SELF: ("language", "language"),
    VISION_SELF: ("vision", "vision"),
}


class _Matrices(NamedTuple):
    """The matrices of a method; None for what it does not compute."""

    language_to_language: np.ndarray  # [B, L, L]
    language_to_vision: np.ndarray  # [B, L, R]
    vision_to_language: np.ndarray | None = None  # [B, R, L]
    vision_to_vision: np.ndarray | None = None  # [B, R, R]


def relevance(
    method: str, found: AttentionGradients, word_mask: np.ndarray, region_mask: np.ndarray, rows: np.ndarray
) -> Relevance:
    """Compute the matrices, and read the rows of the words that the score is computed from."""
    heads = HeadMeans(found, STREAMS, {"language": word_mask, "vision": region_mask})
    matrices = RULES[method](heads)
    words, regions = heads.masks["language"], heads.masks["vision"]
    language = without_own(matrices.language_to_language * outer(words, words), rows)
    to_vision = matrices.language_to_vision * outer(words, regions)
    to_language, vision = matrices.vision_to_language, matrices.vision_to_vision
    return Relevance(
        mean_of_rows(language, rows),
        mean_of_rows(to_vision, rows),
        language,
        to_vision,
        None if to_language is None else to_language * outer(regions, words),
        None if vision is None else vision * outer(regions, regions),
    )


class _Stream:
    """What a stream has gathered so far.

    Attributes:
        own: [B, S, S], from itself, without the identity that it starts from: added to 1, small values would lose
            their digits.
        other: [B, S, C], from the other stream.
    """

    def __init__(self, mask: np.ndarray, other_mask: np.ndarray):
        self.own = np.zeros((*mask.shape, mask.shape[1]))
        self.other = np.zeros((*mask.shape, other_mask.shape[1]))

    def attend_to_itself(self, weights: np.ndarray) -> None:  # [B, S, S]
        """Self-attention: eq. 6 and 7."""
        self.own += weights + weights @ self.own
        self.other += weights @ self.other

    def attending_to(
        self, context: _Stream, weights: np.ndarray, normalize: bool, self_attention: bool
    ) -> tuple[np.ndarray, np.ndarray]:  # [B, S, C] -> [B, S, S], [B, S, C]
        """What `own` and `other` are after cross attention: eq. 11 and 10."""
        gathered = weights
        if self_attention:
            own, theirs = (divided_by_sums(stream.own) if normalize else stream.own for stream in (self, context))
            gathered = with_identity(own).swapaxes(1, 2) @ weights @ with_identity(theirs)
        return self.own + weights @ context.other, self.other + gathered


def _relevancy(heads: HeadMeans, normalize: bool = True, self_attention: bool = True) -> _Matrices:
    """Attention times its gradient, passed on from layer to layer.

    Args:
        heads: the maps.
        normalize: whether rows of what each stream gathered are divided by their sums, eq. 8 and 9.
        self_attention: whether eq. 10 passes on what each stream gathered from itself.
    """
    masks = heads.masks["language"], heads.masks["vision"]
    language, vision = _Stream(*masks), _Stream(*masks[::-1])
    for layer in range(heads.count(LANGUAGE)):
        language.attend_to_itself(heads.relevance(LANGUAGE, layer))
    for layer in range(heads.count(VISION)):
        vision.attend_to_itself(heads.relevance(VISION, layer))
    last = heads.count(LANGUAGE_TO_VISION) - 1
    for layer in range(last + 1):
        to_vision = heads.relevance(LANGUAGE_TO_VISION, layer)
        crossed = language.attending_to(vision, to_vision, normalize, self_attention)
        if layer < last:  # the score reads language alone, which the visual stream does not reach any more
            to_language = heads.relevance(VISION_TO_LANGUAGE, layer)
            vision.own, vision.other = vision.attending_to(language, to_language, normalize, self_attention)
            vision.attend_to_itself(heads.relevance(VISION_SELF, layer))
        language.own, language.other = crossed
        language.attend_to_itself(heads.relevance(LANGUAGE_SELF, layer))
    return _Matrices(with_identity(language.own), language.other, vision.other, with_identity(vision.own))


def _last_layer(mean: Callable[[HeadMeans, str, int], np.ndarray], heads: HeadMeans) -> _Matrices:
    """The maps of the language stream in the last layer."""
    return _Matrices(mean(heads, LANGUAGE_SELF, -1), mean(heads, LANGUAGE_TO_VISION, -1))


def _rollout(heads: HeadMeans) -> _Matrices:
    """The product of the maps of all layers, each with the identity and rows that sum to 1."""

    def product(start: np.ndarray, name: str, layers: int) -> np.ndarray:
        for layer in range(layers):
            start = _mixed(heads, name, layer) @ start
        return start

    language, vision = (with_identity(outer(mask, mask) * 0) for mask in heads.masks.values())
    last = heads.count(LANGUAGE_TO_VISION) - 1
    language = product(product(language, LANGUAGE, heads.count(LANGUAGE)), LANGUAGE_SELF, last)
    vision = product(product(vision, VISION, heads.count(VISION)), VISION_SELF, last)
    to_vision = language.swapaxes(1, 2) @ heads.attention(LANGUAGE_TO_VISION, last) @ vision
    return _Matrices(_mixed(heads, LANGUAGE_SELF, last) @ language, to_vision, None, vision)


def _mixed(heads: HeadMeans, name: str, layer: int) -> np.ndarray:
    """The mean of the maps of a layer with the residual beside it."""
    return divided_by_sums(with_identity(heads.attention(name, layer)))


RULES: Mapping[str, Callable[[HeadMeans], _Matrices]] = {
    "relevancy": _relevancy,
    "relevancy_no_normalization": partial(_relevancy, normalize=False),
    "relevancy_no_self_attention": partial(_relevancy, self_attention=False),
    "raw_attention": partial(_last_layer, HeadMeans.attention),
    "attention_grad_cam": partial(_last_layer, HeadMeans.grad_cam),
    "attention_rollout": _rollout,
}
"""By the names of `METHODS`."""
