"""How far a run is, as its checkpoints remember it, and the checks of what is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lxmert.utils.json_files import read_json
from lxmert.utils.messages import shown, unknown_keyword_message
from lxmert.utils.setting_names import named_as_options

from .settings import Settings, field_names
from .tasks import TASKS, Task

FORMAT = 3
# Settings that were added since runs have this format: one that lacks them had their default values.
_ADDED = ("answer_scores", "answer_min_count", "choices", "box_features")
# The same, of `Progress`.
_ADDED_PROGRESS = ("products",)
_LARGEST_CHECKSUM = 2**32 - 1
_PRODUCTS = ("onednn", "mixed", "pytorch", "")
_LISTED = 8  # faults in a message


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        epochs: the scores after each epoch that is done.
        best: the number of the epoch, from 1, whose checkpoint is the best; 0 without one.
        examples: the number of training examples.
        devices: how many processes or devices shared the last steps; 0 before the first.
        checksums: of the files of examples, the table of answers, the vocabulary and the region stores, by name.
        products: the library of float32 products on CPUs in PyTorch, "onednn", "mixed" or "pytorch"; empty in Keras.
    """

    step: int = 0
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    examples: int = 0
    devices: int = 0
    checksums: dict[str, int] = field(default_factory=dict)
    products: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; JSON has no NaN, so a score that is no finite number is a text there."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**values, "epochs": [plain_scores(scores) for scores in self.epochs]}


def plain_scores(scores: Mapping[str, float]) -> dict[str, float | str]:
    """Scores as JSON has them: what is no finite number as a text ("nan", "inf")."""
    return {name: score if math.isfinite(score) else str(score) for name, score in scores.items()}


def best_epoch(epochs: Sequence[Mapping[str, float]], task: Task) -> int:
    """The number, from 1, of the epoch with the best score, the earliest of equals; the last one without scores.

    A score that is not finite is never the best; 0 if no epoch has another one.
    """
    best = 0
    for number, scores in enumerate(epochs, start=1):
        if not scores:
            best = number
        elif math.isfinite(score := scores[task.score]):
            before = epochs[best - 1][task.score] if best else math.nan
            best = number if not best or (score < before if task.lower_is_better else score > before) else best
    return best


def read_stored(path: Path) -> tuple[dict[str, Any], Settings]:
    """The content of the training.json of a checkpoint, and its settings.

    Raises:
        OSError: it cannot be read.
        ValueError: not such a file, or settings of other kinds or out of range; the message names the field.
    """
    stored = read_json(path)
    settings = stored.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold settings, an object of fields; got {shown(settings)}. {_CHANGED}")
    for name in settings:
        if name not in field_names():
            raise ValueError(f"{path}: settings: {unknown_keyword_message(name, field_names())} {_CHANGED}")
    for name in ("task", "output"):
        if name not in settings:
            raise ValueError(f"{path}: settings: there is no {name}. {_CHANGED}")
    try:
        with named_as_options({}):  # this is about the fields of the file
            return stored, Settings(**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: settings: {error} {_CHANGED}") from None


def read_progress(path: Path) -> tuple[Progress, dict[str, Any]]:
    """How far the run of a checkpoint is, and its settings, from its training.json.

    Raises:
        OSError: it cannot be read.
        ValueError: not such a file; or values that are missing, of other kinds, or out of range. The message names the
            fields, what was expected and what was given.
    """
    form = read_json(path).get("format")
    if form != FORMAT:
        raise ValueError(
            f"{path} was not written by this version of the package: its format must be {FORMAT}; got {shown(form)}. "
            "The run cannot be resumed."
        )
    stored, settings = read_stored(path)
    missing = [f"settings.{name}" for name in field_names() if name not in {*stored["settings"], *_ADDED}]
    missing += [entry.name for entry in fields(Progress) if entry.name not in {*stored, *_ADDED_PROGRESS}]
    faults = [f"there is no {', '.join(missing)}"] if missing else _faults(stored, settings)
    if faults:
        raise ValueError(f"{path} is damaged: {'; '.join(faults[:_LISTED])}. {_CHANGED}")
    epochs = [{name: float(score) for name, score in scores.items()} for scores in stored["epochs"]]
    values = {entry.name: stored[entry.name] for entry in fields(Progress) if entry.name in stored}
    return Progress(**{**values, "epochs": epochs}), stored["settings"]


_CHANGED = "`lxmert train` did not write that: pass an unchanged copy of the run."


def _faults(stored: Mapping[str, Any], settings: Settings) -> list[str]:
    """What is wrong with the values of a stored run; those that follow from a wrong one are not looked at."""
    faults = _integer("examples", stored["examples"], settings.batch_size, None, "the batch size or more")
    faults += _integer("devices", stored["devices"], 0)
    faults += _scores_faults(stored["epochs"], settings)
    if (products := stored.get("products", "")) not in _PRODUCTS:
        faults.append(f"products must be one of {', '.join(map(repr, _PRODUCTS))}; got {shown(products)}")
    checksums = stored["checksums"]
    if not isinstance(checksums, dict):
        faults.append(f"checksums must be an object of names and numbers; got {shown(checksums)}")
    else:
        for name, value in checksums.items():
            faults += _integer(f"checksums[{shown(name)}]", value, 0, _LARGEST_CHECKSUM)
    if faults:
        return faults
    per_epoch = stored["examples"] // settings.batch_size
    total = per_epoch * settings.epochs
    faults = _integer("step", stored["step"], 0, total, f"the {total:,} steps of {settings.epochs} epochs")
    done = len(stored["epochs"])
    if not faults and done != stored["step"] // per_epoch:
        faults.append(
            f"epochs must hold the scores of {stored['step'] // per_epoch} epochs, which are done after "
            f"{stored['step']:,} steps; got {done}"
        )
    faults += _integer("best", stored["best"], 0, done, "the epochs that are done")
    if not faults:
        epochs = [{name: float(score) for name, score in scores.items()} for scores in stored["epochs"]]
        best = best_epoch(epochs, TASKS[settings.task])
        if stored["best"] != best:
            faults.append(f"best must be {best}, which follows from the scores of the epochs; got {stored['best']}")
    return faults


def _integer(name: str, value: Any, least: int, most: int | None = None, why: str = "") -> list[str]:
    """A fault, unless this is an integer from `least` to `most`."""
    right = type(value) is int and value >= least and (most is None or value <= most)
    wanted = f"{least} or more" if most is None else f"from {least} to {most}"
    return [] if right else [f"{name} must be an integer, {wanted}{f' ({why})' if why else ''}; got {shown(value)}"]


def _scores_faults(epochs: Any, settings: Settings) -> list[str]:
    """What is wrong with the scores of the epochs."""
    if not isinstance(epochs, list):
        return [f"epochs must be a list of scores by name; got {shown(epochs)}"]
    score = TASKS[settings.task].score
    for number, scores in enumerate(epochs, start=1):
        if not isinstance(scores, dict) or not all(map(_is_score, scores.values())):
            return [f"epochs must be a list of scores by name; that of epoch {number} is {shown(scores)}"]
        if settings.valid and score not in scores:
            return [f"epochs must be scores with {score}; those of epoch {number} are {shown(scores)}"]
        if not settings.valid and scores:
            return [f"epochs must be without scores, as there are no validation files; got {shown(scores)}"]
    return []


def _is_score(value: Any) -> bool:
    """Whether this is a number, or a text that stands for one that JSON has not."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63) or value in ("nan", "inf", "-inf")
