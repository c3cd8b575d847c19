"""Some rows of a product of factors in every run of the tests, and all rows in `make test-all`."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from .inputs import MASKS


def pairwise(*factors: Any, strength: int = 2) -> list[tuple[Any, ...]]:
    """Rows of the product in which every two values of two factors meet, in the order of the product.

    With `strength=1`, rows in which every value of every factor occurs. Greedy: each next row covers as much that is
    new as any, and of those that cover as much it is the first.
    """
    numbered = list(itertools.product(*(range(len(list(values))) for values in factors)))

    def covered(row: tuple[int, ...]) -> set[tuple[tuple[int, int], ...]]:
        return set(itertools.combinations(enumerate(row), min(strength, len(row))))

    missing = set().union(*map(covered, numbered))
    chosen = []
    while missing:
        best = max(numbered, key=lambda row: len(covered(row) & missing))
        missing -= covered(best)
        chosen.append(best)
    listed = [list(values) for values in factors]
    return [tuple(values[i] for values, i in zip(listed, row, strict=True)) for row in sorted(chosen)]


def spread(*factors: Any, strength: int = 2) -> list[Any]:
    """The whole product, as parameters of a test: what `pairwise` leaves out is marked as `full`."""
    first = pairwise(*factors, strength=strength)
    return [
        pytest.param(*row, marks=() if row in first else pytest.mark.full)
        for row in itertools.product(*(list(values) for values in factors))
    ]


def under_masks(cases: Iterable[str], *names: str) -> list[Any]:
    """Parameters (case, masks, dtype) of a test; with names of classes, (name, case, masks, dtype).

    All are each case under each mask in float64, which is the sharper one, and each case under one mask in float32.
    Every run has the first case under each mask, the others under one each, in turn, and each mask once in float32; of
    each class after the first, each case under one mask. The others are marked as `full`.
    """
    found, cases, kinds = [], list(cases), list(MASKS)
    for i, name in enumerate(names or [""]):
        for j, case in enumerate(cases):
            turn = kinds[(i + j) % len(kinds)]
            rows = [(masks, "float64", masks == turn or i == j == 0) for masks in kinds]
            rows.append((turn, "float32", i == 0 and j < len(kinds)))
            for masks, dtype, always in rows:
                row = (name, case, masks, dtype) if names else (case, masks, dtype)
                found.append(pytest.param(*row, marks=() if always else pytest.mark.full))
    return found
