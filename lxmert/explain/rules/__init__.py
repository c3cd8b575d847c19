"""The rules that make relevance of attention maps and their gradients: NumPy alone, for a whole batch, in float64."""

from __future__ import annotations

import numpy as np

from lxmert.explain.gradients import AttentionGradients

from . import lxmert, visual_bert
from .matrices import Relevance

_MODELS = {"lxmert": lxmert, "visual_bert": visual_bert}


def attention_methods(model_type: str) -> list[str]:
    """The methods that need attention maps of a kind of model: "lxmert" or "visual_bert"."""
    return list(_MODELS[model_type].RULES)


def attention_relevance(
    model_type: str,
    method: str,
    found: AttentionGradients,
    word_mask: np.ndarray,
    region_mask: np.ndarray,
    rows: np.ndarray,
) -> Relevance:
    """The relevance of words and regions by a method that needs attention maps.

    Padding never counts: whatever its maps and gradients are, the relevance is that of the example without it.

    Args:
        model_type: "lxmert" or "visual_bert".
        method: one of `attention_methods`.
        found: maps, and gradients unless the method needs none; B is the number of rows of the maps.
        word_mask: [B, L], 1 for tokens, 0 for padding.
        region_mask: [B, R], likewise for regions.
        rows: int [B, n], the positions whose states the score is computed from: of words in LXMERT, of words and
            regions as one sequence in VisualBERT. Of several the relevance is the mean.
    """
    return _MODELS[model_type].relevance(method, found, word_mask, region_mask, rows)
