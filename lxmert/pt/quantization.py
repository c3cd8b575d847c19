"""Linear layers with int8 weights, for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from .cpu_kernels.int8 import plain_product, round_rows


class Int8Linear(nn.Module):
    """x · (weight · weight_scale)ᵀ + bias, with the rows of x rounded to int8 as well.

    `weight` [out, in] is int8, and `weight_scale` [out] float32 in a model of any dtype; `bias` [out] has the model's.
    None of them is trained. The input, whose dtype is that of the output, gets the gradient of the product with the
    rounded weight, as if its rows had not been rounded.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        weight = torch.zeros(out_features, in_features, dtype=torch.int8, device=device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.weight_scale: Tensor
        self.register_buffer("weight_scale", torch.ones(out_features, dtype=torch.float32, device=device))
        values = torch.zeros(out_features, dtype=dtype, device=device) if bias else None
        self.bias = None if values is None else nn.Parameter(values, requires_grad=False)

    @classmethod
    def from_linear(cls, layer: nn.Linear) -> Self:
        """Round the weight of a linear layer; the bias is copied."""
        weight = layer.weight.detach()
        new = cls(layer.in_features, layer.out_features, layer.bias is not None, weight.device, weight.dtype)
        rows, scale = round_rows(weight.double() if weight.dtype == torch.float64 else weight.float())
        with torch.no_grad():
            new.weight.copy_(rows)
            new.weight_scale.copy_(scale[:, 0])
            if new.bias is not None:
                new.bias.copy_(layer.bias)
        return new.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:  # [..., in] -> [..., out]
        """Compute the product in the dtype of the input."""
        return plain_product(x, self.weight, self.weight_scale, self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the layer, and cast its bias; the scales stay float32, which no other dtype has to the bit."""
        scale = self.weight_scale
        super()._apply(fn, recurse)
        if self.weight_scale.dtype != scale.dtype:
            self.weight_scale = scale.to(self.weight_scale.device)
        return self

    def extra_repr(self) -> str:
        """The sizes, as those of `nn.Linear`."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
