"""Rows by the name of their class, rows of classes from outside, and the ranges and shapes that rows declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from lxmert.common.config.base import ModelConfig
from lxmert.common.validation.shared import Range

from .rows import ClassSpec, Input, Integers, ModelSpec
from .table import DETECTORS, SPECS


def spec_of(architecture: str) -> ModelSpec:
    """The row of a model class.

    Args:
        architecture: the class name without the prefix TF.

    Raises:
        ValueError: there is no such row.
    """
    if architecture not in SPECS:
        raise ValueError(
            f"unknown architecture {architecture!r}; known: {', '.join(SPECS)}. For a class of your own call "
            "lxmert.common.specs.register_spec first."
        )
    return SPECS[architecture]


def class_spec(architecture: str) -> ClassSpec:
    """The row of a model class or of a detector; see `spec_of`."""
    return DETECTORS[architecture] if architecture in DETECTORS else spec_of(architecture)


def is_class(architecture: str) -> bool:
    """Whether there is such a model class or detector."""
    return architecture in SPECS or architecture in DETECTORS


def architectures(model_type: str) -> dict[str, ClassSpec]:
    """The classes of one model with their rows, the backbone first."""
    return {name: spec for name, spec in {**SPECS, **DETECTORS}.items() if spec.model == model_type}


def tasks() -> tuple[str, ...]:
    """The tasks of LXMERT and VisualBERT, as `convert(task=…)` and `--head` accept them."""
    return tuple(dict.fromkeys(spec.task for spec in SPECS.values()))


def register_spec(name: str, spec: ModelSpec) -> None:
    """Add the row of a class from outside of this package. After it, the class loads, saves, converts and trains.

    Args:
        name: the name of the PyTorch class; that of the Keras class has the prefix TF.
        spec: the row.

    Raises:
        ValueError: the name has another row, starts with TF or is no name of a class; the model, the scores, a label or
            a head is unknown; a head has no modules; or a row of `modules` is not one that new heads can be made from.
    """
    if SPECS.get(name) == spec:
        return  # a notebook cell ran again
    if name in SPECS:
        raise ValueError(f"{name} has a row already; choose another name for the class.")
    if not name.isidentifier():
        raise ValueError(f"name must be that of a class; got {name!r}.")
    if name.startswith("TF"):
        raise ValueError(f"name must be that of the PyTorch class, without the prefix TF; got {name!r}.")
    same_model = [other for other in SPECS.values() if other.model == spec.model]
    if not same_model:
        models = ", ".join(dict.fromkeys(other.model for other in SPECS.values()))
        raise ValueError(f"model must be one of {models}; got {spec.model!r}.")
    known = {head for other in same_model for head in other.heads}
    new = set(spec.heads) - known
    for row in spec.modules:
        start, _, rest = row.path.partition(".")
        head, _, layer = rest.partition(".")
        if start != "heads" or head not in new or "." in layer:
            raise ValueError(
                "modules must be heads.NAME or heads.NAME.LAYER, of new heads that are among `heads`; "
                f"got {row.path!r}."
            )
        if row.kind not in ("dense", "norm"):
            raise ValueError(f'the kind of {row.path} must be "dense" or "norm"; got {row.kind!r}.')
        if len(row.size) != (2 if row.kind == "dense" else 1):
            raise ValueError(f"the size of {row.path} must be (out, in) if dense, (D,) if norm; got {row.size}.")
    bare = new - {row.path.split(".")[1] for row in spec.modules}
    if bare:
        raise ValueError(f"modules must have a row for each layer of a new head; {', '.join(sorted(bare))} has none.")
    outputs = [entry.name for entry in fields(spec.output)]
    if spec.scores not in outputs:
        raise ValueError(f"scores must be one of the outputs {', '.join(outputs)}; got {spec.scores!r}.")
    for loss, reads in spec.losses.items():
        if reads.label not in spec.labels or reads.head not in spec.heads:
            raise ValueError(
                f"the loss {loss!r} must read one of the labels {', '.join(spec.labels)} and train one of the heads "
                f"{', '.join(spec.heads)}; got {reads.label!r} and {reads.head!r}."
            )
    SPECS[name] = spec


def _total(size: str | int, sizes: Mapping[str, int]) -> int | None:
    """The value of a size, or None if one of its parts is unknown."""
    if isinstance(size, int):
        return size
    known = [sizes[part] for part in size.split(" + ") if part in sizes]
    return sum(known) if len(known) == len(size.split(" + ")) else None


def _ranges(spec: ModelSpec) -> Iterator[tuple[str, Integers]]:
    labels = {**spec.labels, **{alias: spec.labels[name] for alias, name in spec.label_aliases.items()}}
    for name, integers in {**spec.ranges, **labels}.items():
        if integers is not None:
            yield name, integers


def value_ranges(
    config: ModelConfig, architecture: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, Range]:
    """The integers that ids and labels may be, by argument name, as far as the sizes are known.

    Labels that may also be rows of scores have their range as classes here.

    Args:
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
        shapes: the shapes of the arguments by name, as far as they are known: some ranges count choices, or positions
            in the sequence of words and regions.
    """
    spec, sizes = spec_of(architecture), config.attributes()
    for name, shape in (shapes or {}).items():
        axes = spec.inputs.get("input_ids" if name == "inputs_embeds" else name, Input(())).axes
        sizes |= {axis: size for axis, size in zip(axes, shape, strict=False) if isinstance(axis, str)}
    ends = {name: (_total(integers.end, sizes), integers) for name, integers in _ranges(spec)}
    return {
        name: Range(end, integers.lowest, integers.ignored) for name, (end, integers) in ends.items() if end is not None
    }


def input_shapes(config: ModelConfig, architecture: str) -> dict[str, Input]:
    """The inputs of a served model, with the sizes of a configuration in the place of its fields.

    Args:
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
    """
    fields: Mapping[Any, int] = config.attributes()
    return {
        name: given._replace(axes=tuple(fields.get(axis, axis) for axis in given.axes))
        for name, given in spec_of(architecture).inputs.items()
    }
