"""Evaluate a trained model on files, or predict with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features import open_regions
from lxmert.hub import HubOptions
from lxmert.utils.paths import check_path
from lxmert.utils.setting_names import setting
from lxmert.weights.loading_arguments import Quantize
from lxmert.weights.model_files import find_model, open_model_files

from .backends import make_evaluator, shutdown_distributed
from .checkpoints import PROGRESS_NAME, saved_settings
from .evaluation import Part, evaluate, join_parts, predict, predict_part
from .run import check_answered, open_data
from .settings import Settings, make_settings
from .start import RunFiles, load_model, needs_answers
from .tasks import PREDICTING, TASKS, PredictingTask

_BATCHES = 16  # of a part of the predictions


def check_output(path: str | Path) -> None:
    """Refuse a path that no result file can be written to, before the work starts.

    Raises:
        ValueError: no path, a folder, or a file in a folder that does not exist.
    """
    check_path(setting("output"), path)
    if not Path(path).absolute().parent.is_dir() or Path(path).is_dir():
        raise ValueError(f"{setting('output')} must be a file in a folder that is there; got {path}.")


def settings_of_model(path: Path, task: str, **changes: Any) -> Settings:
    """The settings for evaluating a model on some files: those of its training if it is a checkpoint of `train`.

    Raises:
        ValueError: it was trained for another task.
    """
    saved = saved_settings(path) if (path / PROGRESS_NAME).is_file() else {"output": str(path)}
    if saved.get("task", task) != task:
        raise ValueError(f"{path} was trained for the task {saved['task']}, not for {task}.")
    own: dict[str, Any] = dict.fromkeys(("vocabulary", "answers", "model_answers"))
    own |= {"model": str(path), "model_config": {}}
    return make_settings(task, {**saved, **own, **changes})


class TrainedModel:
    """A model that was trained for a task, and the files that it is evaluated on.

    Args:
        source: a checkpoint of `lxmert train`, such as OUTPUT/best; or any other model that `from_pretrained` reads.
        task: what it was trained for.
        files: questions, statements or sentences.
        features: region stores of their images; those of its training by default.
        vocabulary: its tokenizer, where its folder has none.
        answers: its table of answers, where its folder has none.
        config: fields of its configuration with other values than the file's.
        hub: the revision and other options of a model on the hub.
        with_model: whether to load the model; without it only its files are opened, for `ray_prediction`.
        quantize: "int8" rounds its matrices; see `from_pretrained`.
        changes: settings to override: backend, precision, device, ...

    Raises:
        ValueError, OSError: files that are missing, damaged, or do not fit. Of missing ones all are listed.
    """

    def __init__(
        self,
        source: str | Path,
        task: str,
        files: Sequence[str],
        features: Sequence[str] = (),
        *,
        vocabulary: str | None = None,
        answers: str | None = None,
        config: Mapping[str, Any] | None = None,
        hub: HubOptions | None = None,
        with_model: bool = True,
        quantize: Quantize = None,
        **changes: Any,
    ) -> None:
        given = {name: value for name, value in changes.items() if value is not None}
        if features:
            given["features"] = tuple(features)
        path, overrides = find_model(source, hub), dict(config or {})
        self.settings = settings_of_model(path, task, **given)
        stores = self.settings.features
        found = open_model_files(
            path,
            TASKS[task].models,
            vocabulary=vocabulary,
            answers=answers,
            with_answers=needs_answers(self.settings),
            missing=() if stores else [f"{setting('features')}, the region stores of the images"],
            **overrides,
        )
        longest = found.config.max_position_embeddings
        self.settings = replace(self.settings, text_length=min(self.settings.text_length, longest))
        run_files = RunFiles(open_regions(list(stores)), found.tokenizer, found.answers)
        self.answers = run_files.answers
        self.data: Any = open_data(self.settings, files, run_files)
        if with_model:
            self.evaluator = make_evaluator(
                self.settings,
                lambda model_class, dtype: load_model(
                    self.settings, path, model_class, run_files, dtype, quantize, **overrides
                ),
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
        task = self._predicting_task()
        check_output(path)
        data = task.to_predict(self.data)
        predicted = predict(task, data, self.evaluator, self.settings.evaluate_batch_size, progress)
        if self.is_main:
            task.write_predictions(Path(path), data, predicted, self.answers)
        return len(self.data)

    def parts(self) -> int:
        """How many parts of some batches each the predictions have."""
        count = len(self._predicting_task().to_predict(self.data))
        return -(-count // (self.settings.evaluate_batch_size * _BATCHES))

    def predict_part(self, part: Part) -> np.ndarray:
        """The predictions of one part of the examples; see `evaluation.predict_part`."""
        task = self._predicting_task()
        data = task.to_predict(self.data)
        return predict_part(task, data, self.evaluator, self.settings.evaluate_batch_size, part)

    def write_parts(self, path: str | Path, parts: Sequence[np.ndarray]) -> int:
        """Write the official result file of the predictions of all parts; `predict` says more."""
        task = self._predicting_task()
        data = task.to_predict(self.data)
        task.write_predictions(Path(path), data, join_parts(data, np.stack(parts)), self.answers)
        return len(self.data)

    def _predicting_task(self) -> PredictingTask:
        task = PREDICTING.get(self.settings.task)
        if task is None:
            raise ValueError(f"predict is for {', '.join(PREDICTING)}; pre-training has no result file.")
        return task
