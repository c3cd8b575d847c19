"""The logs of a run: a bar or lines on standard error, lines in log.jsonl, curves for TensorBoard."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from lxmert.utils.atomic_files import write_text

from .steps import StepValues

LOG_NAME = "log.jsonl"
_PATIENCE = 30.0  # seconds between two lines of progress where no bar can be drawn


class Logs:
    """The logs of a run; use it in a `with` block.

    A resumed run cuts off what was logged after its checkpoint, so that log.jsonl has each step once.

    Args:
        folder: where the logs go; None writes no files, as in all processes but the first.
        total: steps of the run.
        per_epoch: steps of an epoch.
        first: the step that the run is resumed from.
        every: steps between lines.
        progress: whether to show on standard error how far the run is: by a bar on a terminal; by a line every half
            minute elsewhere, in a file or a pipe.
    """

    def __init__(
        self, folder: Path | None, total: int, per_epoch: int, first: int = 0, every: int = 10, progress: bool = True
    ) -> None:
        self.every, self.per_epoch, self.total = every, per_epoch, total
        self.progress = progress
        drawn = progress and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=first, unit="step", disable=not drawn, file=sys.stderr)
        self._printed = time.perf_counter()
        self._file: Any = None
        self._tensorboard: Any = None
        self._started, self._first = time.perf_counter(), first
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _truncate_log(folder / LOG_NAME, first)
            self._file = (folder / LOG_NAME).open("a", encoding="utf-8")
            self._tensorboard = _tensorboard(folder, first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._bar.close()
        # An earlier error already names what could not be written.
        with suppress(OSError) if error is not None else nullcontext():
            if self._file is not None:
                self._file.close()
            if self._tensorboard is not None:
                self._tensorboard.close()

    def is_due(self, step: int) -> bool:
        """Whether a step, counted from 1, gets a line of the log."""
        return step % self.every == 0 or step == self.total

    def step(self, step: int, rate: float, values: StepValues | None) -> None:
        """Log a step, counted from 1; `values` may be None unless `is_due(step)`."""
        self._bar.update(step - self._bar.n)
        if values is None or not self.is_due(step):
            return
        losses, norm = values
        total = sum(losses.values())
        shown = {"loss": total, **(losses if len(losses) > 1 else {})}
        now = time.perf_counter()
        speed = (step - self._first) / (now - self._started)
        epoch = f"epoch {(step - 1) // self.per_epoch + 1}"
        self._bar.set_description(epoch, refresh=False)
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()}, refresh=False)
        if self._bar.disable and now - self._printed > _PATIENCE:
            text = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
            self.message(f"step {step} of {self.total}, {epoch}: {text} ({speed:.3g} steps per second)")
            self._printed = now
        line = {**{f"train/{name}": value for name, value in shown.items()}, "rate": rate}
        self._write(step, line if norm is None else {**line, "norm": norm})
        self._add_scalars(step, {"steps_per_second": speed})

    def epoch(self, step: int, scores: Mapping[str, float]) -> None:
        """Log the scores of an evaluation after a step."""
        self._write(step, {f"valid/{name}": value for name, value in scores.items()})
        self.message(f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items()))

    def message(self, text: str) -> None:
        """Print a line on standard error, above the progress bar if there is one."""
        if self.progress:
            self._bar.write(text, file=sys.stderr)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._file is not None:
            # JSON has no NaN.
            plain = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
            try:
                self._file.write(json.dumps({"step": step, **plain}) + "\n")
                self._file.flush()
            except OSError as error:  # a full disk does not name the file it had no room for
                raise type(error)(error.errno, error.strerror, self._file.name) from error
        self._add_scalars(step, values)

    def _add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._tensorboard is not None:
            for name, value in values.items():
                self._tensorboard.add_scalar(name, value, step)


def _truncate_log(path: Path, first: int) -> None:
    """Remove the lines of a log after step `first`, and what a killed process left of a line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= first:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            break
    write_text(path, "".join(f"{line}\n" for line in kept))


def _tensorboard(folder: Path, first: int) -> Any:
    """A writer of TensorBoard's events, which hides those after step `first`; None where it is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first + 1 if first else None)
