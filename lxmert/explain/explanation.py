"""What explains the score of a class: the relevance of each word and of each region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .rules.matrices import min_max


@dataclass(frozen=True)
class Explanation:
    """How much each word and each region counts for one score of each example of a batch.

    Dimensions: B examples, L language tokens, R regions. A model of two images per sentence has an axis for them
    after B in all arrays but `answers` and `scores`: [B, 2, L] and so on. All arrays hold float64, 0 at padding.

    Attributes:
        method: one of `METHODS`.
        answers: int64 [B], the class whose score is explained, in the order of the model's scores.
        scores: [B], its score as the model returns it, before the softmax.
        words: [B, L].
        regions: [B, R].
        word_mask, region_mask: [B, L] and [B, R], 1 for what the model read and 0 for padding.
        language_to_language, language_to_vision, vision_to_language, vision_to_vision: [B, L, L], [B, L, R],
            [B, R, L] and [B, R, R]: a row is what is influenced, a column is what it comes from. None for methods that
            have no such matrices. What the position that the score is read from has of itself is set to 0.
    """

    method: str
    answers: np.ndarray
    scores: np.ndarray
    words: np.ndarray
    regions: np.ndarray
    word_mask: np.ndarray
    region_mask: np.ndarray
    language_to_language: np.ndarray | None = None
    language_to_vision: np.ndarray | None = None
    vision_to_language: np.ndarray | None = None
    vision_to_vision: np.ndarray | None = None

    def scaled(self) -> Explanation:
        """The same with words and regions scaled to 0 … 1: their least value becomes 0, their largest 1.

        Padding does not count and stays 0. Values that are all equal become 0. Each image has a scale of its own.
        """
        words, regions = min_max(self.words, self.word_mask), min_max(self.regions, self.region_mask)
        return replace(self, words=words, regions=regions)
