"""A model's weights by the names of the weight-name table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.config.base import ModelConfig
from lxmert.utils.file_bytes import ALIGNED
from lxmert.weights.base_model import StoredModel
from lxmert.weights.naming.key_mapping import Parameter

from ._compat import flatten_layers


class NamedWeights(StoredModel, keras.Model):
    """A model whose variables are found by their names."""

    def locate(self, parameter: Parameter) -> tuple[keras.layers.Layer, str]:
        """The layer that holds a parameter of the name table, and the attribute under which it does."""
        owner = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.keras else parameter.module.rpartition(".")[0]
        return sublayer(owner, path), parameter.leaf.keras or parameter.module.rpartition(".")[2]

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """The number of parameters, tied ones counted once.

        Args:
            only_trainable: whether to count only those that are trained.
            exclude_embeddings: whether to leave out the tables of embeddings.
        """
        every = ((p, w) for p, w in self.weights_by_name() if not p.leaf.is_buffer)
        counted = (w for p, w in every if p.head or p.kind != "embedding" or not exclude_embeddings)
        return sum(int(np.prod(w.shape)) for w in counted if w.trainable or not only_trainable)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """The bytes that the weights take, and the states of dropout unless `return_buffers` is False."""
        weights = [*self.weights, *(self.non_trainable_variables if return_buffers else ())]
        variables = {id(w): w for w in weights}.values()
        return sum(int(np.prod(w.shape)) * np.dtype(w.dtype).itemsize for w in variables)

    def _assign(self, parameter: Parameter, values: np.ndarray) -> None:
        self._assign_keras_layout(parameter, to_torch_layout(parameter, values))

    def _assign_keras_layout(self, parameter: Parameter, values: np.ndarray) -> None:
        """Assign values in Keras' layout."""
        layer, attribute = self.locate(parameter)
        variable = getattr(layer, attribute)
        variable.assign(tensor_of(values.astype(variable.dtype, copy=False)))

    def _arrays(self, prefix: str = "") -> dict[str, np.ndarray]:
        """The values of the parameters under `prefix` by name, in PyTorch's layout."""
        named = ((p, w) for p, w in self.weights_by_name() if p.name.startswith(prefix))
        return {p.name: to_torch_layout(p, ops.convert_to_numpy(w)) for p, w in named}

    def _set_config(self, **changes: Any) -> None:
        """Change the config, which every layer shares."""
        self.config.update(changes, validate=True)
        self.made_from.update(changes)
        self.base.made_from = self.made_from
        for layer in flatten_layers(self):
            if isinstance(getattr(layer, "config", None), ModelConfig):
                layer.config = self.config


def sublayer(owner: Any, path: str) -> Any:
    """The object at an attribute path; in it a number is an index of a list, and a name may be a key of a mapping."""
    for part in path.split("."):
        if isinstance(owner, Mapping):
            owner = owner[part]
        else:
            owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    return owner


def tensor_of(values: np.ndarray) -> Any:
    """An array as a tensor, on the same memory where TensorFlow can take it: it copies twice otherwise."""
    straight = values.dtype.kind == "f" and values.flags.writeable
    if not straight or not values.size or not values.flags.c_contiguous or values.ctypes.data % ALIGNED:
        return values
    import tensorflow

    return tensorflow.experimental.dlpack.from_dlpack(values.__dlpack__())


def to_torch_layout(parameter: Parameter, values: np.ndarray) -> np.ndarray:
    """A variable's values in PyTorch's layout."""
    return parameter.leaf.to_torch(values)
