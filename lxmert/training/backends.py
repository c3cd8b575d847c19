"""The trainer and the evaluator of each backend, imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .evaluation import ModelRunner
from .settings import Settings
from .steps import AfterStep, Steps

MakeModel = Callable[[Any, Any], Any]
"""Makes the model of a run, given its class and its dtype."""
WriteOthers = Callable[[Mapping[str, np.ndarray] | None], Callable[[Path], None]]
"""Takes the state of the optimizer, or None, and returns a function that writes the other files of a checkpoint."""


class Evaluator(ModelRunner, Protocol):
    """Evaluates a task model.

    Attributes:
        is_main: whether this process writes files and messages.
        devices: how many processes or devices share the steps.
        model: the model.
    """

    is_main: bool
    devices: int
    model: Any


class Trainer(Evaluator, Protocol):
    """Trains a task model."""

    def run(
        self,
        steps: Steps,
        first: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
        callbacks: Sequence[Any] = (),
    ) -> None:
        """Train from step `first` on."""

    def save(self, folder: Path, write_others: WriteOthers, optimizer: bool) -> None:
        """Write a checkpoint."""

    def load_optimizer(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore the state of the optimizer, by name."""


def make_evaluator(settings: Settings, make_model: MakeModel) -> Evaluator:
    """Make the evaluator of the backend in the settings."""
    if settings.backend == "pt":
        from lxmert.training.pt.trainer import Evaluator as PtEvaluator

        return PtEvaluator(settings, make_model)
    from lxmert.training.tf.trainer import Evaluator as TfEvaluator

    return TfEvaluator(settings, make_model)


def make_trainer(settings: Settings, make_model: MakeModel, total_steps: int) -> Trainer:
    """Make the trainer of the backend in the settings, for a run of `total_steps`."""
    if settings.backend == "pt":
        from lxmert.training.pt.trainer import Trainer as PtTrainer

        return PtTrainer(settings, make_model, total_steps)
    from lxmert.training.tf.trainer import Trainer as TfTrainer

    return TfTrainer(settings, make_model, total_steps)


def products_of_run(backend: str, recorded: str) -> AbstractContextManager[str]:
    """Compute the float32 products of a run with the library that it has recorded; see `lxmert.training.pt.products`.

    Keras has one library; its name is empty here.
    """
    if backend != "pt":
        return nullcontext("")
    from lxmert.training.pt.products import products_of_run as products

    return products(recorded)


def shutdown_distributed(backend: str) -> None:
    """Leave the group of processes that torchrun started, at the end of a program."""
    if backend == "pt":
        from lxmert.training.pt.engine import shutdown_distributed as shutdown

        shutdown()
