"""Score a model and predict with it: for validation during a run, and for `lxmert evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    The processes of a run each predict a part, all of one shape. Pairs of a text and an image are answered in bulk.
    """
    part = Part(runner.rank, runner.world)
    found = predict_part(task, data, runner, batch_size, part, progress)
    return join_parts(data, runner.gather(found[None]))


@dataclass(frozen=True)
class Part:
    """A part of the examples that are to be predicted: its number, from 0, and how many parts there are."""

    number: int
    count: int


def predict_part(
    task: PredictingTask, data: TaskData, runner: ModelRunner, batch_size: int, part: Part, progress: bool = False
) -> np.ndarray:
    """The predictions of one part; `join_parts` puts those of all parts together.

    All parts have the same number and shape of batches, so the last ones are padded.
    """
    model = None if task.pair_head is None else runner.pair_model(task.pair_head)
    if model is not None:
        return _predict_pairs(task, data, model, batch_size, part, progress)
    count = len(data)
    batch_size = min(batch_size, count)
    random = np.random.default_rng(0)  # the data of these tasks draws nothing
    found = []
    turns = -(-count // (batch_size * part.count))
    for turn in _progress_bar(turns, progress):
        start = (part.number * turns + turn) * batch_size
        rows = np.arange(start, start + batch_size) % count
        inputs, _ = data.batch(rows, random)
        inputs.pop("labels", None)
        scores = runner.scores(inputs)
        check_scores(scores, rows, lambda row: f"example {row + 1:,} of {count:,}")
        found.append(task.outcome(scores))
    return np.concatenate(found)


def join_parts(data: TaskData, parts: np.ndarray) -> np.ndarray:
    """The predictions of all examples, of those of all parts, [parts, examples of a part, ...]."""
    return parts.reshape(-1, *parts.shape[2:])[: len(data)]


def _predict_pairs(
    task: PredictingTask, data: Any, model: PairModel, batch_size: int, part: Part, progress: bool
) -> np.ndarray:
    """`predict_part` for pairs of a text and an image."""
    share = -(-len(data) // part.count)
    own = np.arange(part.number * share, (part.number + 1) * share) % len(data)
    texts = TokenizedTexts(data.tokenizer, [data.examples.texts[row] for row in own.tolist()], data.text_length)
    found = np.empty(0)
    pairs = scored_pairs(model, texts, data.regions, np.arange(share), data.places[own], batch_size, progress)
    for rows, scores in pairs:
        kept = task.outcome(scores)
        found = found if len(found) else np.empty((share, *kept.shape[1:]), kept.dtype)
        found[rows] = kept
    return found


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
