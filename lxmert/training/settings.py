"""Everything that a run of training is told: from a recipe, a config file and the command line, in this order.

A run is decided by its settings and its files alone. They are written beside its checkpoints, and a run that goes on
after it was stopped has to have the same ones.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxmert.common.config import LxmertConfig
from lxmert.common.specs import LOSS_NAMES
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import unknown_keyword_message

TASKS = ("pretrain", "vqa", "gqa", "nlvr2")
LOSSES = LOSS_NAMES

# What the authors' scripts of each task say; what they share stands in `Settings`.
ORIGINAL: dict[str, dict[str, Any]] = {
    "pretrain": {"batch_size": 256, "learning_rate": 1e-4, "epochs": 20, "warm_up": 0.05, "max_grad_norm": 1.0},
    "vqa": {"batch_size": 32, "learning_rate": 5e-5, "epochs": 4},
    "gqa": {"batch_size": 32, "learning_rate": 1e-5, "epochs": 4},
    "nlvr2": {"batch_size": 32, "learning_rate": 5e-5, "epochs": 4},
}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "original": {task: {"optimizer": "bert_adam", **values} for task, values in ORIGINAL.items()},
    "adamw": {task: {"optimizer": "adamw", **values} for task, values in ORIGINAL.items()},
}
"""Values by recipe and task: the authors', and the same with AdamW, which decays neither biases nor norms."""


def _told(text: str, default: Any = dataclasses.MISSING, *, exact: bool = True, choices: tuple[str, ...] = ()) -> Any:
    """A field with its line of help; `exact` ones decide the result, and may not change when a run goes on."""
    metadata = {"help": text, "exact": exact, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run of training is told. Each field says what it is for in its `help`.

    Raises:
        ValueError: a value outside of what its field can be; the message names the field.
        TypeError: a value of another kind.
    """

    task: str = _told("what is learned", choices=TASKS)
    output: str = _told("folder for checkpoints, logs and settings", exact=False)
    train: tuple[str, ...] = _told("files of questions, statements or sentences to learn from", ())
    valid: tuple[str, ...] = _told("files that choose the best checkpoint; without them the last one is the best", ())
    features: tuple[str, ...] = _told("region stores with the images of all these files", (), exact=False)
    answers: str | None = _told("table of answers (ans2label, label2ans or all_ans JSON)", None)
    backend: str = _told("PyTorch or Keras", "pt", choices=("pt", "tf"))
    model: str | None = _told(
        "weights to start from: a folder, a file, or a model on the hub; none: from scratch", None
    )
    model_answers: str | None = _told(
        "the table of answers of these weights: their answer head is taken over by the text of the answers", None
    )
    model_config: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "fields of the model's configuration, in place of the defaults or the weights' own",
            "exact": True,
            "choices": (),
        },
    )
    vocabulary: str | None = _told("a vocab.txt or a folder of a tokenizer; by default that of the weights", None)
    recipe: str = _told("what the values not given are taken from", "original", choices=("original", "adamw"))
    optimizer: str = _told("how weights move", "bert_adam", choices=("bert_adam", "adamw"))
    batch_size: int = _told("examples of a step, over all processes and parts", 32)
    epochs: int = _told("passes over the examples", 4)
    learning_rate: float = _told("its peak", 5e-5)
    warm_up: float = _told("part of all steps in which the rate rises", 0.1)
    weight_decay: float = _told("per unit of the learning rate", 0.01)
    max_grad_norm: float = _told("norm that all gradients together are scaled down to", 5.0)
    losses: tuple[str, ...] = _told("what pre-training learns from", LOSSES, choices=LOSSES)
    answer_labels: str = _told(
        "the scores of all answers (as the authors' VQA and GQA), or the best one alone by cross-entropy",
        "scores",
        choices=("scores", "best"),
    )
    text_length: int = _told("tokens of a text, [CLS] and [SEP] among them; longer ones are cut", 20)
    regions: int | None = _told("regions of an image; by default the most in the region stores", None)
    first: int | None = _told("learn from the first so many examples only", None)
    seed: int = _told("of the weights, the order, the masking and the dropout", 9595)
    precision: str = _told("dtype of the computation", "float32", choices=("float32", "bfloat16", "float64"))
    gradient_accumulation_steps: int = _told("parts that a step's examples pass the model in, to save memory", 1)
    gradient_checkpointing: bool = _told("recompute each layer in the backward pass, to save memory", False)
    strategy: str = _told(
        "several processes or devices: copies of the model (ddp, mirrored) or parts of it (fsdp, PyTorch)",
        "auto",
        choices=("auto", "single", "ddp", "fsdp", "mirrored"),
    )
    device: str = _told("where to compute", "auto", choices=("auto", "cpu", "cuda"))
    workers: int = _told("processes that read ahead (PyTorch)", 0, exact=False)
    evaluate_batch_size: int = _told("examples that are scored at once; pre-training draws its masks for so many", 256)
    save_every: int = _told("steps between checkpoints; at the end of an epoch there is one too", 500, exact=False)
    log_every: int = _told("steps between lines of the log", 10, exact=False)

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))
        least = {
            "batch_size": 1,
            "epochs": 1,
            "gradient_accumulation_steps": 1,
            "text_length": 3,
            "evaluate_batch_size": 1,
            "log_every": 1,
        }
        least |= {"regions": 1, "first": 1, "save_every": 1, "workers": 0, "seed": 0, "weight_decay": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name} must be at least {bound}; got {value}.")
        if not self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must be a number from 0 on; got {self.weight_decay}.")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a number above 0; got {getattr(self, name)}.")
        if not 0 <= self.warm_up < 1:
            raise ValueError(f"warm_up must be a part of all steps, from 0 to below 1; got {self.warm_up}.")
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"gradient_accumulation_steps must divide batch_size; got {self.gradient_accumulation_steps} parts of "
                f"{self.batch_size} examples."
            )
        for name in self.model_config:
            if name not in LxmertConfig.field_names():
                raise ValueError(f"model_config: {unknown_keyword_message(name, LxmertConfig.field_names())}")
        if not self.losses and self.task == "pretrain":
            raise ValueError(f"losses must be some of {', '.join(LOSSES)}; got none.")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them, with paths that mean the same from every folder."""
        values = dataclasses.asdict(self)
        return json.loads(json.dumps({**values, **{name: _absolute(name, values[name]) for name in PATHS}}))


_KINDS: dict[str, tuple[Any, str]] = {
    "int": (int, "an integer"),
    "float": ((int, float), "a number"),
    "bool": (bool, "true or false"),
    "dict[str, Any]": (dict, "a table of fields"),
}


def _checked(entry: dataclasses.Field[Any], value: Any) -> Any:
    """A value as its field wants it: integers where fractions may stand, lists where several may."""
    kind, choices = str(entry.type), entry.metadata["choices"]
    if value is None and "None" in kind:
        return None
    if kind.startswith("tuple"):
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
            raise TypeError(f"{entry.name} must be a list of texts; got {value!r}.")
        value, given = tuple(value), tuple(value)
    else:
        wanted, name = _KINDS.get(kind.split(" |")[0], (str, "a text"))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise TypeError(f"{entry.name} must be {name}; got {value!r}.")
        given = (value,)
    if choices and not set(given) <= set(choices):
        wrong = next(choice for choice in given if choice not in choices)
        raise ValueError(f"{entry.name} must be one of {', '.join(choices)}; got {wrong!r}.")
    return float(value) if kind == "float" else value


def field_names() -> tuple[str, ...]:
    """The fields of the settings."""
    return tuple(entry.name for entry in dataclasses.fields(Settings))


def make_settings(task: str, *sources: Mapping[str, Any]) -> Settings:
    """Settings of a task from several sources, of which a later one goes before an earlier one.

    What no source gives comes from the recipe, then from `Settings`. Fields of `model_config` are joined one by one.

    Raises:
        ValueError, TypeError: as for `Settings`; and for a name that is no field, which names the nearest.
    """
    given: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for source in sources:
        for name in source:
            if name not in field_names():
                raise ValueError(f"settings: {unknown_keyword_message(name, field_names())}")
        fields = source.get("model_config", {})
        if not isinstance(fields, Mapping):
            raise TypeError(f"model_config must be a table of fields; got {fields!r}.")
        config |= fields
        given |= source
    given.pop("model_config", None)
    if given.setdefault("task", task) != task:
        raise ValueError(f"the settings are of the task {given['task']}, not of {task}.")
    recipe = given.get("recipe", "original")
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}; got {recipe!r}.")
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
    return Settings(**{**RECIPES[recipe][task], **given, "model_config": config})


