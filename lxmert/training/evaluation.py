"""Score a model and predict with it: for validation during a run, and for `lxmert evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from lxmert.common.specs import LOSS_NAMES
from lxmert.data.collate.batch import TaskData
from lxmert.data.collate.pairs import TokenizedTexts
from lxmert.inference.bulk import PairModel, check_scores, scored_pairs
from lxmert.utils.progress import tracked

from .settings import Settings
from .steps import label_count
from .tasks import PREDICTING, PredictingTask

_DRAWS = 2  # what a seed is for; `steps` has the others


class ModelRunner(Protocol):
    """A task model in evaluation, in one process or in several.

    Attributes:
        rank: which process this is.
        world: how many processes share the batches.
    """

    rank: int
    world: int

    def scores(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The scores of the classes in evaluation, [B, classes]."""

    def losses(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """The losses of pre-training in evaluation, by name."""

    def gather(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all processes [b, ...], one after the other."""

    def pair_model(self, head: str) -> PairModel | None:
        """The model split into encoders, with one of its heads; None where it cannot be split."""


def predict(
    task: PredictingTask, data: TaskData, runner: ModelRunner, batch_size: int, progress: bool = False
) -> np.ndarray:
    """The predictions of all examples, [N, ...], in their order: the task's `outcome` of the model's scores.

    The processes of a run share the batches; the last ones are padded, so that all have the same number and shape.
    Pairs of a text and an image are answered in bulk.
    """
    model = None if task.pair_head is None else runner.pair_model(task.pair_head)
    if model is not None:
        return _predict_pairs(task, data, runner, model, batch_size, progress)
    count = len(data)
    batch_size = min(batch_size, count)
    random = np.random.default_rng(0)  # the data of these tasks draws nothing
    found = []
    for turn in _progress_bar(-(-count // (batch_size * runner.world)), progress):
        start = (turn * runner.world + runner.rank) * batch_size
        rows = np.arange(start, start + batch_size) % count
        inputs, _ = data.batch(rows, random)
        inputs.pop("labels", None)
        scores = runner.scores(inputs)
        check_scores(scores, rows, lambda row: f"example {row + 1:,} of {count:,}")
        found.append(task.outcome(scores))
    # [turns, B, ...] of each process, one process after the other, to the order of the examples
    own = np.stack(found)
    turns = runner.gather(own).reshape(runner.world, *own.shape).swapaxes(0, 1)
    return turns.reshape(-1, *own.shape[2:])[:count]


def _predict_pairs(
    task: PredictingTask, data: Any, runner: ModelRunner, model: PairModel, batch_size: int, progress: bool
) -> np.ndarray:
    """`predict` for pairs; each process has a contiguous part of them."""
    share = -(-len(data) // runner.world)
    own = np.arange(runner.rank * share, (runner.rank + 1) * share) % len(
        data
    )  # padded, so that all processes have the same number
    texts = TokenizedTexts(data.tokenizer, [data.examples.texts[row] for row in own.tolist()], data.text_length)
    found = np.empty(0)
    pairs = scored_pairs(model, texts, data.regions, np.arange(share), data.places[own], batch_size, progress)
    for rows, scores in pairs:
        kept = task.outcome(scores)
        found = found if len(found) else np.empty((share, *kept.shape[1:]), kept.dtype)
        found[rows] = kept
    return runner.gather(found)[: len(data)]


def evaluate(
    data: Any, runner: ModelRunner, settings: Settings, answers: list[str], progress: bool = False
) -> dict[str, float]:
    """The scores of a model on some examples, by name."""
    task = PREDICTING.get(settings.task)
    if task is None:
        return mean_losses(data, runner, settings.evaluate_batch_size, settings.seed, progress)
    predicted = predict(task, data, runner, settings.evaluate_batch_size, progress)
    return task.scores(data, predicted, answers)


def mean_losses(
    data: TaskData, runner: ModelRunner, batch_size: int, seed: int, progress: bool = False
) -> dict[str, float]:
    """The losses of pre-training over all examples, each averaged over its labels, and `loss`, their sum.

    Masking and mismatches are drawn from the seed, the same each time, so that epochs can be compared.
    """
    count = len(data)
    batch_size = min(batch_size, count)
    totals = {name: np.zeros(2) for name in LOSS_NAMES}
    starts = range(runner.rank * batch_size, count, runner.world * batch_size)
    longest = -(-count // (batch_size * runner.world))
    for turn in _progress_bar(longest, progress):
        idle = turn >= len(starts)  # it runs anyway: processes that share a model wait for each other
        start = starts[0] if idle and len(starts) else 0 if idle else starts[turn]
        rows = np.arange(start, min(start + batch_size, count))
        random = np.random.default_rng([seed, _DRAWS, start])
        inputs, counts = data.batch(rows, random)
        losses = runner.losses(inputs)
        for name in () if idle else counts:
            labels = label_count(name, inputs, slice(None))
            if labels:
                totals[name] += (losses[name] * labels, labels)
    sums = runner.gather(np.stack(list(totals.values()))[None]).sum(axis=0)
    found = {name: float(total / labels) for name, (total, labels) in zip(totals, sums, strict=True) if labels}
    return {"loss": sum(found.values()), **found}


def _progress_bar(total: int, progress: bool) -> Iterable[int]:
    """The batch indices, with how far they are."""
    return tracked(range(total), "evaluation", total, "batches", progress)
