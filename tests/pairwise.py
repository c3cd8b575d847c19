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

    All are, in float64, each case of the first class under each mask; of the classes after it the first case under each
    mask and each case under one; and in float32, which float64 is sharper than, each case of the first class under one.
    Every run has the first case under each mask, the others under one each, in turn, and two in float32; of each class
    after the first, every second case. The others are marked as `full`.
    """
    found, cases, kinds = [], list(cases), list(MASKS)
    for i, name in enumerate(names or [""]):
        for j, case in enumerate(cases):
            turn = kinds[(i + j) % len(kinds)]
            always = {turn} if i == 0 or (i + j) % 2 else set()
            rows = [(masks, "float64", masks in always or i == j == 0) for masks in kinds]
            if i and j:
                rows = [row for row in rows if row[0] == turn]
            if i == 0:
                rows.append((turn, "float32", j < 2))
            for masks, dtype, every_run in rows:
                row = (name, case, masks, dtype) if names else (case, masks, dtype)
                found.append(pytest.param(*row, marks=() if every_run else pytest.mark.full))
    return found
