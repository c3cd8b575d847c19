"""The settings of a run of training: from a recipe, a config file and the command line, in this order.

A run is decided by its settings and its files alone. They are saved with its checkpoints, and a run that is resumed
must have the same ones.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from lxmert.common.config import CONFIGS
from lxmert.common.specs import LOSS_NAMES
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import shown, unknown_keyword_message
from lxmert.utils.setting_names import setting
from lxmert.utils.toml_files import read_toml
from lxmert.weights.open import model_type_of

from .recipes import ARCHITECTURES, LOSSES, RECIPES, TASKS, architectures, recipe_values


def _setting(
    text: str,
    default: Any = MISSING,
    *,
    default_factory: Callable[[], Any] | Any = MISSING,
    exact: bool = True,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field with its line of help; `exact` fields decide the result, and may not change when a run is resumed."""
    metadata = {"help": text, "exact": exact, "choices": choices}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run of training. Each field is described by its `help`; paths are made absolute.

    Raises:
        ValueError: a value that its field cannot have; the message names the field.
        TypeError: a value of another type.
    """

    task: str = _setting("what the model is trained for", choices=tuple(TASKS))
    output: str = _setting("folder for checkpoints, logs and settings", exact=False)
    train: tuple[str, ...] = _setting("training files of questions, statements or sentences", ())
    valid: tuple[str, ...] = _setting(
        "files that choose the best checkpoint; without them the last one is the best", ()
    )
    features: tuple[str, ...] = _setting("region stores with the images of all these files", (), exact=False)
    answers: str | None = _setting("table of answers (ans2label, label2ans or all_ans JSON)", None)
    backend: str = _setting("PyTorch or Keras", "pt", choices=("pt", "tf"))
    architecture: str = _setting(
        "the model of a run from scratch; weights to start from have their own", "lxmert", choices=ARCHITECTURES
    )
    model: str | None = _setting(
        "weights to start from: a folder, a file, or a model on the hub; by default the run is from scratch", None
    )
    model_answers: str | None = _setting(
        "the table of answers of these weights, whose answer head is then mapped by the text of the answers", None
    )
    model_config: dict[str, Any] = _setting(  # noqa: RUF009 - it makes the field
        "fields of the model's configuration that override the defaults, or those of the weights", default_factory=dict
    )
    vocabulary: str | None = _setting("a vocab.txt or a folder of a tokenizer; by default that of the weights", None)
    recipe: str = _setting("where the values that are not given come from", "original", choices=tuple(RECIPES))
    optimizer: str = _setting("the optimizer", "bert_adam", choices=("bert_adam", "adamw"))
    batch_size: int = _setting("examples of a step, over all processes and micro-batches", 32)
    epochs: int = _setting("passes over the examples", 4)
    learning_rate: float = _setting("the highest learning rate", 5e-5)
    warm_up: float = _setting("part of all steps in which the learning rate rises", 0.1)
    weight_decay: float = _setting("weight decay, times the learning rate", 0.01)
    max_grad_norm: float = _setting("norm that all gradients together are clipped to", 5.0)
    losses: tuple[str, ...] = _setting("the losses of pre-training", LOSS_NAMES, choices=LOSS_NAMES)
    answer_labels: str = _setting(
        "the scores of all answers (as the authors' VQA and GQA), or the best one alone by cross-entropy",
        "scores",
        choices=("scores", "best"),
    )
    answer_scores: str = _setting(
        "score of an answer: what VQA's evaluation gives it (official), or the part of the annotators who gave it "
        "(share); auto: share where there are fewer than ten annotators",
        "auto",
        choices=("auto", "official", "share"),
    )
    answer_min_count: int | None = _setting(
        "how often an answer must be given to be in the table that is made where none is named; by default 9 as in the "
        "original where there are 100,000 questions or more, otherwise 1",
        None,
    )
    choices: str = _setting(
        "what VCR's model chooses: answers, or reasons", "answers", choices=("answers", "rationales")
    )
    box_features: bool = _setting("whether the numbers of its box follow the features of a region", False)
    text_length: int = _setting("tokens of a text with its special tokens; longer texts are cut", 20)
    regions: int | None = _setting("regions of an image; by default the most in the region stores", None)
    max_examples: int | None = _setting("the most examples to train on, the first ones of the files", None)
    seed: int = _setting("of the weights, the order, the masking and the dropout", 9595)
    precision: str = _setting("dtype of the computation", "float32", choices=("float32", "bfloat16", "float64"))
    gradient_accumulation_steps: int = _setting("micro-batches that a batch is split into, to save memory", 1)
    gradient_checkpointing: bool = _setting("recompute each layer in the backward pass, to save memory", False)
    strategy: str = _setting(
        "several processes or devices: copies of the model (ddp; Keras: mirrored, multi-worker) or parts of it (fsdp)",
        "auto",
        choices=("auto", "single", "ddp", "fsdp", "mirrored", "multi-worker"),
    )
    device: str = _setting("where to compute", "auto", choices=("auto", "cpu", "cuda"))
    workers: int = _setting("processes that load batches ahead (PyTorch)", 0, exact=False)
    evaluate_batch_size: int = _setting("examples of an evaluation batch, which pre-training draws its masks for", 256)
    save_every: int = _setting("steps between checkpoints; at the end of an epoch there is one too", 500, exact=False)
    log_every: int = _setting("steps between lines of the log", 10, exact=False)

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            # Paths are absolute from here on: what a run remembers, it finds again from any folder.
            value = _absolute(entry.name, _checked(entry, getattr(self, entry.name)))
            object.__setattr__(self, entry.name, value)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{setting(name)} must be at least {least}; got {value}.")
        if not self.weight_decay < float("inf"):
            raise ValueError(f"{setting('weight_decay')} must be a number from 0 on; got {self.weight_decay}.")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{setting(name)} must be a number above 0; got {getattr(self, name)}.")
        if not 0 <= self.warm_up < 1:
            raise ValueError(
                f"{setting('warm_up')} must be a part of all steps, from 0 to below 1; got {self.warm_up}."
            )
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"{setting('gradient_accumulation_steps')} must divide {setting('batch_size')}; got "
                f"{self.gradient_accumulation_steps} micro-batches of {self.batch_size} examples."
            )
        known = CONFIGS[self.architecture].field_names()
        for name in self.model_config:
            if name not in known:
                raise ValueError(f"{setting('model_config')}: {unknown_keyword_message(name, known, 'field')}")
        possible = LOSSES[self.architecture]
        if self.task == "pretrain" and not (self.losses and set(self.losses) <= set(possible)):
            given = ", ".join(self.losses) or "none"
            raise ValueError(
                f"{setting('losses')} of {self.architecture} must be some of {', '.join(possible)}; got {given}."
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values


_LEAST = {
    **dict.fromkeys(("batch_size", "epochs", "gradient_accumulation_steps", "evaluate_batch_size", "log_every"), 1),
    **dict.fromkeys(("regions", "max_examples", "save_every", "answer_min_count"), 1),
    **dict.fromkeys(("workers", "seed", "weight_decay"), 0),
    "text_length": 3,
}
_TYPES: dict[type, tuple[Any, str]] = {
    int: (int, "an integer"),
    float: ((int, float), "a number"),
    bool: (bool, "true or false"),
    dict: (dict, "a table of fields"),
    str: (str, "a text"),
}


@cache
def setting_type(name: str) -> tuple[type, bool]:
    """The type of a field (str, int, float, bool, dict, or tuple of texts), and whether it may be None."""
    hint = get_type_hints(Settings)[name]
    optional = type(None) in get_args(hint)
    hint = next(kind for kind in get_args(hint) if kind is not type(None)) if optional else hint
    return get_origin(hint) or hint, optional


def _checked(entry: dataclasses.Field[Any], value: Any) -> Any:
    """A value in the type of its field; a single text is taken as a list of one."""
    name, choices = entry.name, entry.metadata["choices"]
    kind, optional = setting_type(name)
    if value is None and optional:
        return None
    if kind is tuple:
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
            raise TypeError(f"{setting(name)} must be a list of texts; got {shown(value)}.")
        value = tuple(value)
    else:
        accepted, title = _TYPES[kind]
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{setting(name)} must be {title}; got {shown(value)}.")
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError(f"{setting(name)} must be {title} of 64 bits; got a larger one.")
    for choice in value if kind is tuple else (value,):
        if choices and choice not in choices:
            raise ValueError(f"{setting(name)} must be one of {', '.join(choices)}; got {shown(choice)}.")
    return float(value) if kind is float else value


def field_names() -> tuple[str, ...]:
    """The fields of the settings."""
    return tuple(entry.name for entry in dataclasses.fields(Settings))


def make_settings(task: str, *sources: Mapping[str, Any]) -> Settings:
    """Settings of a task from several sources, of which a later one overrides an earlier one.

    A value in no source comes from the recipe, then from `Settings`. Fields of `model_config` are merged one
    by one. A run that starts from weights has their architecture.

    Raises:
        OSError: there are no such weights.
        ValueError, TypeError: as for `Settings`; and for an unknown name, with the nearest one.
    """
    given: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for source in sources:
        for name in source:
            if name not in field_names():
                raise ValueError(f"settings: {unknown_keyword_message(name, field_names())}")
        fields = source.get("model_config", {})
        if not isinstance(fields, Mapping):
            raise TypeError(f"{setting('model_config')} must be a table of fields; got {shown(fields)}.")
        config |= fields
        given |= source
    given.pop("model_config", None)
    if given.setdefault("task", task) != task:
        raise ValueError(f"the settings are of the task {shown(given['task'])}, not of {task}.")
    if given.get("model") and isinstance(given["model"], str) and "architecture" not in given:
        given["architecture"] = model_type_of(given["model"])
    chosen = {"recipe": "original", "architecture": architectures(task)[0], **given}
    for name, value, choices in (
        ("recipe", chosen["recipe"], RECIPES),
        ("task", task, TASKS),
        ("architecture", chosen["architecture"], ARCHITECTURES),
    ):
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{setting(name)} must be one of {', '.join(choices)}; got {shown(value)}.")
    recipe = recipe_values(chosen["recipe"], chosen["architecture"], task, chosen.get("choices"))
    return Settings(**{**recipe, **given, "model_config": config})


PATHS = ("train", "valid", "features", "answers", "model", "model_answers", "vocabulary", "output")
"""The settings that are paths."""

_NAMES = ("model", "vocabulary")  # they may also be names of shipped models or models on the hub, which are no paths


def _absolute(name: str, value: Any, folder: str | Path = "") -> Any:
    """The paths of a setting made absolute; relative ones start at `folder`, by default the working directory."""
    if isinstance(value, (list, tuple)):
        return type(value)(_absolute(name, part, folder) for part in value)
    if name not in PATHS or not isinstance(value, str) or not value:
        return value
    path = os.path.join(folder, value)
    is_name = name in _NAMES and not os.path.exists(path) and not value.endswith((".txt", ".json"))
    return value if is_name else os.path.abspath(path)


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a config file, TOML or JSON. Relative paths in it start at the file's own folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither, or has an unknown field.
    """
    path = Path(path)
    values = read_json(path) if path.suffix == ".json" else read_toml(path)
    for name in values:
        if name not in field_names():
            raise ValueError(f"{path}: {unknown_keyword_message(name, field_names(), 'setting')}")
    return {name: _absolute(name, value, path.parent) for name, value in values.items()}


def differences(before: Mapping[str, Any], now: Settings) -> list[str]:
    """List the fields that differ and that a resumed run may not change, each with its old and new value.

    A field that was not there when the run began had its default value.
    """
    values, defaults = now.to_dict(), Settings(task=now.task, output=now.output).to_dict()
    old = {name: before.get(name, defaults[name]) for name in values}
    return [
        f"{entry.name} was {json.dumps(old[entry.name])} and is {json.dumps(values[entry.name])}"
        for entry in dataclasses.fields(Settings)
        if entry.metadata["exact"] and old[entry.name] != values[entry.name]
    ]
