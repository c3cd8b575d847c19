"""How good a model is on examples, and what it answers: for validation during a run, and for `lxmert evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from lxmert.data.collate.batch import TaskData
from lxmert.data.collate.pairs import TokenizedTexts
from lxmert.inference.bulk import PairModel, scored_pairs

from .settings import LOSSES
from .steps import label_count
from .tasks import PredictingTask

_CHANCE = 2  # what a seed is for; `steps` has the others


class Runner(Protocol):
    """A model that can be run, in one process or in several that work together."""

    rank: int
    world: int

    def outputs(self, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        """Some outputs of the model in evaluation, by name, as arrays; `losses` as a dict of numbers."""

    def gather(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all processes [b, ...], one after the other."""

    def pair_model(self, head: str) -> PairModel | None:
        """The model taken apart, with one of its heads; None where its parts cannot be run by themselves."""


def outcomes(
    task: PredictingTask, data: TaskData, runner: Runner, batch_size: int, progress: bool = False
) -> np.ndarray:
    """What `task.outcome` keeps of every example, in their order.

    The processes of a run share the batches; the last ones are filled up, so that all have as many and of one shape.
    Pairs of a text and an image are answered in bulk.
    """
    model = None if task.head is None else runner.pair_model(task.head)
    if model is not None:
        return _outcomes_of_pairs(task, data, runner, model, batch_size, progress)
    count = len(data)
    batch_size = min(batch_size, count)
    random = np.random.default_rng(0)  # the data of these tasks draws nothing
    found = []
    total = -(-count // (batch_size * runner.world))
    for turn in _bar(total, progress):
        start = (turn * runner.world + runner.rank) * batch_size
        rows = np.arange(start, start + batch_size) % count
        inputs, _ = data.batch(rows, random)
        inputs.pop("labels", None)
        found.append(task.outcome(runner.outputs(inputs, task.outputs)))
    # [turns, B, ...] of each process, one process after the other, to the order of the examples
    own = np.stack(found)
    every = runner.gather(own).reshape(runner.world, *own.shape).swapaxes(0, 1)
    return every.reshape(-1, *own.shape[2:])[:count]


def _outcomes_of_pairs(
    task: PredictingTask, data: Any, runner: Runner, model: PairModel, batch_size: int, progress: bool
) -> np.ndarray:
    """The same, where every example is a pair; each process has a part of them, in their order."""
    share = -(-len(data) // runner.world)
    own = np.arange(runner.rank * share, (runner.rank + 1) * share) % len(data)  # filled up, for as many in each
    texts = TokenizedTexts(data.tokenizer, [data.examples.texts[row] for row in own.tolist()], data.text_length)
    found: np.ndarray | None = None
    shown = progress and sys.stderr.isatty()
    pairs = scored_pairs(model, texts, data.regions, np.arange(share), data.places[own], batch_size, shown)
    for rows, scores in pairs:
        some = task.outcome({task.outputs[0]: scores})
        found = np.empty((share, *some.shape[1:]), some.dtype) if found is None else found
        found[rows] = some
    assert found is not None, "examples are never none: readers refuse an empty file"
    return runner.gather(found)[: len(data)]


def mean_losses(data: TaskData, runner: Runner, batch_size: int, seed: int, progress: bool = False) -> dict[str, float]:
    """The losses of pre-training over all examples, each averaged over its labels, and `loss`, their sum.

    Masking and mismatches are drawn from the seed, alike each time, so that epochs can be compared.
    """
    count = len(data)
    batch_size = min(batch_size, count)
    totals = {name: np.zeros(2) for name in LOSSES}
    starts = range(runner.rank * batch_size, count, runner.world * batch_size)
    longest = -(-count // (batch_size * runner.world))
    for turn in _bar(longest, progress):
        idle = turn >= len(starts)  # it runs all the same: processes that share a model wait for each other
        start = starts[0] if idle and len(starts) else 0 if idle else starts[turn]
        rows = np.arange(start, min(start + batch_size, count))
        random = np.random.default_rng([seed, _CHANCE, start])
        inputs, counts = data.batch(rows, random)
        losses = runner.outputs(inputs, ("losses",))["losses"]
        for name in () if idle else counts:
            labels = label_count(name, inputs, slice(None))
            if labels:
                totals[name] += (float(losses[name]) * labels, labels)
    sums = runner.gather(np.stack(list(totals.values()))[None]).sum(axis=0)
    found = {name: float(total / labels) for name, (total, labels) in zip(totals, sums, strict=True) if labels}
    return {"loss": sum(found.values()), **found}


def _bar(total: int, progress: bool) -> Iterable[int]:
    """The numbers of the batches, with a bar where someone watches."""
    shown = progress and sys.stderr.isatty()
    return tqdm(range(total), desc="evaluation", unit="batch", leave=False, disable=not shown, file=sys.stderr)
