"""Some rows of a product of factors in every run of the tests, and all rows in `make test-all`."""

import itertools
from typing import Any

import pytest


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


def spread(*factors: Any, strength: int = 2, flat: bool = True) -> list[Any]:
    """The whole product, as parameters of a test: what `pairwise` leaves out is marked as `full`."""
    first = pairwise(*factors, strength=strength)
    return [
        pytest.param(*row, marks=() if row in first else pytest.mark.full)
        for row in itertools.product(*(list(values) for values in factors))
    ]
