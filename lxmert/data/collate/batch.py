"""What the batches of every task have in common: dicts with the model's argument names, and the labels of each loss."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np


class Batch(NamedTuple):
    """What a model gets in one step, or the part of it that one process reads.

    Attributes:
        inputs: the model's arguments by name; NumPy arrays, ``obj_labels`` a dict of pairs of them.
        counts: by loss name, how many labels it averages over, in the whole batch and not in this part.
    """

    inputs: dict[str, Any]
    counts: dict[str, float]


class TaskData(Protocol):
    """Examples with numbers, in batches of one shape."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The examples `rows[part]`.

        Args:
            rows: int ``[B]``, the numbers of the whole batch, of all processes together.
            random: random numbers for the whole batch, so that every process draws the same.
            part: which of the rows this process reads.
        """
        ...
