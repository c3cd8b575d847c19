"""Probabilities of scores."""

from __future__ import annotations

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """The probabilities of scores ``[..., K]`` along the last axis, in float64."""
    powers = scores.astype(np.float64)
    powers -= powers.max(axis=-1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers
