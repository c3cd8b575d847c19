"""Linear layers with the fastest matrix product that PyTorch has for the CPU.

`torch.nn.functional.linear` calls MKL for float32 on a CPU. oneDNN, which PyTorch includes too, is up to twice as fast
on AMD's CPUs, where MKL uses half of the wide registers, and it fuses the activation. Which one is faster is measured
(`product_choice`). oneDNN is called by the operators that `torch.compile` uses; in all other cases PyTorch's own
operator is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from lxmert.pt._compat import HAS_ONEDNN, linear_add, linear_pointwise, onednn_supports, reorder_linear_weight
from lxmert.pt.quantization import are_int8, int8_linears

from .dispatch import has_hooks, kernels_are_on, self_test, weights_are_constant
from .packing import invalidate_packed_weights, packed_weights
from .product_choice import cpu_products

# oneDNN's names of an activation and of its algorithm.
_FUSED = {"gelu": ("gelu", "none"), "gelu_new": ("gelu", "tanh"), "relu": ("relu", ""), "silu": ("swish", "")}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "selu": F.selu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
}


def linear(
    layer: nn.Module, x: Tensor, activation: str | None = None, residual: Tensor | None = None
) -> Tensor:  # [..., in] -> [..., out]
    """activation(layer(x)) + residual, for a linear layer or its replacement by a user.

    Args:
        layer: what is called. A plain `nn.Linear` without hooks is not called but computed here, with the same result.
        x: its input.
        activation: a name in `ACTIVATIONS`, or None for the identity.
        residual: what is added, in the shape of the output.
    """
    if type(layer) is nn.Linear and not has_hooks(layer):
        return product(x, layer.weight, layer.bias, activation, residual)
    return _finish(layer(x), activation, residual)


def linears(layers: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, ...]:  # [..., in] -> [..., out] of each
    """layer(x) for several layers with one input, such as query, key and value: one product if they are packed."""
    if are_int8(layers, x):
        return int8_linears(layers, x)
    packed = _packed_together(layers, x)
    if packed is None:
        return tuple(linear(layer, x) for layer in layers)
    out = _onednn(x, packed, torch.cat([layer.bias for layer in layers]))
    return out.split([len(layer.bias) for layer in layers], -1)


def product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    residual: Tensor | None = None,
) -> Tensor:  # [..., in], [out, in], [out] -> [..., out]
    """activation(x · weightᵀ + bias) + residual.

    Args:
        x, weight, bias: as `torch.nn.functional.linear` takes them.
        activation: a name in `ACTIVATIONS`, or None for the identity.
        residual: what is added, in the shape of the output.
    """
    trained = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if trained and weights_are_constant():
        weight, bias, trained = weight.detach(), None if bias is None else bias.detach(), x.requires_grad
    elif trained:
        invalidate_packed_weights()
    fused = activation in _FUSED and not trained
    # PyTorch's own bfloat16 products are oneDNN's, but without fused activation and packed weights.
    faster = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and not trained)
    # In a graph no size is asked for: it would become fixed.
    large = not is_compiling() and x.numel() * weight.shape[0] >= _MIN_PRODUCTS[trained]
    if not (faster and large and _can_use_onednn(x, (weight, bias))):
        return _finish(F.linear(x, weight, bias), activation, residual)
    if trained:
        return _finish(_Product.apply(x, weight, bias), activation, residual)
    adds = activation is None and residual is not None and _fits(residual, x, (*x.shape[:-1], weight.shape[0]))
    packed = packed_weight(x, weight)
    if packed is None and not (fused or adds) and x.dtype == torch.bfloat16:
        return _finish(F.linear(x, weight, bias), activation, residual)
    weight = weight if packed is None else packed
    if adds:
        return _onednn_add(x, weight, bias, residual)
    if fused and activation is not None:
        return _finish(_onednn(x, weight, bias, *_FUSED[activation]), None, residual)
    return _finish(_onednn(x, weight, bias), activation, residual)


def packed_weight(x: Tensor, *weights: Tensor) -> Tensor | None:  # [..., in], [out, in] of each -> [sum of out, in]
    """The packed weight for a product without gradients; None if there is none, or if plain weights are as fast.

    For a single row in float32 oneDNN reads a plain weight as it is, which is as fast, and rounds differently.
    """
    if x.dtype == torch.float32 and x.numel() == x.shape[-1]:
        return None
    cache = packed_weights()
    return None if cache is None else cache.of(*weights)


def _packed_together(layers: Sequence[nn.Module], x: Tensor) -> Any:
    """The weights of several layers as a packed one, in inference; None if there is none."""
    if torch.is_grad_enabled() or is_compiling() or x.dtype not in (torch.float32, torch.bfloat16):
        return None
    parts = [(layer.weight, layer.bias) for layer in layers if type(layer) is nn.Linear and not has_hooks(layer)]
    if len(parts) < len(layers) or x.numel() * sum(len(weight) for weight, _ in parts) < _MIN_PRODUCTS[False]:
        return None
    if any(bias is None for _, bias in parts) or not _can_use_onednn(x, *parts):
        return None
    return packed_weight(x, *(weight for weight, _ in parts))


def can_replace(layer: nn.Module, x: Tensor) -> bool:
    """Whether the CPU kernels may compute a layer: a plain linear one on a CPU, large enough to be faster."""
    return (
        type(layer) is nn.Linear
        and x.device.type == "cpu"
        and not is_compiling()
        and x.numel() * layer.weight.shape[0] >= _MIN_PRODUCTS[True]
        and type(x) in _PLAIN
        and type(layer.weight) in _PLAIN
        and not has_hooks(layer)
        and kernels_are_on()
    )


def autocast(*parts: Tensor | None) -> tuple[Any, ...]:
    """Cast arguments to autocast's dtype, if autocast is on."""
    if not torch.is_autocast_enabled("cpu"):
        return parts
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(part.to(dtype) if part is not None and part.dtype == torch.float32 else part for part in parts)


