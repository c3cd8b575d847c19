"""A run of training from its settings: files are opened, a model is begun or a run gone on with, and the steps done.

Which backend does the steps is no concern of this file: each has a `Trainer` with the same methods.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lxmert.common.answers import read_answers
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.region_store import RegionStore, open_regions
from lxmert.data.task_batches import TaskData

from .checkpoints import (
    ANSWERS_NAME,
    BEST,
    LAST,
    LOGS,
    Progress,
    check_fresh,
    last_progress,
    read_optimizer,
    saved_settings,
    write_beside,
)
from .evaluation import mean_losses, outcomes
from .logs import Logs
from .settings import Settings, make_settings
from .start import make_model, open_answers, open_tokenizer
from .steps import Steps
from .tasks import TASKS


@dataclasses.dataclass
class Opened:
    """The files of a run, opened.

    Attributes:
        store: the regions.
        tokenizer: of the model.
        answers: the table of answers, empty where there is none.
    """

    store: RegionStore
    tokenizer: LxmertTokenizer
    answers: list[str]


def train(
    settings: Settings, resume: bool = False, progress: bool = False, callbacks: Sequence[Any] = ()
) -> dict[str, float]:
    """Train as the settings say, and leave checkpoints and logs in the output folder.

    Args:
        settings: see `make_settings`.
        resume: whether to go on with the run in the output folder; it then ends as if it had never been stopped.
        progress: whether to show progress, on standard error.
        callbacks: of Keras, for `fit`, beside those that keep checkpoints and logs.

    Returns:
        The scores of the best checkpoint; empty without validation files.

    Raises:
        FileExistsError: there is a run in the output folder, and it is not to be resumed.
        FileNotFoundError: there is none to be resumed.
        ValueError: files that are damaged or do not fit each other, or a loss that is no number any more.
    """
    if callbacks and settings.backend != "tf":
        raise ValueError('callbacks are for Keras; with backend "pt" there are none.')
    if resume:
        done = last_progress(settings)
    else:
        check_fresh(settings)
        done = Progress()
    task = TASKS[settings.task]
    opened = open_files(settings)
    data = open_data(settings, settings.train, opened, settings.first)
    valid = open_data(settings, settings.valid, opened) if settings.valid else None
    steps = Steps(data, settings.batch_size, settings.epochs, settings.seed, settings.accumulation)
    trainer_module = import_module(f"lxmert.{settings.backend}.trainer")
    output, last = Path(settings.output), Path(settings.output) / LAST
    start = settings if not resume else _from_checkpoint(settings, last)

    def begin(kind: Any, **options: Any) -> Any:
        return make_model(start, kind, opened.store, opened.tokenizer, opened.answers, say, **options)

    def beside(optimizer: Mapping[str, Any] | None) -> Callable[[Path], None]:
        return write_beside(opened.tokenizer, opened.answers or None, settings, done, optimizer)

    def say(text: str) -> None:
        if progress and os.environ.get("RANK", "0") == "0":  # the trainer is not there yet
            print(text, file=sys.stderr)

    trainer = trainer_module.Trainer(settings, begin, steps.total)
    if resume:
        trainer.load_optimizer(read_optimizer(last))
    folder = output / LOGS if trainer.is_main else None
    shown = progress and trainer.is_main
    with Logs(folder, steps.total, steps.per_epoch, done.step, settings.log_every, shown) as logs:

        def after_step(step: int, losses: Mapping[str, float], rate: float, norm: float | None) -> None:
            logs.step(step, losses, rate, norm)
            done.step = step
            # At the end of an epoch the checkpoint follows the evaluation.
            if settings.save_every and step % settings.save_every == 0 and step % steps.per_epoch:
                trainer.save(last, beside, optimizer=True)

        def after_epoch() -> None:
            scores = evaluate(task, valid, trainer, settings, opened.answers, shown) if valid is not None else {}
            done.epochs.append(scores)
            if scores:
                logs.epoch(done.step, scores)
            better = not done.best or not scores or scores[task.score] > done.epochs[done.best - 1][task.score]
            if better:
                done.best = len(done.epochs)
                trainer.save(output / BEST, beside, optimizer=False)
            trainer.save(last, beside, optimizer=True)

        trainer.run(steps, done.step, after_step, after_epoch, callbacks)
    return done.epochs[done.best - 1] if done.best else {}


def _from_checkpoint(settings: Settings, last: Path) -> Settings:
    """The settings with which the model of a checkpoint is loaded as it is."""
    return dataclasses.replace(settings, model=str(last), model_answers=None, model_config={})


def open_files(settings: Settings) -> Opened:
    """The files of a run that its examples need.

    Raises:
        ValueError, OSError: one is missing, or damaged.
    """
    if not settings.features:
        raise ValueError(
            "features must be given: the region stores of the pictures (`lxmert features import` makes them)."
        )
    return Opened(open_regions(list(settings.features)), open_tokenizer(settings), open_answers(settings))


def open_data(settings: Settings, files: Sequence[str], opened: Opened, first: int | None = None) -> TaskData:
    """The examples in some files, as batches; the first so many where they are to be fewer.

    Raises:
        ValueError, OSError: no files; or one that is missing, damaged, or does not fit the region stores.
    """
    if not files:
        raise ValueError(f"train must be given: the files that the task {settings.task} learns from.")
    task = TASKS[settings.task]
    examples = task.read(list(files))
    if first is not None:
        examples = examples.first(first)
    return task.data(examples, opened.store, opened.tokenizer, opened.answers, settings)


def evaluate(
    task: Any, data: Any, runner: Any, settings: Settings, answers: list[str], progress: bool = False
) -> dict[str, float]:
    """The scores of a model on some examples, by name."""
    if settings.task == "pretrain":
        return mean_losses(data, runner, settings.evaluate_batch_size, settings.seed, progress)
    found = outcomes(task, data, runner, settings.evaluate_batch_size, progress)
    return task.scores(data.examples, found, answers)


def open_checkpoint_settings(checkpoint: str | Path, task: str, **changes: Any) -> Settings:
    """The settings of a checkpoint of `train`, for evaluating it on other files.

    Raises:
        FileNotFoundError: it is no such checkpoint.
        ValueError: it was trained for another task.
    """
    saved = saved_settings(checkpoint)
    if saved.get("task") != task:
        raise ValueError(f"{checkpoint} was trained for the task {saved.get('task')}, not for {task}.")
    table = Path(checkpoint) / ANSWERS_NAME
    found = {"model": str(checkpoint), "vocabulary": str(checkpoint), "model_answers": None, "model_config": {}}
    found["answers"] = str(table) if table.is_file() else None
    if table.is_file():
        read_answers(table)
    return make_settings(task, {**saved, **found, **changes})
