"""The name tables of all models, and what follows from them.

The kind of a module decides its parameters, their leaf names, and the only transform there is, another order of axes.
"""

from __future__ import annotations

import functools

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import ModuleRow, architectures, class_spec, is_class

from .detectors import VCR_DETECTOR, VISUAL_GENOME_DETECTOR
from .model_table import ModelTable
from .text_models import LXMERT, VISUAL_BERT

MODELS: dict[str, ModelTable] = {
    "lxmert": LXMERT,
    "visual_bert": VISUAL_BERT,
    "visual_genome_detector": VISUAL_GENOME_DETECTOR,
    "vcr_detector": VCR_DETECTOR,
}
"""The models by the model type of their configuration."""

ANSWERS: dict[str, tuple[str, str]] = {name: model.answers for name, model in MODELS.items() if model.answers}
"""Where the scores of the answers are made, and the config field that counts them, for models that have answers."""


def module_rows(model_type: str) -> tuple[ModuleRow, ...]:
    """The modules of a model with all of its heads, those of registered classes last."""
    return (*MODELS[model_type].rows, *(row for spec in architectures(model_type).values() for row in spec.modules))


def every_head(model_type: str) -> tuple[str, ...]:
    """The heads of a model, in the order of the table."""
    heads = (row.path.split(".")[1] for row in module_rows(model_type) if row.path.startswith("heads."))
    return tuple(dict.fromkeys(heads))


def head_modules(config: ModelConfig, head: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The modules of one head by their path below it ("" for the head itself): kind, and shape of the weight."""
    symbols, prefix = MODELS[config.model_type].sizes(config), f"heads.{head}"
    return {
        row.path.removeprefix(prefix).removeprefix("."): (row.kind, row.shape(symbols))
        for row in module_rows(config.model_type)
        if row.path == prefix or row.path.startswith(f"{prefix}.")
    }


def modules_of_hugging_face(architecture: str) -> dict[str, tuple[str, ...]]:
    """The modules that `transformers` keeps in a task model, by their names there: paths of the backbone and heads."""
    return _modules_of_hugging_face(architecture) if is_class(architecture) else {}


@functools.cache
def _modules_of_hugging_face(architecture: str) -> dict[str, tuple[str, ...]]:
    spec = class_spec(architecture)
    if not spec.heads:
        return {}
    paths: dict[str, dict[str, None]] = {spec.model: {"backbone": None}}
    for row in module_rows(spec.model):
        kind, _, rest = row.path.partition(".")
        head = rest.split(".")[0]
        if kind == "heads" and head in spec.heads:
            paths.setdefault(row.hf_path.split(".")[0], {})[f"heads.{head}"] = None
    return {name: tuple(found) for name, found in paths.items()}


def is_task_model(architecture: str) -> bool:
    """Whether a class, named without the prefix TF, has heads on a backbone rather than being one."""
    return bool(class_spec(architecture).heads)


def head_names(architecture: str, config: ModelConfig) -> tuple[str, ...]:
    """The heads that a model class, named without the prefix TF, has under a config, in the order of the table.

    Raises:
        ValueError: no such class of this model.
    """
    spec = class_spec(architecture)
    if spec.model != config.model_type:
        known = ", ".join(architectures(config.model_type))
        raise ValueError(f"unknown architecture {architecture!r}; known: {known}.")
    switches = spec.optional_heads
    return tuple(head for head in spec.heads if head not in switches or getattr(config, switches[head]))
