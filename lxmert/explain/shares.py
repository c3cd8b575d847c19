"""Relevance as readers see it: shares of the sum, the strongest first, as text. The page's numbers.js does the same."""

from __future__ import annotations

import numpy as np


def shares(values: np.ndarray) -> np.ndarray:
    """Each value as a part of the sum of all, [n]; of values with signs, of the sum without them. 0 where all are 0."""
    values = np.asarray(values, np.float64)
    return values / (np.abs(values).sum() or 1)


def strengths(values: np.ndarray) -> np.ndarray:
    """How large each value is without its sign, as a part of the largest, [n]."""
    sizes = np.abs(np.asarray(values, np.float64))
    return sizes / (sizes.max(initial=0) or 1)


def strongest(values: np.ndarray, count: int) -> list[int]:
    """The numbers of the largest values without their signs, the largest first."""
    order: list[int] = np.argsort(-np.abs(np.asarray(values, np.float64)), kind="stable").tolist()
    return order[:count]


def formatted(share: float, signed: bool = False) -> str:
    """A share in percent, such as "12%" or "3.4%"; with a sign if asked."""
    percent = abs(share) * 100
    digits = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}"
    if float(digits) == 0:
        return "0%"
    sign = ("\N{MINUS SIGN}" if share < 0 else "+") if signed else ""
    return f"{sign}{digits}%"


def is_special(token: str) -> bool:
    """Whether a token is none of the question: one of [CLS], [SEP], [MASK] and [PAD]."""
    return token in ("[CLS]", "[SEP]", "[MASK]", "[PAD]")
