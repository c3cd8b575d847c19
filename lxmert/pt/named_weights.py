"""A model's weights by the names of the weight-name table."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lxmert.weights.base_model import BaseModel
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.naming.key_mapping import Parameter


class NamedWeights(BaseModel, nn.Module):
    """A model whose parameters are found by their names."""

    def locate(self, parameter: Parameter) -> tuple[nn.Module, str]:
        """The module that holds a parameter of the name table, and the attribute under which it does."""
        owner: nn.Module = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.torch else parameter.module.rpartition(".")[0]
        return owner.get_submodule(path), parameter.leaf.torch or parameter.module.rpartition(".")[2]

    def num_parameters(self, only_trainable: bool = False) -> int:
        """The number of parameters, tied ones counted once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def _assign(self, parameter: Parameter, values: Tensor) -> None:
        module, attribute = self.locate(parameter)
        trained = getattr(module, attribute).requires_grad
        setattr(module, attribute, nn.Parameter(values, requires_grad=trained))

    def _set_config(self, **changes: Any) -> None:
        """Replace the config, here and in the backbone."""
        self.config = self.base.config = self.config.replace(**changes)


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
