"""What rules compute, and what the rules of both models do with matrices of relevance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Relevance(NamedTuple):
    """The relevance of words and regions, and the matrices that it was read from; see `Explanation`."""

    words: np.ndarray
    regions: np.ndarray
    language_to_language: np.ndarray | None = None
    language_to_vision: np.ndarray | None = None
    vision_to_language: np.ndarray | None = None
    vision_to_vision: np.ndarray | None = None


def outer(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:  # [B, Q], [B, K] -> [B, Q, K]
    """The mask of a matrix from those of its rows and columns."""
    product: np.ndarray = queries[:, :, None] * keys[:, None, :]
    return product


def min_max(values: np.ndarray, mask: np.ndarray) -> np.ndarray:  # [..., S], [..., S] -> [..., S]
    """Scale each row to 0 … 1 by its least and largest value, padding left out; 0 where all values are equal."""
    real = mask != 0
    least = np.where(real, values, np.inf).min(-1, keepdims=True, initial=np.inf)
    width = np.where(real, values, -np.inf).max(-1, keepdims=True, initial=-np.inf) - least
    varies = real & (width > 0)
    return np.divide(values - np.where(width > 0, least, 0), width, out=np.zeros(values.shape), where=varies)


def divided_by_sums(values: np.ndarray) -> np.ndarray:  # [B, Q, K] -> [B, Q, K]
    """Divide each row by its sum; a row that sums to 0 becomes 0."""
    sums = values.sum(-1, keepdims=True)
    return np.divide(values, sums, out=np.zeros_like(values), where=sums != 0)


def with_identity(values: np.ndarray) -> np.ndarray:  # [B, S, S] -> [B, S, S]
    """A matrix plus the identity."""
    return values + np.eye(values.shape[-1])


def without_own(values: np.ndarray, rows: np.ndarray) -> np.ndarray:  # [B, S, S], [B, n] -> [B, S, S]
    """Set the entries on the diagonal of some rows to 0: what a position has of itself says nothing of the others."""
    cleared = values.copy()
    cleared[np.arange(len(values))[:, None], rows, rows] = 0
    return cleared


def mean_of_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:  # [B, S, K], [B, n] -> [B, K]
    """The mean of some rows."""
    mean: np.ndarray = np.take_along_axis(values, rows[:, :, None], axis=1).mean(1)
    return mean
