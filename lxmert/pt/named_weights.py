"""A model's weights by the names of the weight-name table."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lxmert.weights.base_model import StoredModel
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.naming.key_mapping import Parameter


class NamedWeights(StoredModel, nn.Module):
    """A model whose parameters are found by their names."""

    def locate(self, parameter: Parameter) -> tuple[nn.Module, str]:
        """The module that holds a parameter of the name table, and the attribute under which it does."""
        owner: nn.Module = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.torch else parameter.module.rpartition(".")[0]
        return owner.get_submodule(path), parameter.leaf.torch or parameter.module.rpartition(".")[2]

    @property
    def device(self) -> torch.device:
        """The device of the first parameter."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first floating-point parameter."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """The number of parameters, tied ones counted once.

        Args:
            only_trainable: whether to count only those that are trained.
            exclude_embeddings: whether to leave out the tables of embeddings.
        """
        tables: set[nn.Module] = set()
        if exclude_embeddings:
            # The decoder of a word head scores words, though it is stored as a table of them.
            decoder = getattr(getattr(getattr(self, "heads", None), "word", None), "decoder", None)
            tables = {module for module in self.modules() if isinstance(module, nn.Embedding)} - {decoder}
        left_out = {id(module.weight) for module in tables}
        counted = (p for p in self.parameters() if id(p) not in left_out)
        return sum(p.numel() for p in counted if p.requires_grad or not only_trainable)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """The bytes that the parameters take, and the buffers unless `return_buffers` is False."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.nelement() * tensor.element_size() for tensor in tensors)

    def _assign(self, parameter: Parameter, values: Tensor) -> None:
        module, attribute = self.locate(parameter)
        if parameter.leaf.is_buffer:
            setattr(module, attribute, values)
            return
        trained = getattr(module, attribute).requires_grad
        setattr(module, attribute, nn.Parameter(values, requires_grad=trained))

    def _set_config(self, **changes: Any) -> None:
        """Change the config, which the backbone shares."""
        self.config.update(changes, validate=True)
        self.made_from.update(changes)
        self.base.config, self.base.made_from = self.config, self.made_from


def tensor_of(values: np.ndarray) -> Tensor:
    """An array as a tensor on the same memory; bfloat16, which PyTorch does not take from NumPy, by its bits."""
    if values.dtype == BFLOAT16:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def array_of(tensor: Tensor) -> np.ndarray:
    """A tensor as an array; the inverse of `tensor_of`."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()
