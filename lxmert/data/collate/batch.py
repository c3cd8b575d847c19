"""The data of each task as batches: dicts with the model's argument names, and how many labels each loss averages over.

Separate from `synthetic.batches`, which cuts batches out of arrays that are in memory already: here features are read
when a batch is made.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np


class Batch(NamedTuple):
    """What a model is trained on or asked in one step, or the part of it that one process reads.

    Attributes:
        inputs: The model's arguments by name; NumPy arrays, ``obj_labels`` a dict of pairs of them.
        counts: By the name of each loss, how many labels it averages over, in the whole batch and not in this part.
    """

    inputs: dict[str, Any]
    counts: dict[str, float]


class TaskData(Protocol):
    """Examples that can be asked for by number, in batches of one shape."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The examples of some numbers.

        Args:
            rows: int ``[B]``, the numbers of the whole batch, of all processes together.
            random: What chance is drawn from, for the whole batch, so that every process decides alike.
            part: Which of the rows this process reads; all of them by default.
        """
        ...
