"""Linear layers by the fastest matrix product that PyTorch has for the processor.

`torch.nn.functional.linear` calls MKL for float32 on a processor. oneDNN, which PyTorch brings along too, is more than
twice as fast on AMD's processors, whose wide registers MKL leaves half empty, and it applies the activation while a
result is still in registers. It is reached through the operator that `torch.compile` uses, and only where nobody wants
to see a plain linear layer; everywhere else PyTorch's own is called.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import has_hooks, is_tracing
from .packing import packed_weights, weights_are_trained

# What oneDNN calls an activation: its name, and the algorithm.
_FUSED = {"gelu": ("gelu", "none"), "gelu_new": ("gelu", "tanh"), "relu": ("relu", ""), "silu": ("swish", "")}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "selu": F.selu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
}

_SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale (Klambauer et al. 2017)
# The gradient of x from that of activation(x).
_DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_backward,
    "relu": lambda gradient, x: torch.ops.aten.threshold_backward(gradient, x, 0),
    "silu": lambda gradient, x: gradient * x.sigmoid() * (1 + x * (-x).sigmoid()),
    "selu": lambda gradient, x: gradient * torch.where(x > 0, _SELU[1], _SELU[0] * _SELU[1] * x.clamp(max=0).exp()),
    "gelu_new": lambda gradient, x: torch.ops.aten.gelu_backward(gradient, x, approximate="tanh"),
}


def linear(layer: nn.Module, x: Tensor, activation: str | None = None) -> Tensor:  # [..., in] -> [..., out]
    """activation(layer(x)), for a linear layer or whatever a user has put in its place.

    Args:
        layer: what is called. A plain `nn.Linear` without hooks is not called but computed here, with the same result.
        x: its input.
        activation: a name in `ACTIVATIONS`, or None for the identity.
    """
    if type(layer) is nn.Linear and not has_hooks(layer):
        return product(x, layer.weight, layer.bias, activation)
    return _activated(layer(x), activation)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None) -> Tensor:
    # [..., in], [out, in], [out] -> [..., out]
    """activation(x · weightᵀ + bias).

    Args:
        x, weight, bias: as `torch.nn.functional.linear` takes them.
        activation: a name in `ACTIVATIONS`, or None for the identity.
    """
    trained = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if trained:
        weights_are_trained()
    packed = None if trained else packed_weights()
    fused = activation in _FUSED and not trained
    # PyTorch's own products of bfloat16 are oneDNN's, but for the activation, and weights that are laid out.
    faster = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and (fused or packed is not None))
    if not (faster and x.numel() * weight.shape[0] >= _WORTH[trained] and _is_served(x, weight, bias)):
        return _activated(F.linear(x, weight, bias), activation)
    if trained:
        return _activated(_Product.apply(x, weight, bias), activation)
    if packed is not None:
        weight = packed.of(weight)
    if fused and activation is not None:
        return _onednn(x, weight, bias, *_FUSED[activation])
    return _activated(_onednn(x, weight, bias), activation)


def linear_pair(up: nn.Module, down: nn.Module, x: Tensor, activation: str) -> Tensor:  # [..., in] -> [..., out]
    """down(activation(up(x))), of which training on a processor keeps little more than x.

    What is in between is four times as wide as x in these models, and twice there: before the activation and after it.
    What is after it is computed again for the gradients, and what is before it too, but for 16-bit numbers, which take
    half of the place. That costs a twelfth of a step's time, and saves half of its memory.

    Args:
        up, down: linear layers, or whatever a user has put in their places.
        x: the input of `up`.
        activation: a name in `ACTIVATIONS`.
    """
    if not (torch.is_grad_enabled() and is_plain(up, x) and is_plain(down, x)):
        return linear(down, linear(up, x, activation))
    return _Pair.apply(*autocast(x, up.weight, up.bias, down.weight, down.bias), activation)


def is_plain(layer: nn.Module, x: Tensor) -> bool:
    """Whether a layer is a linear one on a processor that nobody watches, and large enough to be worth a question."""
    return (
        type(layer) is nn.Linear
        and x.device.type == "cpu"
        and x.numel() * layer.weight.shape[0] >= _WORTH[True]
        and type(x) in _PLAIN
        and type(layer.weight) in _PLAIN
        and not has_hooks(layer)
        and not is_tracing()
    )


def autocast(*parts: Tensor | None) -> tuple[Any, ...]:
    """What a function of ours is given, in autocast's dtype where that is on."""
    if not torch.is_autocast_enabled("cpu"):
        return parts
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(part.to(dtype) if part is not None and part.dtype == torch.float32 else part for part in parts)


