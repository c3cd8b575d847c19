"""Relevance as readers see it: shares of the sum, the strongest first, as text. The page's numbers.js does the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lxmert.utils.messages import escaped

WHOLE = 0.9
"""The part of the image from which on a region counts as all of it."""


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


def probability_text(value: float) -> str:
    """A probability in percent, which says 0% and 100% of nothing that is only near them."""
    if 0 < value < 0.0005:
        return "<0.1%"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return f"{value:.0%}" if 0.0995 <= value < 0.995 or value in (0, 1) else f"{value:.1%}"


def region_names(labels: Sequence[str] | None, count: int) -> list[str]:
    """What each of the regions is called: by what it shows, with its number where that is not unique or unknown."""
    given = [escaped(label) for label in labels] if labels is not None else [""] * count
    often = Counter(given)
    return [
        f"region {number}" if not label else f"{label} ({number})" if often[label] > 1 else label
        for number, label in enumerate(given)
    ]


def lit(values: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How much of its colors each region keeps, 0 to 1, [R].

    A region of the whole image says nothing of where in the image something is, so that it lights nothing, unless all
    regions are so large.
    """
    x1, y1, x2, y2 = np.clip(np.asarray(boxes, np.float64), 0, 1).T
    part = (x2 - x1) * (y2 - y1) < WHOLE
    sizes = np.abs(np.asarray(values, np.float64)) * (part if part.any() else 1)
    return strengths(sizes) ** 1.5


def is_special(token: str) -> bool:
    """Whether a token is none of the question: one of [CLS], [SEP], [MASK] and [PAD]."""
    return token in ("[CLS]", "[SEP]", "[MASK]", "[PAD]")
