"""Short trainings of tiny models on a few drawn scenes: what the tests of this folder share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.training import run
from lxmert.training.logs import LOG_NAME, Logs
from lxmert.training.settings import Settings, make_settings
from lxmert.weights.formats.safetensors import SafetensorsFile

TASKS = ("pretrain", "vqa", "gqa", "nlvr2")
STEPS, PER_EPOCH, BATCH = 12, 4, 4

TINY: dict[str, Any] = dict(
    hidden_size=24,
    num_attention_heads=3,
    intermediate_size=31,
    l_layers=1,
    x_layers=1,
    r_layers=1,
    max_position_embeddings=24,
    num_object_labels=4,
    num_attr_labels=6,
    initializer_range=0.05,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)

TINY_VISUAL_BERT: dict[str, Any] = dict(
    hidden_size=24,
    num_attention_heads=3,
    intermediate_size=31,
    num_hidden_layers=2,
    max_position_embeddings=24,
    initializer_range=0.05,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)


def without_dropout(**changes: Any) -> dict[str, Any]:
    """The configuration of a tiny LXMERT that draws nothing."""
    return {**TINY, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **changes}


def files_of(task: str, scenes: Path) -> dict[str, Any]:
    """The settings that name the files of a task."""
    folder = scenes / task
    if task == "pretrain":
        names = {split: [f"questions_{split}.json", f"captions_{split}.json"] for split in ("train", "valid")}
        files: dict[str, Any] = {split: [str(folder / name) for name in names[split]] for split in names}
    else:
        files = {split: [str(folder / f"{split}.json")] for split in ("train", "valid")}
    if task != "nlvr2":
        files["answers"] = str(folder / ("all_ans.json" if task == "pretrain" else "trainval_label2ans.json"))
    return {**files, "features": [str(scenes / "regions")], "vocabulary": str(scenes / "vocab.txt")}


def settings_of(task: str, scenes: Path, output: Path, **changes: Any) -> Settings:
    """Twelve steps in three epochs, with dropout."""
    given: dict[str, Any] = dict(
        output=str(output),
        model_config=TINY if changes.get("architecture", "lxmert") == "lxmert" else TINY_VISUAL_BERT,
        batch_size=BATCH,
        epochs=STEPS // PER_EPOCH,
        max_examples=BATCH * PER_EPOCH + 1,  # one is left out of each epoch
        learning_rate=1e-3,
        max_grad_norm=1.0,
        text_length=16,
        device="cpu",
        log_every=1,
        evaluate_batch_size=16,
    )
    return make_settings(task, files_of(task, scenes), given, changes)


class Broken(Exception):
    """What breaks a run off."""


def train_until(settings: Settings, step: int, monkeypatch: Any, resume: bool = False) -> None:
    """Train, and break off right after the work of a step: before anything of it is kept."""
    log_step = Logs.step

    def break_off(self: Logs, number: int, *values: Any) -> None:
        if number == step:
            raise Broken
        log_step(self, number, *values)

    with monkeypatch.context() as patch:
        patch.setattr(Logs, "step", break_off)
        try:
            run.train(settings, resume)
        except Broken:
            return
    raise AssertionError(f"the run ended before step {step}")


def tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file."""
    file = SafetensorsFile(path)
    try:
        return {name: np.array(file.read(name)) for name in file.shapes}
    finally:
        file.close()


def log_of(output: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (output / "logs" / LOG_NAME).read_text().splitlines()]


def left_by(output: Path) -> dict[str, Any]:
    """Everything that a run leaves and that has to be the same, whatever happened on the way."""
    left: dict[str, Any] = {"log": log_of(output)}
    for folder, names in (("last", ("model", "optimizer")), ("best", ("model",))):
        for name in names:
            found = tensors(output / folder / f"{name}.safetensors")
            left |= {f"{folder}/{name}/{key}": array for key, array in found.items()}
        state = json.loads((output / folder / "training.json").read_text())
        left[f"{folder}/progress"] = {key: state[key] for key in ("step", "epochs", "best")}
        left[f"{folder}/files"] = sorted(path.name for path in (output / folder).iterdir())
    return left


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """The names of what two runs left that is not the same to the last bit."""
    return [name for name in {**left, **right} if not _same(left.get(name), right.get(name))]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        same = left.dtype == right.dtype and left.shape == right.shape
        return same and left.tobytes() == right.tobytes()
    return bool(left == right)


def largest_difference(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> float:
    """Between tensors of the same names."""
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)
