"""Evaluate a trained checkpoint on other files, or predict with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lxmert.utils.paths import check_path
from lxmert.utils.setting_names import setting

from .backends import make_evaluator, shutdown_distributed
from .checkpoints import ANSWERS_NAME, saved_settings
from .evaluation import evaluate, predict
from .run import check_answered, open_data, open_files
from .settings import Settings, make_settings
from .start import load_model
from .tasks import PREDICTING


def check_output(path: str | Path) -> None:
    """Refuse a path that no result file can be written to, before the work starts.

    Raises:
        ValueError: no path, a folder, or a file in a folder that does not exist.
    """
    check_path(setting("output"), path)
    if not Path(path).absolute().parent.is_dir() or Path(path).is_dir():
        raise ValueError(f"{setting('output')} must be a file in a folder that is there; got {path}.")


def settings_of_checkpoint(folder: str | Path, task: str, **changes: Any) -> Settings:
    """The settings of a checkpoint of `train`, for evaluating it on other files.

    Raises:
        FileNotFoundError: it is no such checkpoint.
        ValueError: it was trained for another task.
    """
    saved = saved_settings(folder)
    if saved.get("task") != task:
        raise ValueError(f"{folder} was trained for the task {saved.get('task')}, not for {task}.")
    table = Path(folder) / ANSWERS_NAME
    own: dict[str, Any] = {
        "model": str(folder),
        "vocabulary": str(folder),
        "answers": str(table) if table.is_file() else None,
        "model_answers": None,
        "model_config": {},
    }
    return make_settings(task, {**saved, **own, **changes})


class TrainedModel:
    """A checkpoint of `lxmert train`, and the files that it is evaluated on.

    Args:
        folder: the checkpoint, such as OUTPUT/best.
        task: what it was trained for.
        files: questions, statements or sentences.
        features: region stores of their images; those of its training by default.
        changes: settings to override: backend, precision, device, ...

    Raises:
        ValueError, OSError: files that are missing, damaged, or do not fit.
    """

    def __init__(
        self, folder: str | Path, task: str, files: Sequence[str], features: Sequence[str] = (), **changes: Any
    ) -> None:
        given = {name: value for name, value in changes.items() if value is not None}
        if features:
            given["features"] = tuple(features)
        self.settings = settings_of_checkpoint(folder, task, **given)
        run_files = open_files(self.settings)
        self.answers = run_files.answers
        self.data: Any = open_data(self.settings, files, run_files)
        self.evaluator = make_evaluator(
            self.settings,
            lambda model_class, dtype: load_model(self.settings, str(folder), model_class, run_files, dtype),
        )

    @property
    def is_main(self) -> bool:
        """Whether this process, of several that torchrun may have started, writes files and messages."""
        return self.evaluator.is_main

    def close(self) -> None:
        """Leave the other processes, after everything is done; see `shutdown_distributed`."""
        shutdown_distributed(self.settings.backend)

    def scores(self, progress: bool = False) -> dict[str, float]:
        """Evaluate it, and return its scores by name.

        Raises:
            ValueError: the files have no answers.
        """
        if self.settings.task != "pretrain":
            check_answered(self.data.examples, "scores need files with answers (`lxmert predict` writes a result file)")
        return evaluate(self.data, self.evaluator, self.settings, self.answers, progress)

    def predict(self, path: str | Path, progress: bool = False) -> int:
        """Write the official result file of the task, and return the number of predictions in it.

        Raises:
            ValueError: pre-training, which has no such file.
        """
        task = PREDICTING.get(self.settings.task)
        if task is None:
            raise ValueError(f"predict is for {', '.join(PREDICTING)}; pre-training has no result file.")
        check_output(path)
        data = task.to_predict(self.data)
        predicted = predict(task, data, self.evaluator, self.settings.evaluate_batch_size, progress)
        if self.is_main:
            task.write_predictions(Path(path), data, predicted, self.answers)
        return len(self.data)