class _Product(torch.autograd.Function):
    """The product. Its gradients are products, and so differentiable too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # Each factor is saved for the gradient of the other one.
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.t()) if for_x else None,
            weight_gradient(gradient, x) if for_weight else None,
            bias_gradient(gradient) if for_bias else None,
        )


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:  # [..., out], [..., in] -> [out, in]
    """The gradient of a layer's weight from that of its output, and its input."""
    gradient, x = _rows(gradient), _rows(x)
    # oneDNN copies the transposed gradient; a narrow one costs less than slower products.
    if gradient.dtype == torch.float32 and gradient.shape[1] >= x.shape[1] and cpu_products() == "mixed":
        return gradient.t().mm(x)
    # Where rows lie apart in memory, such as those of the first token, oneDNN is hundreds of times slower.
    return product(gradient.t(), x.contiguous().t())


def bias_gradient(gradient: Tensor) -> Tensor:  # [..., out] -> [out]
    """The gradient of a layer's bias from that of its output."""
    return _rows(gradient).sum(0)


def _rows(x: Tensor) -> Tensor:  # [..., D] -> [K, D]
    return x.reshape(-1, x.shape[-1])


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", algorithm: str = "") -> Tensor:
    return linear_pointwise(x, weight, bias, activation, [], algorithm)


def _onednn_add(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Any) -> Tensor:
    return linear_add(x, residual, weight, bias, "add")


def _finish(x: Tensor, activation: str | None, residual: Tensor | None = None) -> Tensor:
    x = x if activation is None else ACTIVATIONS[activation](x)
    return x if residual is None else x + residual


def _can_use_onednn(x: Tensor, *parameters: tuple[Tensor, Tensor | None]) -> bool:
    """Whether oneDNN takes the products of x and these weights and biases, in place of PyTorch's own operator."""
    size = x.shape[-1]
    for weight, bias in parameters:
        out = len(weight)
        if not (_fits(weight, x, (out, size)) and (bias is None or _fits(bias, x, (out,)))):
            return False
    return (
        x.device.type == "cpu"
        and kernels_are_on()
        and HAS_ONEDNN
        and type(x) in _PLAIN
        and x.layout == torch.strided
        and x.numel() > 0
        and torch.backends.mkldnn.enabled
        and (not torch.is_autocast_enabled("cpu") or x.dtype == torch.get_autocast_dtype("cpu"))
        and onednn_supports(x.dtype)
        and (x.dtype != torch.float32 or cpu_products() != "pytorch")
    )


def _fits(weight: Tensor, x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a tensor has the input's dtype and device and this shape; PyTorch raises the error otherwise."""
    return (
        type(weight) in _PLAIN
        and weight.dtype == x.dtype
        and weight.device == x.device
        and weight.layout == torch.strided
        and weight.shape == shape
    )


@self_test
def check_linear() -> bool:
    """Whether oneDNN's product equals `F.linear` with every activation and a sum, with plain and packed weights."""
    if not HAS_ONEDNN:
        return True
    numbers = torch.linspace(-1, 1, 40 * 64, dtype=torch.float32, device="cpu").cos().sin().view(40, 64)
    x, weight = numbers.split([8, 32])
    bias = weight[:, 0].contiguous()
    for activation in (None, *_FUSED):
        expected = _finish(F.linear(x, weight, bias), activation)
        for packed in (weight, reorder_linear_weight(weight)):
            found = _onednn(x, packed, bias, *_FUSED.get(activation or "", ()))
            if not torch.allclose(found, expected, rtol=1e-4, atol=1e-5):
                return False
            if activation is None:
                added = _onednn_add(x, packed, bias, expected.cos())
                if not torch.allclose(added, expected + expected.cos(), rtol=1e-4, atol=1e-5):
                    return False
    return True


_PLAIN = (Tensor, nn.Parameter)
# The fewest multiplications for which a product is faster, checks included: without and with gradients.
_MIN_PRODUCTS = {False: 2**20, True: 2**23}
