"""Short runs of the trainer, the same for one process and for several, for one device and for several.

`python -m tests.training.distributed_runs BACKEND STRATEGIES DEVICES DATA OUTPUT [NAME ...]` makes them all, or those
of Keras that are named, each in a folder of OUTPUT; under torchrun every process does. It is a program of its own,
because Keras' devices have to be there before TensorFlow starts, and because torchrun starts programs.
"""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from lxmert.training.backends import shutdown_distributed
from lxmert.training.logs import Logs
from lxmert.training.run import train
from lxmert.training.settings import Settings, make_settings

SMALL = dict(
    hidden_size=12,
    num_attention_heads=2,
    intermediate_size=10,
    l_layers=1,
    x_layers=1,
    r_layers=1,
    max_position_embeddings=24,
    num_object_labels=4,
    num_attr_labels=6,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.2,
)
DROPOUT = dict(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
FILES = {
    "pretrain": (["captions_train", "questions_train"], ["captions_valid", "questions_valid"], "all_ans.json"),
    "vqa": (["train"], ["valid"], "trainval_label2ans.json"),
    "nlvr2": (["train"], ["valid"], None),
}


class Run(NamedTuple):
    """A run: its task, settings that are its own, and after which step it is stopped, to be gone on with anew."""

    task: str
    settings: Mapping[str, Any] = {}
    stopped: int | None = None
    config: Mapping[str, Any] = {}


# Batches that are evaluated do not fit the examples, and leave some processes without any in the last turn.
RUNS = {
    "pretrain": Run(
        "pretrain", dict(evaluate_batch_size=64, gradient_accumulation_steps=2, gradient_checkpointing=True), stopped=4
    ),
    "vqa": Run("vqa", dict(evaluate_batch_size=13, optimizer="adamw")),
    "nlvr2": Run("nlvr2", dict(evaluate_batch_size=24, workers=1, gradient_accumulation_steps=2), stopped=6),
}
# Tracing is slow, so these have more in common.
KERAS_RUNS = {
    "pretrain": Run("pretrain", dict(evaluate_batch_size=64, gradient_accumulation_steps=2), stopped=4),
    "nlvr2": RUNS["nlvr2"]._replace(settings=dict(evaluate_batch_size=24), stopped=None),
}
STEPS, PER_EPOCH, SAVED = 6, 3, 2
WITH_DROPOUT = Run("vqa", dict(gradient_accumulation_steps=2, gradient_checkpointing=True), config=DROPOUT)


def settings_of(run: Run, data: Path, output: Path, **changes: Any) -> Settings:
    """The settings of a run whose data is in `data`."""
    train_files, valid_files, answers = FILES[run.task]
    folder = data / run.task
    given: dict[str, Any] = dict(
        output=str(output),
        train=[str(folder / f"{name}.json") for name in train_files],
        valid=[str(folder / f"{name}.json") for name in valid_files],
        features=[str(data / "regions")],
        answers=None if answers is None else str(folder / answers),
        vocabulary=str(data / "vocab.txt"),
        precision="float64",
        device="cpu",
        batch_size=8,
        max_examples=8 * PER_EPOCH + 3,
        epochs=STEPS // PER_EPOCH,
        learning_rate=1e-2,
        max_grad_norm=1.0,
        text_length=12,
        save_every=SAVED,
        log_every=1,
        model_config={**SMALL, **run.config},
    )
    return make_settings(run.task, given, run.settings, changes)


class Stopped(Exception):
    """What stops a run between two steps, in all of its processes."""


@contextmanager
def stop_after(step: int | None) -> Iterator[None]:
    """Stop the run of this block after a step, before its checkpoint; None lets it be."""
    log_step = Logs.step

    def log_and_stop(logs: Logs, number: int, *values: Any) -> None:
        log_step(logs, number, *values)
        if number == step:
            raise Stopped

    with mock.patch.object(Logs, "step", log_and_stop), suppress(Stopped):
        yield


def make(run: Run, data: Path, output: Path, **changes: Any) -> dict[str, float]:
    """Make a run. Returns the scores of the best checkpoint."""
    settings = settings_of(run, data, output, **changes)
    if run.stopped is not None:
        with stop_after(run.stopped):
            train(settings)
    return train(settings, resume=run.stopped is not None)


def everything(data: Path, output: Path, runs: Mapping[str, Run], **changes: Any) -> dict[str, dict[str, float]]:
    """Make runs, one with dropout unbroken and broken off, and with PyTorch one that is left unfinished.

    Returns:
        The scores of the best checkpoint of each.
    """
    scores = {name: make(run, data, output / name, **changes) for name, run in runs.items()}
    scores["dropout"] = make(WITH_DROPOUT, data, output / "dropout", **changes)
    scores["dropout, stopped"] = make(WITH_DROPOUT._replace(stopped=5), data, output / "dropout, stopped", **changes)
    if changes["backend"] == "pt":
        with stop_after(5):
            train(settings_of(RUNS["vqa"], data, output / "vqa, left", **changes))
    return scores


if __name__ == "__main__":
    warnings.simplefilter("error")
    backend, strategies, devices, source, target, *names = sys.argv[1:]
    if backend == "tf":
        import tensorflow as tf

        # TensorFlow's variables on several devices.
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
        first = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(first, [tf.config.LogicalDeviceConfiguration()] * int(devices))
        for strategy in strategies.split(","):
            given: dict[str, Any] = dict(backend=backend, strategy=strategy)
            # Runs with dropout are compared with each other alone, on several devices.
            for name in names or (KERAS_RUNS if strategy == "single" else ()):
                make(KERAS_RUNS[name], Path(source), Path(target) / strategy / name, **given)
            if not names and strategy != "single":
                everything(Path(source), Path(target) / strategy, KERAS_RUNS, **given)
    else:
        import torch

        torch.set_num_threads(1)
        told: dict[str, Any] = everything(Path(source), Path(target), RUNS, backend=backend, strategy=strategies)
        try:
            make(
                RUNS["vqa"], Path(source), Path(target) / "refused", backend=backend, strategy=strategies, batch_size=9
            )
        except ValueError as error:
            told["refused"] = str(error)
        # One write, so that the lines of two processes do not mix.
        sys.stdout.write(json.dumps(told) + "\n")
        shutdown_distributed(backend)
