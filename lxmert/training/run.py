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

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.batch import TaskData
from lxmert.data.datasets import check_apart
from lxmert.data.features import RegionStore, open_regions
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

from .checkpoints import (
    ANSWERS_NAME,
    BEST,
    LAST,
    LOGS,
    Progress,
    check_contents,
    check_fresh,
    contents,
    last_progress,
    read_optimizer,
    saved_settings,
    write_beside,
)
from .evaluation import mean_losses, outcomes
from .logs import Logs
from .settings import Settings, make_settings
from .start import load_model, make_model, open_answers, open_tokenizer
from .steps import Steps
from .tasks import PREDICTING, TASKS, Task


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
        resume: whether to go on with the run in the output folder; it then ends as if it had never been stopped, if
            as many processes or devices go on with it. Another number may; roundings and dropout are others then.
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

    def say(text: str) -> None:
        if progress and os.environ.get("RANK", "0") == "0":  # the trainer is not there yet
            print(text, file=sys.stderr)

    task = TASKS[settings.task]
    opened = open_files(settings)
    data, valid = _open_splits(settings, opened)
    if getattr(data, "outside", 0):
        say(f"{data.outside:,} of {len(data):,} examples have answers, but none that is in the table")  # type: ignore[attr-defined]
    now = contents(settings, opened.tokenizer.get_vocab(), opened.answers)
    if resume:
        check_contents(done.contents, now, settings.output)
    done.examples, done.contents = len(data), now
    output, last = Path(settings.output), Path(settings.output) / LAST
    steps = Steps(data, settings.batch_size, settings.epochs, settings.seed, settings.gradient_accumulation_steps)
    if done.step == steps.total:  # its last checkpoint was written after its last evaluation
        say(
            f"the run in {settings.output} is finished: {done.step:,} steps, {len(done.epochs)} epochs. To train on, "
            f"begin another one with model = {output / BEST}"
        )
        return done.epochs[done.best - 1]
    trainer_module = import_module(f"lxmert.training.{settings.backend}.trainer")

    def begin(kind: Any, **options: Any) -> Any:
        if resume:
            return load_model(settings, str(last), kind, opened.store, opened.tokenizer, opened.answers, **options)
        return make_model(settings, kind, opened.store, opened.tokenizer, opened.answers, say, **options)

    def beside(optimizer: Mapping[str, Any] | None) -> Callable[[Path], None]:
        return write_beside(opened.tokenizer, opened.answers or None, settings, done, optimizer)

    trainer = trainer_module.Trainer(settings, begin, steps.total)
    if resume:
        trainer.load_optimizer(read_optimizer(last))
        if done.devices not in (0, trainer.devices):
            say(
                f"the run was shared by {done.devices} processes or devices, and goes on with {trainer.devices}: sums "
                "round otherwise, and dropout draws otherwise, than if it had never been stopped"
            )
    done.devices = trainer.devices
    folder = output / LOGS if trainer.is_main else None
    shown = progress and trainer.is_main
    with Logs(folder, steps.total, steps.per_epoch, done.step, settings.log_every, shown) as logs:
        if not resume:
            # A run that is killed before its first checkpoint can be resumed too; and a disk that cannot hold one is
            # found now, not after an epoch.
            trainer.save(last, beside, optimizer=True)

        def after_step(step: int, losses: Mapping[str, float], rate: float, norm: float | None) -> None:
            logs.step(step, losses, rate, norm)
            done.step = step
            # At the end of an epoch the checkpoint follows the evaluation.
            if step % settings.save_every == 0 and step % steps.per_epoch:
                trainer.save(last, beside, optimizer=True)

        def after_epoch() -> None:
            scores = evaluate(valid, trainer, settings, opened.answers, shown) if valid is not None else {}
            done.epochs.append(scores)
            if scores:
                logs.epoch(done.step, scores)
            if not done.best or not scores or _better(task, scores, done.epochs[done.best - 1]):
                done.best = len(done.epochs)
                trainer.save(output / BEST, beside, optimizer=False)
            trainer.save(last, beside, optimizer=True)

        trainer.run(steps, done.step, after_step, after_epoch, callbacks)
    return done.epochs[done.best - 1] if done.best else {}


def _better(task: Task, scores: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether the score that chooses the best checkpoint is better than the best so far."""
    now, before = scores[task.score], best[task.score]
    return now < before if task.lower_is_better else now > before


def shutdown_distributed(backend: str) -> None:
    """Part from the other processes that torchrun started, at the end of a program: nothing is run in it afterwards."""
    import_module(f"lxmert.training.{backend}.trainer").shutdown_distributed()


def _open_splits(settings: Settings, opened: Opened) -> tuple[TaskData, TaskData | None]:
    """What is learned from, and what chooses the best checkpoint, which have nothing in common.

    Raises:
        ValueError, OSError: as for `open_data`; or files without answers, or with the same examples.
    """
    task = TASKS[settings.task]
    train = read_examples(settings, settings.train, settings.first)
    valid = read_examples(settings, settings.valid) if settings.valid else None
    for name, examples in (("train", train), ("valid", valid)):
        if examples is not None and settings.task != "pretrain":
            check_answered(examples, f"{name} must be files with answers")
    if valid is not None:
        check_apart(train, valid)
    options = opened.store, opened.tokenizer, opened.answers, settings
    return task.data(train, *options), None if valid is None else task.data(valid, *options)


def open_files(settings: Settings) -> Opened:
    """The files of a run that its examples need.

    Raises:
        ValueError, OSError: one is missing, or damaged.
    """
    if not settings.features:
        raise ValueError(
            "features must be given: the region stores of the images (`lxmert features import` makes them)."
        )
    return Opened(open_regions(list(settings.features)), open_tokenizer(settings), open_answers(settings))


def open_data(settings: Settings, files: Sequence[str], opened: Opened, first: int | None = None) -> TaskData:
    """The examples in some files, as batches; the first so many where they are to be fewer.

    Raises:
        ValueError, OSError: no files; or one that is missing, damaged, or does not fit the region stores.
    """
    examples = read_examples(settings, files, first)
    return TASKS[settings.task].data(examples, opened.store, opened.tokenizer, opened.answers, settings)


def read_examples(settings: Settings, files: Sequence[str], first: int | None = None) -> Any:
    """The examples in some files, the first so many where they are to be fewer.

    Raises:
        ValueError, OSError: no files; or one that is missing or damaged.
    """
    if not files:
        raise ValueError(f"train must be given: the files that the task {settings.task} learns from.")
    examples = TASKS[settings.task].read(list(files))
    return examples if first is None else examples.first(first)


def check_answered(examples: Any, wanted: str) -> None:
    """Refuse questions without answers, and statements without labels: those of a test set.

    Raises:
        ValueError: naming the files.
    """
    if getattr(examples, "labels" if hasattr(examples, "labels") else "answers") is None:
        raise ValueError(f"{wanted}; got {', '.join(map(str, examples.files))}, which has none.")


def evaluate(
    data: Any, runner: Any, settings: Settings, answers: list[str], progress: bool = False
) -> dict[str, float]:
    """The scores of a model on some examples, by name."""
    task = PREDICTING.get(settings.task)
    if task is None:
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
    found: dict[str, Any] = {
        "model": str(checkpoint),
        "vocabulary": str(checkpoint),
        "model_answers": None,
        "model_config": {},
    }
    found["answers"] = str(table) if table.is_file() else None
    if table.is_file():
        read_answer_vocabulary(table)
    return make_settings(task, {**saved, **found, **changes})
