"""A feed-forward layer for training on CPUs: the backward pass recomputes what is cheap instead of storing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lxmert.pt.quantization import are_int8, int8_pair

from .dispatch import weights_are_constant
from .linear import ACTIVATIONS, autocast, bias_gradient, can_replace, linear, product, weight_gradient
from .packing import invalidate_packed_weights

_SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale (Klambauer et al. 2017)
# The gradient of x from that of activation(x).
_DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_backward,
    "relu": lambda gradient, x: torch.ops.aten.threshold_backward(gradient, x, 0),
    "silu": lambda gradient, x: gradient * x.sigmoid() * (1 + x * (-x).sigmoid()),
    "selu": lambda gradient, x: gradient * torch.where(x > 0, _SELU[1], _SELU[0] * _SELU[1] * x.clamp(max=0).exp()),
    "gelu_new": lambda gradient, x: torch.ops.aten.gelu_backward(gradient, x, approximate="tanh"),
}


def linear_pair(
    up: nn.Module, down: nn.Module, x: Tensor, activation: str, residual: Tensor | None = None
) -> Tensor:  # [..., in] -> [..., out]
    """down(activation(up(x))) + residual, which saves the hidden states once for the backward pass on a CPU.

    They are four times as wide as x in these models. PyTorch saves them before the activation and after it; here those
    after it are recomputed. Where weights are constants, PyTorch saves only those before it.

    Args:
        up, down: linear layers, or their replacements by a user.
        x: the input of `up`.
        activation: a name in `ACTIVATIONS`.
        residual: what is added, in the shape of the output.
    """
    if are_int8((up, down), x):
        return int8_pair(up, down, x, ACTIVATIONS[activation], residual)
    if not torch.is_grad_enabled() or weights_are_constant() or not (can_replace(up, x) and can_replace(down, x)):
        return linear(down, linear(up, x, activation), residual=residual)
    invalidate_packed_weights()
    out = _RecomputedPair.apply(*autocast(x, up.weight, up.bias, down.weight, down.bias), activation)
    return out if residual is None else out + residual


class _RecomputedPair(torch.autograd.Function):
    """down(activation(up(x))). The gradients are differentiable."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: Tensor, up_bias: Tensor | None, down: Tensor, down_bias: Tensor | None, activation: str
    ) -> Tensor:
        hidden = product(x, up, up_bias)
        ctx.save_for_backward(x, up, up_bias, down, hidden)
        ctx.activation = activation
        return product(ACTIVATIONS[activation](hidden), down, down_bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, up, up_bias, down, hidden = ctx.saved_tensors
        for_x, for_up, for_up_bias, for_down, for_down_bias, _ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # the gradient is to be differentiated, by what the hidden states depend on too
            hidden = product(x, up, up_bias)
        gradients = [None, None, None, None, bias_gradient(gradient) if for_down_bias else None, None]
        if for_down:
            gradients[3] = weight_gradient(gradient, ACTIVATIONS[ctx.activation](hidden))
        if for_x or for_up or for_up_bias:
            to_hidden = _DERIVATIVES[ctx.activation](product(gradient, down.t()), hidden)
            del hidden
            gradients[0] = product(to_hidden, up.t()) if for_x else None
            gradients[1] = weight_gradient(to_hidden, x) if for_up else None
            gradients[2] = bias_gradient(to_hidden) if for_up_bias else None
        return tuple(gradients)