def _absolute(name: str, value: Any) -> Any:
    """Paths that mean the same from every folder."""
    if isinstance(value, (list, tuple)):
        return [_absolute(name, part) for part in value]
    # Weights may also be a name on the hub, which is no path.
    is_path = isinstance(value, str) and value and (name != "model" or Path(value).exists())
    return os.path.abspath(value) if is_path else value


# The settings that are paths.
PATHS = ("train", "valid", "features", "answers", "model", "model_answers", "vocabulary", "output")


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a config file, TOML or JSON. Relative paths in it start at the file's own folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither, or holds a name that is no field.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        values = parse_json(text, path)
    else:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is not a TOML file: {error}") from None
    for name in values:
        if name not in field_names():
            raise ValueError(f"{path}: {unknown_keyword_message(name, field_names())}")

    def placed(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [placed(name, part) for part in value]
        if not isinstance(value, str):
            return value
        file = path.parent / value
        # Weights may also be a name on the hub, which is no path.
        return str(file) if name != "model" or file.exists() else value

    return {name: placed(name, value) if name in PATHS else value for name, value in values.items()}


def differences(before: Mapping[str, Any], now: Settings) -> list[str]:
    """What would make a run that goes on another run: each differing field, as it was and as it is."""
    exact = [entry.name for entry in dataclasses.fields(Settings) if entry.metadata["exact"]]
    values = now.to_dict()
    return [
        f"{name} was {json.dumps(before.get(name))} and is {json.dumps(values[name])}"
        for name in exact
        if before.get(name) != values[name]
    ]
