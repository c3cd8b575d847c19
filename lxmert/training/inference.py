"""A trained checkpoint on other files: its scores, and what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lxmert.utils.paths import check_path

from .evaluation import outcomes
from .run import check_answered, evaluate, open_checkpoint_settings, open_data, open_files, shutdown_distributed
from .settings import Settings
from .start import load_model
from .tasks import PREDICTING


def check_output(path: str | Path) -> None:
    """Refuse a place that no result file can be written to, before the work is done.

    Raises:
        ValueError: no path, a folder, or a file in a folder that is not there.
    """
    check_path("--output", path)
    if not Path(path).absolute().parent.is_dir() or Path(path).is_dir():
        raise ValueError(f"--output must be a file in a folder that is there; got {path}.")


class Checkpoint:
    """A checkpoint of `lxmert train` with the files that it is to answer for.

    Args:
        folder: the checkpoint, OUTPUT/best say.
        task: what it was trained for.
        files: questions, statements or sentences.
        features: region stores of their images; those of its training by default.
        changes: settings that take other values than in training: backend, precision, device, ...

    Raises:
        ValueError, OSError: files that are missing, damaged, or do not fit.
    """

    def __init__(
        self, folder: str | Path, task: str, files: Sequence[str], features: Sequence[str] = (), **changes: Any
    ) -> None:
        given = {name: value for name, value in changes.items() if value is not None}
        if features:
            given["features"] = tuple(features)
        self.settings: Settings = open_checkpoint_settings(folder, task, **given)
        opened = open_files(self.settings)
        self.answers = opened.answers
        self.data: Any = open_data(self.settings, files, opened)

        def begin(kind: Any, **options: Any) -> Any:
            return load_model(
                self.settings, str(folder), kind, opened.store, opened.tokenizer, opened.answers, **options
            )

        self.runner = import_module(f"lxmert.training.{self.settings.backend}.trainer").Runner(self.settings, begin)

    @property
    def is_main(self) -> bool:
        """Whether this process, of several that torchrun may have started, writes and speaks."""
        return bool(self.runner.is_main)

    def close(self) -> None:
        """Part from the other processes, after everything is done; see `shutdown_distributed`."""
        shutdown_distributed(self.settings.backend)

    def scores(self, progress: bool = False) -> dict[str, float]:
        """How good it is, by name.

        Raises:
            ValueError: the files have no answers.
        """
        if self.settings.task != "pretrain":
            check_answered(self.data.examples, "scores need files with answers (`lxmert predict` writes a result file)")
        return evaluate(self.data, self.runner, self.settings, self.answers, progress)

    def predict(self, path: str | Path, progress: bool = False) -> int:
        """Write the official result file of the task, and give the number of predictions in it.

        Raises:
            ValueError: pre-training, which has no such file.
        """
        task = PREDICTING.get(self.settings.task)
        if task is None:
            raise ValueError("predict is for vqa, gqa and nlvr2; pre-training has no result file.")
        check_output(path)
        found = outcomes(task, self.data, self.runner, self.settings.evaluate_batch_size, progress)
        if self.runner.is_main:
            task.write_predictions(Path(path), self.data.examples, found, self.answers)
        return len(found)
