"""The logs of a run: a bar or lines on standard error, lines in log.jsonl, curves for TensorBoard."""

from __future__ import annotations

import errno
import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lxmert.utils.atomic_files import write_text
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import shown
from lxmert.utils.progress import ProgressBar, duration
from lxmert.utils.write_errors import naming

from .steps import StepValues

LOG_NAME = "log.jsonl"


class Logs:
    """The logs of a run; use it in a `with` block.

    A resumed run cuts off what was logged after its checkpoint, so that log.jsonl has each step once.

    Args:
        folder: where the logs go; None writes no files, as in all processes but the first.
        total: steps of the run.
        per_epoch: steps of an epoch.
        first: the step that the run is resumed from.
        every: steps between lines.
        progress: whether to show on standard error how far the run is: by a bar on a terminal; by a line a minute
            elsewhere, in a file or a pipe; and by a line after each epoch.
    """

    def __init__(
        self, folder: Path | None, total: int, per_epoch: int, first: int = 0, every: int = 10, progress: bool = True
    ) -> None:
        self.every, self.per_epoch, self.total = every, per_epoch, total
        self._bar = ProgressBar(self._epoch_of(first + 1), total, "steps", progress, done=first, keep=True)
        self._file: Any = None
        self._tensorboard: _TensorBoard | None = None
        self._started, self._first = time.perf_counter(), first
        self._epoch_started = self._started
        self._losses: list[dict[str, float]] = []  # of the steps of this epoch that were read
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._losses = _truncate_log(folder / LOG_NAME, first, first - first % per_epoch)
            self._file = (folder / LOG_NAME).open("a", encoding="utf-8")
            self._tensorboard = _TensorBoard(folder, first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._bar.close()
        # An earlier error already names what could not be written.
        with suppress(OSError) if error is not None else nullcontext():
            if self._file is not None:
                with naming(self._file.name):
                    self._file.close()
            if self._tensorboard is not None:
                self._tensorboard.close()

    def is_due(self, step: int) -> bool:
        """Whether a step, counted from 1, gets a line of the log."""
        return step % self.every == 0 or step == self.total

    def step(self, step: int, rate: float, values: StepValues | None) -> None:
        """Log a step, counted from 1; `values` may be None unless `is_due(step)`."""
        shown: dict[str, float] = {}
        if values is not None and (self.is_due(step) or step % self.per_epoch == 0):
            losses = values.losses
            shown = {"loss": sum(losses.values()), **(losses if len(losses) > 1 else {})}
            self._losses.append(shown)
            self._bar.describe(self._epoch_of(step), _list(shown, ".3f"))
        self._bar.update(step - self._bar.done)
        if values is None or not self.is_due(step):
            return
        speed = (step - self._first) / (time.perf_counter() - self._started)
        line = {**{f"train/{name}": value for name, value in shown.items()}, "rate": rate}
        self._write(step, line if values.norm is None else {**line, "norm": values.norm})
        self._add_scalars(step, {"steps_per_second": speed})

    def epoch(self, step: int, scores: Mapping[str, float], best: int) -> None:
        """Log the end of an epoch, after a step: its mean losses, its scores, which epoch is the best, and times."""
        if scores:
            self._write(step, {f"valid/{name}": value for name, value in scores.items()})
        now, left = time.perf_counter(), self._bar.seconds_left()
        parts = [_list(_means(self._losses), ".3f")]
        parts += [f"in validation {_list(scores, '.4g')}"] if scores else []
        parts += [f"the best so far is epoch {best}"] if best and scores else []
        parts += [f"{duration(now - self._epoch_started)}, {duration(left or 0)} left"]
        self.message(f"{self._epoch_of(step)}, step {step:,}: {'; '.join(parts)}")
        self._losses, self._epoch_started = [], now

    def message(self, text: str) -> None:
        """Print a line on standard error, above the progress bar if there is one."""
        self._bar.message(text)

    def _epoch_of(self, step: int) -> str:
        epochs = self.total // self.per_epoch
        return f"epoch {min((step - 1) // self.per_epoch + 1, epochs)} of {epochs}"

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._file is not None:
            # JSON has no NaN.
            plain = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
            with naming(self._file.name):
                self._file.write(json.dumps({"step": step, **plain}) + "\n")
                self._file.flush()
        self._add_scalars(step, values)

    def _add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._tensorboard is not None:
            self._tensorboard.add(step, values)


def _list(values: Mapping[str, float], digits: str) -> str:
    return ", ".join(f"{name} {value:{digits}}" for name, value in values.items())


def _means(losses: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for line in losses for name in line)
    given = {name: [line[name] for line in losses if name in line] for name in names}
    return {name: sum(values) / len(values) for name, values in given.items()}


def parse_line(line: bytes, place: str) -> tuple[int, dict[str, float]]:
    """The step and the values of a line of a log, which is at `place`.

    Raises:
        InvalidFileError: it is no line of a log.
    """
    wanted = "it must be an object with a step and numbers, as a run logs it"
    with reading(place, f"{wanted}; it is {shown(line[:60].decode('utf-8', 'replace'))}"):
        values = json.loads(line.decode())
        step = values.pop("step")
        if type(step) is not int or not 0 <= step < 2**53:
            raise ValueError("the step is no number of one")
        return step, {name: float(value) for name, value in values.items()}  # NaN is written as a text


def _truncate_log(path: Path, first: int, epoch: int) -> list[dict[str, float]]:
    """Remove the lines of a log after step `first`, and what is no line of a log: a killed process may leave anything.

    A link in its place becomes a file.

    Returns the losses, by name, in the lines of the steps after `epoch`.
    """
    kept = []
    losses = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            step, values = parse_line(line, str(path))
        except InvalidFileError:
            continue
        if step > first:
            continue
        kept.append(line.decode())
        if step > epoch and "train/loss" in values:
            parts = {name: value for name, value in values.items() if name.startswith("train/")}
            losses.append({name.removeprefix("train/"): value for name, value in parts.items()})
    write_text(path, "".join(f"{line}\n" for line in kept))
    return losses


class _TensorBoard:
    """TensorBoard's events, where tensorboardX is installed; those after step `first` are hidden."""

    def __init__(self, folder: Path, first: int) -> None:
        self._folder, self._writer = folder, None
        before = set(threading.enumerate())
        with suppress(ImportError):
            from tensorboardX import SummaryWriter

            with naming(folder):
                self._writer = SummaryWriter(str(folder), purge_step=first + 1 if first else None)
        new = set(threading.enumerate()) - before
        self._threads = [thread for thread in new if type(thread).__module__.startswith("tensorboardX.")]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to some curves.

        Raises:
            OSError: the thread that writes them has ended, as on a full disk.
        """
        if self._writer is None:
            return
        if not self._writes:  # and the queue to it would be waited for without end
            self._writer = None
            text = "the curves for TensorBoard cannot be written any more; the disk may be full"
            raise OSError(errno.EIO, text, str(self._folder))
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None and self._writes:
            with naming(self._folder):
                self._writer.close()

    @property
    def _writes(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)
