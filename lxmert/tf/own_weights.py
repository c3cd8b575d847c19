"""What a model writes to a folder: the weights of the name table, and those of a user's class under their own names.

Separate from the models, because PyTorch has state dicts for that. Names and layouts are those of PyTorch for the
layers that it has too. So a class with the same layers in either backend reads the folders of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from lxmert.utils.messages import first_few
from lxmert.weights.formats.int8_file import SCALE
from lxmert.weights.formats.raw_io import is_float
from lxmert.weights.formats.safetensors import NamedArray
from lxmert.weights.naming.key_mapping import Parameter, published
from lxmert.weights.save_folder import LazyTensor
from lxmert.weights.saving import Saved

from .added_layers import all_layers, child_layers
from .int8 import Int8Linear
from .named_weights import to_torch_layout

# The layers that PyTorch has too, with its names of their variables.
_LAYERS: dict[type[keras.layers.Layer], dict[str, str]] = {
    keras.layers.Dense: {"kernel": "weight"},
    keras.layers.Embedding: {"embeddings": "weight"},
    keras.layers.LayerNormalization: {"gamma": "weight", "beta": "bias"},
}


class OwnWeight(NamedTuple):
    """A variable that is in no name table; `transposed` says that PyTorch has it the other way round."""

    variable: Any
    transposed: bool

    def read(self) -> np.ndarray:
        """The values in PyTorch's layout."""
        values = ops.convert_to_numpy(self.variable)
        return values.T if self.transposed else values

    def assign(self, values: np.ndarray) -> None:
        """Assign values in PyTorch's layout."""
        values = values.T if self.transposed else values
        self.variable.assign(values.astype(self.variable.dtype, copy=False))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in PyTorch's layout."""
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.transposed else shape


def own_weights(model: Any) -> dict[str, OwnWeight]:
    """The weights that are in no name table, by the paths of their attributes."""
    in_table = {id(weight) for _, weight in _table_weights(model)}
    found: dict[str, OwnWeight] = {}
    for path, layer in all_layers(model):
        if isinstance(layer, Int8Linear):
            continue
        # A sequential model numbers its layers.
        place = [part for part in path.split(".") if part not in ("", "layers")]
        names = next((leaves for kind, leaves in _LAYERS.items() if isinstance(layer, kind)), {})
        for weight in _weights_of(layer):
            leaf = weight.path.removeprefix(f"{layer.path}/").split("/") if layer.path else [weight.name]
            name = ".".join([*place, *leaf[:-1], names.get(leaf[-1], leaf[-1])])
            if id(weight) not in in_table:
                found[_unused(name, found)] = OwnWeight(
                    weight, leaf[-1] == "kernel" and isinstance(layer, keras.layers.Dense)
                )
    return found


def _weights_of(layer: keras.layers.Layer) -> Iterator[Any]:
    """The weights of a layer that are in none of the layers in it."""
    below = {id(weight) for _, part in child_layers(layer) for weight in part.weights}
    yield from (weight for weight in layer.weights if id(weight) not in below)


def _unused(name: str, used: dict[str, OwnWeight]) -> str:
    """The name, or the first one with a number behind it that is not used."""
    numbered = (name if i == 0 else f"{name}_{i}" for i in range(len(used) + 1))
    return next(each for each in numbered if each not in used)


def _table_weights(model: Any) -> Iterator[tuple[Parameter, Any]]:
    """The parameters of the name table; None where the model has another layer in the place of its own."""
    for parameter in model.table_parameters():
        try:
            layer, attribute = model.locate(parameter)
            yield parameter, getattr(layer, attribute)
        except (AttributeError, IndexError):
            yield parameter, None


def saved_weights(model: Any) -> Saved:
    """What `save_pretrained` writes.

    Raises:
        ValueError: something of the model cannot be written so that it is read again; the message names it.
    """
    table = list(_table_weights(model))
    problems = [problem for parameter, weight in table if (problem := _problem(model, parameter, weight))]
    own = own_weights(model)
    problems += [
        f"{name} holds {w.variable.dtype}" for name, w in own.items() if not is_float(np.dtype(w.variable.dtype))
    ]
    problems += [] if problems else _other_kinds(model)
    if problems:
        raise ValueError(
            f"this {type(model).__name__} cannot be saved as what its config says: {first_few(problems, 6, hint='')}. "
            "Save it by model.save as a .keras file, which keeps all of it; or before it is quantized, or without "
            "adapters. A layer of another kind or size belongs in a subclass, beside the layers of the model; "
            "resize_num_qa_labels and resize_token_embeddings change the sizes of those."
        )

    def item(p: Parameter, w: keras.Variable) -> LazyTensor:
        return LazyTensor(p, np.dtype(w.dtype), lambda: to_torch_layout(p, ops.convert_to_numpy(w)))

    others: list[NamedArray] = [(name, np.dtype(w.variable.dtype), w.shape, w.read) for name, w in own.items()]
    return Saved([item(p, w) for p, w in table], [*others, *_scales(model, table)])


def _scales(model: Any, table: Sequence[tuple[Parameter, Any]]) -> Iterator[NamedArray]:
    """The scales of int8 kernels, under their names in the file."""
    mapping = published(model.config.model_type)
    for parameter, weight in table:
        if weight.dtype == "int8":
            scale = ops.convert_to_numpy(model.locate(parameter)[0].scale).reshape(-1, 1)
            name = mapping.key(parameter, model.nested) + SCALE
            yield name, scale.dtype, scale.shape, partial(np.asarray, scale)


def _problem(model: Any, parameter: Parameter, weight: Any) -> str | None:
    """Why a parameter cannot be saved under its name."""
    if weight is None:
        return f"{parameter.name} is not there, because its layer was replaced"
    if not isinstance(weight, keras.Variable):
        return f"{parameter.name} has an adapter that is not merged"
    shape = parameter.leaf.torch_shape(tuple(weight.shape))
    if shape != parameter.shape:
        return f"{parameter.name} is {list(shape)} instead of {list(parameter.shape)}"
    if is_float(np.dtype(weight.dtype)):
        return None
    layer, _ = model.locate(parameter)
    if not isinstance(layer, Int8Linear):
        return f"{parameter.name} is quantized ({weight.dtype}) by Keras"
    scale = ops.convert_to_numpy(layer.scale)
    proper = np.isfinite(scale).all() and (scale > 0).all()
    return None if proper else f"{parameter.name}{SCALE} holds numbers that are not positive and finite"


def _other_kinds(model: Any) -> Iterator[str]:
    """Layers with the weights of the model's own that compute something else; a user's class makes its own again."""
    if model.is_users_class():
        return
    layers = {model.locate(parameter)[0]: parameter for parameter, _ in _table_weights(model)}
    for layer, parameter in layers.items():
        if not type(layer).call.__module__.startswith(("lxmert.", "keras.")):
            yield f"{parameter.module} is a {type(layer).__name__}, which this class does not make"
