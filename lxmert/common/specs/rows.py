"""The types of the table of model classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lxmert.common.outputs import ModelOutput


class ModuleRow(NamedTuple):
    """One module of a model, or one per layer where `layers_field` names the config field that counts the layers.

    Attributes:
        path: the attribute path in both backends; `{i}` is the layer.
        hf_path: Hugging Face's path, by which files name the module.
        kind: a key of `weights.naming.kinds.KINDS`: which parameters it has, and how Keras lays them out.
        size: the shape of the weight in PyTorch's order ([out, in] for dense): integers, config fields, or symbols of
            the sizes of its model's table, as "D", the hidden size.
        layers_field: the config field that counts the layers.
        switch: the config field, or the symbol, that has to be true for the module to exist.
    """

    path: str
    hf_path: str
    kind: str
    size: tuple[str | int, ...]
    layers_field: str | None = None
    switch: str | None = None

    def shape(self, symbols: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of the weight, by the values of the symbols and config fields.

        Raises:
            ValueError: a size that is none of them.
        """
        for size in self.size:
            if not isinstance(size, int) and size not in symbols:
                raise ValueError(f"the sizes of {self.path} must be of {', '.join(sorted(symbols))}; got {size!r}.")
        return tuple(size if isinstance(size, int) else symbols[size] for size in self.size)


class Integers(NamedTuple):
    """The integers that an argument may hold: from `lowest` up to `end`, without it, or -100 where that is `ignored`.

    `end` is an integer, a config field, or the size of an axis of the inputs, as "choices" or "L + R".
    """

    end: str | int
    lowest: int = 0
    ignored: bool = False


class Input(NamedTuple):
    """An input of a served model: its axes, and whether it holds "int" or "float".

    An axis is an integer, a config field, or a letter where any size will do: B batch, L tokens, R regions, P phrases.
    An input with a `default` may be absent: it is filled with that, or the highest number of its range if that is less.
    """

    axes: tuple[str | int, ...]
    kind: str = "int"
    default: int | None = None


class Loss(NamedTuple):
    """One loss of a class.

    Attributes:
        label: the argument that it reads.
        head: the head that it trains.
        scores: the output that metrics compare the label with; None where there is none.
        switch: the config field that switches it off.
        part: of the object head: the key of `obj_labels`, and the layer of the head.
    """

    label: str
    head: str
    scores: str | None = None
    switch: str | None = None
    part: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClassSpec:
    """What loading, saving and conversion know of a model class: all that they need of a detector.

    Attributes:
        model: the model type of its configuration.
        task: what it is for.
        heads: the names of its heads, in the order of the name table; none for a backbone.
        optional_heads: the heads that a config can switch off, each with the config field.
        modules: the modules of its heads, for heads that the name table does not have.
    """

    model: str
    task: str
    heads: tuple[str, ...] = ()
    optional_heads: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[ModuleRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSpec(ClassSpec):
    """Everything about a class of LXMERT or VisualBERT that is not its computation, beside what `ClassSpec` holds.

    Its task is one that `convert(task=…)` and `--head` accept.

    Attributes:
        output: the class of its output.
        scores: the output that holds its scores: what a compiled Keras loss and `verify` compare.
        inputs: the inputs of a served model, by name and in order.
        ranges: the integers that its arguments may hold, by name; the labels are below.
        labels: its labels in order, with the integers that they may hold; None for what holds no integers alone.
        label_aliases: other names of labels, each with the label's own.
        score_labels: the labels that may be rows of scores in 0 … 1 instead.
        losses: its losses by name; one loss called "loss" by default, of the first label and the last head.
    """

    output: type[ModelOutput]
    scores: str
    inputs: Mapping[str, Input]
    ranges: Mapping[str, Integers] = field(default_factory=dict)
    labels: Mapping[str, Integers | None] = field(default_factory=dict)
    label_aliases: Mapping[str, str] = field(default_factory=dict)
    score_labels: tuple[str, ...] = ()
    losses: Mapping[str, Loss] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels and not self.losses:
            if not self.heads:
                raise ValueError("a class with labels must have heads; heads is empty.")
            loss = Loss(next(iter(self.labels)), self.heads[-1], self.scores)
            object.__setattr__(self, "losses", {"loss": loss})
