"""Texts and regions under the argument names of each model, written as its authors wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.visual_bert_inputs import prepare_visual_bert_inputs

from .padding import pad_texts


class ModelInputs(Protocol):
    """How one model reads its examples. Dimensions: B examples, L tokens, R regions."""

    def questions(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """B questions, cut and padded to `length` tokens, and the regions `[B, R, ...]` of their images."""

    def statements(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """B statements, and the regions `[2B, R, ...]` of the two images of each."""


class LxmertInputs:
    """LXMERT reads the text unchanged, and two images along an axis of their own."""

    def questions(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """See `ModelInputs`."""
        return {**pad_texts(tokenizer, texts, length), **regions}

    def statements(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """See `ModelInputs`."""
        pairs = {name: array.reshape(len(texts), 2, *array.shape[1:]) for name, array in regions.items()}
        return {**pad_texts(tokenizer, texts, length), **pairs}


class VisualBertInputs:
    """VisualBERT reads a question with `? [MASK]` at its end, and two images one after the other in one sequence."""

    def questions(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """See `ModelInputs`."""
        features, mask = regions["visual_feats"], regions.get("visual_attention_mask")
        return self._prepared(tokenizer, texts, features, mask, "vqa", length)

    def statements(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], regions: Mapping[str, np.ndarray], length: int
    ) -> dict[str, Any]:
        """See `ModelInputs`."""
        features, mask = regions["visual_feats"], regions.get("visual_attention_mask")
        pair = features[::2], features[1::2]
        masks = None if mask is None else (mask[::2], mask[1::2])
        return self._prepared(tokenizer, texts, pair, masks, "nlvr2", length)

    def _prepared(
        self, tokenizer: LxmertTokenizer, texts: Sequence[str], features: Any, mask: Any, task: str, length: int
    ) -> dict[str, Any]:
        return dict(
            prepare_visual_bert_inputs(
                tokenizer,
                list(texts),
                features,
                task=task,
                visual_attention_mask=mask,
                max_length=length,
                padding="max_length",
            )
        )


MODEL_INPUTS: dict[str, ModelInputs] = {"lxmert": LxmertInputs(), "visual_bert": VisualBertInputs()}
"""By the model type of the configuration."""
