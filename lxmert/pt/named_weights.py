"""A model's weights by the names of the weight-name table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.naming.key_mapping import Parameter, parameters
from lxmert.weights.naming.tables import head_names


class NamedWeights(nn.Module):
    """A model whose parameters are found by their names."""

    config: ModelConfig

    @classmethod
    def architecture(cls) -> str:
        """The class name that config.json records; that of the nearest class of this package, for a user's subclass."""
        names = [kind.__name__ for kind in cls.__mro__]
        return next((name for name in names if name in SPECS), names[0])

    @classmethod
    def head_names(cls, config: ModelConfig) -> tuple[str, ...]:
        """The heads that this class has under a config."""
        return head_names(cls.architecture(), config)

    @property
    def base(self) -> Any:
        """The backbone; a backbone is its own."""
        return getattr(self, "backbone", self)

    def locate(self, parameter: Parameter) -> tuple[nn.Module, str]:
        """The module that holds a parameter of the name table, and the attribute under which it does."""
        owner: nn.Module = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.torch else parameter.module.rpartition(".")[0]
        return owner.get_submodule(path), parameter.leaf.torch or parameter.module.rpartition(".")[2]

    def weights_by_name(self) -> Iterator[tuple[Parameter, Tensor]]:
        """Every parameter with its row of the name table."""
        pooler = self.base.pooler is not None
        for parameter in parameters(self.config, self.head_names(self.config), pooler):
            module, attribute = self.locate(parameter)
            yield parameter, getattr(module, attribute)

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