class _Pair(torch.autograd.Function):
    """down(activation(up(x))). The gradients are made of what can be differentiated again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: Tensor, up_bias: Tensor | None, down: Tensor, down_bias: Tensor | None, activation: str
    ) -> Tensor:
        between = product(x, up, up_bias) if x.itemsize <= 2 else None
        active = product(x, up, up_bias, activation) if between is None else ACTIVATIONS[activation](between)
        ctx.save_for_backward(x, up, up_bias, down, between)
        ctx.activation = activation
        return product(active, down, down_bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, up, up_bias, down, between = ctx.saved_tensors
        of_x, of_up, of_up_bias, of_down, of_down_bias, _ = ctx.needs_input_grad
        if between is None or torch.is_grad_enabled():
            between = product(x, up, up_bias)
        given = [None, None, None, None, summed(gradient) if of_down_bias else None, None]
        if of_down:
            given[3] = of_weight(gradient, ACTIVATIONS[ctx.activation](between))
        if of_x or of_up or of_up_bias:
            of_between = _DERIVATIVES[ctx.activation](product(gradient, down.t()), between)
            del between
            given[0] = product(of_between, up.t()) if of_x else None
            given[1] = of_weight(of_between, x) if of_up else None
            given[2] = summed(of_between) if of_up_bias else None
        return tuple(given)


class _Product(torch.autograd.Function):
    """The product with its gradients, which are products again, so that they can be differentiated too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # Each factor is kept for the gradient of the other one.
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, weighs, of_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.t()) if of_x else None,
            of_weight(gradient, x) if weighs else None,
            summed(gradient) if of_bias else None,
        )


def of_weight(gradient: Tensor, x: Tensor) -> Tensor:  # [..., out], [..., in] -> [out, in]
    """The gradient of a layer's weight from that of its output, and its input."""
    return product(_rows(gradient).t(), _rows(x).t())


def summed(gradient: Tensor) -> Tensor:  # [..., out] -> [out]
    """The gradient of a layer's bias from that of its output."""
    return _rows(gradient).sum(0)


def _rows(x: Tensor) -> Tensor:  # [..., D] -> [K, D]
    return x.reshape(-1, x.shape[-1])


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", algorithm: str = "") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)


def _activated(x: Tensor, activation: str | None) -> Tensor:
    return x if activation is None else ACTIVATIONS[activation](x)


def _is_served(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN takes this product, and nobody would miss PyTorch's own operator."""
    return (
        not is_tracing()
        and x.device.type == "cpu"
        and type(x) in _PLAIN
        and x.layout == torch.strided
        and x.numel() > 0
        and _fits(weight, x, (weight.shape[0], x.shape[-1]))
        and (bias is None or _fits(bias, x, (weight.shape[0],)))
        and _HAS_ONEDNN
        and torch._C._get_mkldnn_enabled()
        and (not torch.is_autocast_enabled("cpu") or x.dtype == torch.get_autocast_dtype("cpu"))
        and (x.dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def _fits(weight: Tensor, x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a parameter is a plain one of the input's kind and place; what is wrong is PyTorch's to refuse."""
    return (
        type(weight) in _PLAIN
        and weight.dtype == x.dtype
        and weight.device == x.device
        and weight.layout == torch.strided
        and weight.shape == shape
    )


_PLAIN = (Tensor, nn.Parameter)
# Multiplications from which a product gains more than it costs to ask: without gradients, and with a function of ours.
_WORTH = {False: 2**20, True: 2**23}
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
