"""A run of training: from its settings to the checkpoints and logs in its output folder."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.collate.batch import TaskData
from lxmert.data.datasets import check_disjoint
from lxmert.data.features import open_regions
from lxmert.utils.setting_names import setting

from .backends import Trainer, make_trainer, products_of_run
from .checkpoints import (
    BEST,
    LAST,
    LOGS,
    check_checksums,
    check_new,
    file_checksums,
    hold_run,
    last_progress,
    own_files,
    read_optimizer,
    run_files_writer,
)
from .evaluation import evaluate
from .logs import Logs
from .processes import is_main_process
from .progress import Progress, best_epoch
from .settings import Settings
from .start import RunFiles, load_model, make_model, open_answers, open_tokenizer
from .steps import Steps, StepValues
from .tasks import TASKS


def train(
    settings: Settings, resume: bool = False, progress: bool = False, callbacks: Sequence[Any] = ()
) -> dict[str, float]:
    """Train with these settings, and leave checkpoints and logs in the output folder.

    Args:
        settings: see `make_settings`.
        resume: whether to continue the run in the output folder. With as many processes or devices it ends exactly as
            if it had never been stopped; with another number, roundings and dropout differ.
        progress: whether to show progress, on standard error.
        callbacks: of Keras, for `fit`, in addition to those that write checkpoints and logs.

    Returns:
        The scores of the best checkpoint; empty without validation files.

    Raises:
        FileExistsError: there is a run in the output folder, and it is not to be resumed.
        BlockingIOError: a run in the output folder is going on.
        FileNotFoundError: there is no run to resume.
        ValueError: files that are damaged or do not fit each other, or a loss that is not finite.
    """
    if callbacks and settings.backend != "tf":
        raise ValueError('callbacks are for Keras; with backend "pt" there are none.')
    is_main = is_main_process(settings.backend)
    if resume:
        last_progress(settings)  # a folder without a run is left as it is
    with hold_run(settings.output) if is_main else nullcontext():
        return _train(settings, resume, progress, callbacks, _make_printer(progress and is_main))


def _train(
    settings: Settings, resume: bool, progress: bool, callbacks: Sequence[Any], log: Callable[[str], None]
) -> dict[str, float]:
    """`train`, in a folder that no other run uses."""
    if resume:
        state = last_progress(settings)
    else:
        check_new(settings)
        state = Progress()
    files = open_files(own_files(settings) if resume else settings)
    data, valid = _open_splits(settings, files)
    checksums = file_checksums(settings, files.tokenizer.get_vocab(), files.answers)
    if resume:
        check_checksums(state.checksums, checksums, settings.output)
    state.examples, state.checksums = len(data), checksums
    steps = Steps(data, settings.batch_size, settings.epochs, settings.seed, settings.gradient_accumulation_steps)
    if state.step == steps.total:  # its last checkpoint was written after its last evaluation
        log(
            f"the run in {settings.output} is finished: {state.step:,} steps, {len(state.epochs)} epochs. To train on, "
            f"start another one with model = {Path(settings.output) / (BEST if state.best else LAST)}"
        )
    else:
        trainer = _open_trainer(settings, files, steps, state, resume, log)
        with products_of_run(settings.backend, state.products) as state.products:
            _Run(settings, files, steps, valid, state, trainer).run(resume, progress, callbacks)
    if state.epochs and not state.best:
        log(f"no epoch has a score that is a number: there is no best checkpoint. The last one is {_last(settings)}")
    return state.epochs[state.best - 1] if state.best else {}


def _last(settings: Settings) -> Path:
    return Path(settings.output) / LAST


def _make_printer(shown: bool) -> Callable[[str], None]:
    """Prints messages on standard error, if wanted."""
    return lambda text: print(text, file=sys.stderr) if shown else None


def _open_trainer(
    settings: Settings, files: RunFiles, steps: Steps, state: Progress, resume: bool, log: Callable[[str], None]
) -> Trainer:
    """The trainer with the model and the optimizer that the run starts from, or that it had at its last checkpoint."""
    last = _last(settings)

    def model_of_run(model_class: Any, dtype: Any) -> Any:
        if resume:
            return load_model(settings, str(last), model_class, files, dtype)
        return make_model(settings, model_class, files, log, dtype)

    trainer = make_trainer(settings, model_of_run, steps.total)
    if resume:
        trainer.load_optimizer(read_optimizer(last))
        if state.devices not in (0, trainer.devices):
            log(
                f"the run was shared by {state.devices} processes or devices, and continues with {trainer.devices}: "
                "sums are rounded otherwise, and dropout draws otherwise, than if it had never been stopped"
            )
    state.devices = trainer.devices
    return trainer


class _Run:
    """The steps of a run, with what is done between them: logs, evaluations, checkpoints."""

    def __init__(
        self,
        settings: Settings,
        files: RunFiles,
        steps: Steps,
        valid: TaskData | None,
        state: Progress,
        trainer: Trainer,
    ) -> None:
        self.settings, self.files, self.steps, self.valid = settings, files, steps, valid
        self.state, self.trainer = state, trainer
        self.output = Path(settings.output)

    def run(self, resume: bool, progress: bool, callbacks: Sequence[Any]) -> None:
        """Do the steps that are left."""
        trainer, first = self.trainer, self.state.step
        folder = self.output / LOGS if trainer.is_main else None
        self.progress = progress and trainer.is_main
        every = self.settings.log_every
        with Logs(folder, self.steps.total, self.steps.per_epoch, first, every, self.progress) as self.logs:
            if not resume:
                # A run that is killed before its first checkpoint can be resumed too; and a disk that cannot hold one
                # is found now, not after an epoch.
                self._save(LAST, optimizer=True)
            trainer.run(self.steps, first, self._after_step, self._after_epoch, callbacks)

    def _after_step(self, step: int, rate: float, read: Callable[[], StepValues]) -> None:
        ends_epoch = step % self.steps.per_epoch == 0
        saves = step % self.settings.save_every == 0
        # Before anything is saved, the numbers are read: reading refuses those that are not finite.
        values = read() if saves or ends_epoch or self.logs.is_due(step) else None
        self.logs.step(step, rate, values)
        self.state.step = step
        if saves and not ends_epoch:  # at the end of an epoch the checkpoint follows the evaluation
            self._save(LAST, optimizer=True)

    def _after_epoch(self) -> None:
        state, scores = self.state, {}
        if self.valid is not None:
            scores = evaluate(self.valid, self.trainer, self.settings, self.files.answers, self.progress)
        task = TASKS[self.settings.task]
        state.epochs.append(scores)
        state.best = best_epoch(state.epochs, task)
        self.logs.epoch(state.step, scores, state.best)
        if scores and not math.isfinite(scores[task.score]):
            self.logs.message(f"the {task.score} of this epoch is {scores[task.score]}: it cannot be the best one")
        if state.best == len(state.epochs):
            self._save(BEST, optimizer=False)
        self._save(LAST, optimizer=True)

    def _save(self, name: str, optimizer: bool) -> None:
        def write_others(state: Mapping[str, np.ndarray] | None) -> Callable[[Path], None]:
            return run_files_writer(self.files.tokenizer, self.files.answers, self.settings, self.state, state)

        self.trainer.save(self.output / name, write_others, optimizer)


def _open_splits(settings: Settings, files: RunFiles) -> tuple[TaskData, TaskData | None]:
    """The data for training and for validation, which have no example in common.

    Raises:
        ValueError, OSError: as for `open_data`; or files without answers, or with the same examples.
    """
    task = TASKS[settings.task]
    train = read_examples(settings, settings.train, settings.max_examples)
    valid = read_examples(settings, settings.valid) if settings.valid else None
    for name, examples in (("train", train), ("valid", valid)):
        if examples is not None and settings.task != "pretrain":
            check_answered(examples, f"{setting(name)} must be files with answers")
    if valid is not None:
        check_disjoint(train, valid)
    options = files.store, files.tokenizer, files.answers, settings
    return task.data(train, *options), None if valid is None else task.data(valid, *options)


def open_files(settings: Settings) -> RunFiles:
    """The files that a run needs in addition to its examples.

    Raises:
        ValueError, OSError: one is missing, or damaged.
    """
    if not settings.features:
        raise ValueError(
            f"{setting('features')} must be given: the region stores of the images, which `lxmert features import` "
            "makes."
        )
    return RunFiles(open_regions(list(settings.features)), open_tokenizer(settings), open_answers(settings))


def open_data(settings: Settings, paths: Sequence[str], files: RunFiles, max_examples: int | None = None) -> TaskData:
    """The examples in some files, as batches; the first `max_examples` where that is given.

    Raises:
        ValueError, OSError: no files; or one that is missing, damaged, or does not fit the region stores.
    """
    examples = read_examples(settings, paths, max_examples)
    return TASKS[settings.task].data(examples, files.store, files.tokenizer, files.answers, settings)


def read_examples(settings: Settings, paths: Sequence[str], max_examples: int | None = None) -> Any:
    """The examples in some files; the first `max_examples` where that is given.

    Raises:
        ValueError, OSError: no files; or one that is missing or damaged.
    """
    if not paths:
        raise ValueError(f"{setting('train')} must be given: the files that the task {settings.task} learns from.")
    examples = TASKS[settings.task].read(list(paths), settings)
    return examples if max_examples is None else examples.first(max_examples)


def check_answered(examples: Any, wanted: str) -> None:
    """Refuse questions without answers, and statements without labels: those of a test set.

    Raises:
        ValueError: naming the files.
    """
    if not examples.is_answered:
        raise ValueError(f"{wanted}; got {', '.join(map(str, examples.files))}, which has none.")
