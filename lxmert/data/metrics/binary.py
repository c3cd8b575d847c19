"""Scores of numbers that tell two classes apart, in percent: as scikit-learn defines them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def roc_auc(positive: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> float | None:
    """The area under the ROC curve: how often a positive example has a higher score than a negative one.

    Args:
        positive: the true class of each example.
        scores: of the positive class; equal scores count half.

    Returns:
        Percent; None if there is only one class.
    """
    truth, values = np.asarray(positive, bool), np.asarray(scores, np.float64)
    ones = int(truth.sum())
    if not 0 < ones < len(truth):
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float(100 * (ranks[truth].sum() - ones * (ones + 1) / 2) / (ones * (len(truth) - ones)))


def average_precision(positive: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> float | None:
    """The mean of the precision over the steps of the recall, for each threshold; None without a positive example."""
    truth, values = np.asarray(positive, bool), np.asarray(scores, np.float64)
    ones = int(truth.sum())
    if not ones:
        return None
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))  # equal scores are one threshold
    found = np.cumsum(truth[order])[ends]
    precision = found / (ends + 1)
    return float(100 * np.sum(np.diff(found, prepend=0) / ones * precision))


def f1_score(positive: Sequence[bool] | np.ndarray, predicted: Sequence[bool] | np.ndarray) -> float:
    """The harmonic mean of precision and recall; 0 without a correct positive."""
    truth, chosen = np.asarray(positive, bool), np.asarray(predicted, bool)
    found = int((truth & chosen).sum())
    return 200 * found / int(truth.sum() + chosen.sum()) if found else 0.0
