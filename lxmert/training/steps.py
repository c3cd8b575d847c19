"""The steps of a run: the examples of each one, their order, and its random draws.

A step depends only on the seed and its own number. So a resumed run continues exactly, any process can make the
batches, and several processes of one run agree without communication.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lxmert.common.specs import SPECS, Loss
from lxmert.common.validation.shared import IGNORED_LABEL
from lxmert.data.collate.batch import TaskData
from lxmert.utils.setting_names import setting

_ORDER, _DRAWS, _DROPOUT = 0, 1, 3  # what a seed is for; `evaluation` has 2


class MicroBatch(NamedTuple):
    """The part of a step that is one forward pass.

    Attributes:
        inputs: by argument name, [b, ...].
        weights: for losses that average over labels, by name: float64 [b], all equal. A loss of this part times its
            weight, averaged over all parts of the step, is the loss of the step.
    """

    inputs: dict[str, Any]
    weights: dict[str, np.ndarray]


class StepValues(NamedTuple):
    """What a step of training measured.

    Attributes:
        losses: by name.
        norm: of the gradients before clipping; None where the backend does not return it.
    """

    losses: dict[str, float]
    norm: float | None


AfterStep = Callable[[int, float, Callable[[], StepValues]], None]
"""Called after a step with its number from 1, its learning rate, and a function that returns its `StepValues`. Reading
waits for the device, and raises ValueError if a number of this step or of one since the last reading is not finite."""


class Steps:
    """The steps of a run over some data.

    As in the original, the examples are shuffled again for each epoch, and an incomplete last batch is dropped.

    Args:
        data: the examples.
        batch_size: examples of a step.
        epochs: passes over the data.
        seed: of the order and of what `data` draws.
        gradient_accumulation_steps: forward passes that a step is split into.

    Raises:
        ValueError: fewer examples than a batch has.
    """

    def __init__(
        self, data: TaskData, batch_size: int, epochs: int, seed: int, gradient_accumulation_steps: int = 1
    ) -> None:
        if len(data) < batch_size:
            raise ValueError(
                f"{setting('batch_size')} must be at most the number of examples, {len(data)}; got {batch_size}. "
                "Pass more examples or a smaller batch_size."
            )
        self.data, self.batch_size, self.seed, self.gradient_accumulation_steps = (
            data,
            batch_size,
            seed,
            gradient_accumulation_steps,
        )
        self.per_epoch = len(data) // batch_size
        self.total = self.per_epoch * epochs
        self._epoch: tuple[int, np.ndarray] | None = None  # the order of the last epoch that was used

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step, counted from 0: int [batch_size]."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.data))
        return self._epoch[1][place * self.batch_size : (place + 1) * self.batch_size]

    def micro_batch(self, step: int, micro: int, world: int = 1, rank: int | None = None) -> MicroBatch:
        """A part of a step.

        Args:
            step: the step, counted from 0.
            micro: which of the `gradient_accumulation_steps` parts.
            world: processes or devices that share each part.
            rank: whose share; None for those of all, one after the other.

        Raises:
            ValueError: a batch that cannot be shared evenly.
        """
        parts = self.gradient_accumulation_steps * world
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size must be divisible by the number of processes times accumulation, {world} x "
                f"{self.gradient_accumulation_steps}; got {self.batch_size}."
            )
        size = self.batch_size // parts
        first, count = micro * world * size, world * size
        if rank is not None:
            first, count = first + rank * size, size
        random = np.random.default_rng([self.seed, _DRAWS, step])
        inputs, counts = self.data.batch(self.rows(step), random, slice(first, first + count))
        weights = {name: np.ones(count) for name in counts}
        for start in range(0, count, size):
            for name, counted in counts.items():
                own = label_count(name, inputs, slice(start, start + size))
                weights[name][start : start + size] = own * parts / counted if counted else 0.0
        return MicroBatch(inputs, weights)


def label_count(loss: str, inputs: dict[str, Any], part: slice) -> int:
    """How many labels a loss averages over in a part of a batch; that of a class with one loss is called `loss`."""
    if loss == "match":
        return len(inputs["input_ids"][part])
    named = SPECS["LxmertForPreTraining"].losses.get(loss, Loss("labels", ""))
    if named.part is None:
        return int((inputs[named.label][part] != IGNORED_LABEL).sum())
    label, _ = inputs[named.label][named.part]
    return int(np.prod(label[part].shape[:2]))


def dropout_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed of the dropout in a step of one process: an integer below 2^32."""
    return int(np.random.SeedSequence([seed, _DROPOUT, step, rank]).generate_state(1)[0])


def check_finite(step: int, losses: Mapping[str, float], norm: float | None = None, failed: bool = False) -> None:
    """Stop a run whose losses or gradients are not finite, before a checkpoint is written.

    Args:
        step: the last step, counted from 1.
        losses: of this step.
        norm: of its gradients.
        failed: whether a number of an earlier step was not finite.

    Raises:
        ValueError: a number is infinite or NaN.
    """
    bad = [f"{name} is {value}" for name, value in losses.items() if not math.isfinite(value)]
    bad += [f"the norm of the gradients is {norm}"] if not bad and norm is not None and not math.isfinite(norm) else []
    bad += ["a loss or the gradients were not finite"] if failed and not bad else []
    if bad:
        raise ValueError(
            f"training stopped at step {step}: {', '.join(bad)}. The checkpoints are from before. Lower "
            "learning_rate, or look for damaged features by `lxmert features check`."
        )
