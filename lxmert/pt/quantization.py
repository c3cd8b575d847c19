"""Linear layers with int8 weights, for inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from lxmert.weights.naming.quantized import is_quantized

from ._compat import PUBLIC_ONLY
from .cpu_kernels.dispatch import has_hooks, known_layer
from .cpu_kernels.int8 import (
    Int8Weight,
    can_use_onednn,
    computing_dtype,
    int8_product,
    packed_weight,
    plain_weight,
    round_rows,
)
from .cpu_kernels.packing import WeightState

_ROWS = 384  # of a feed-forward layer that are computed at a time, so that they stay in the cache


class RoundedWeight(NamedTuple):
    """The weight of an `Int8Linear`: integers [out, in], and the scale of each row [out]."""

    rows: Tensor
    scale: Tensor


def round_weight(weight: Tensor) -> RoundedWeight:  # [out, in]
    """The weight of a linear layer in int8, as `quantize` rounds it."""
    rows, scale = round_rows(weight.to(computing_dtype(weight)))
    return RoundedWeight(rows, scale[:, 0].float())


@known_layer
class Int8Linear(nn.Module):
    """x · (weight · weight_scale)ᵀ + bias, with the rows of x rounded to int8 as well.

    `weight` [out, in] is int8, and `weight_scale` [out] float32 in a model of any dtype; `bias` [out] has the model's.
    None of them is trained. The input, whose dtype is that of the output, gets the gradient of the product with the
    rounded weight, as if its own rows had not been rounded.
    """

    weight_scale: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        weight = torch.zeros(out_features, in_features, dtype=torch.int8, device=device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("weight_scale", torch.ones(out_features, dtype=torch.float32, device=device))
        values = torch.zeros(out_features, dtype=dtype, device=device) if bias else None
        self.bias = None if values is None else nn.Parameter(values, requires_grad=False)
        self._packed: dict[int, tuple[list[WeightState], Int8Weight]] = {}  # by the number of layers in one
        self.register_load_state_dict_pre_hook(_round_loaded)

    @classmethod
    @torch.inference_mode(False)  # whose tensors have no versions
    @torch.no_grad()
    def from_linear(cls, layer: nn.Linear) -> Self:
        """Round the weight of a linear layer; the bias is copied."""
        weight = layer.weight
        new = cls(layer.in_features, layer.out_features, layer.bias is not None, weight.device, weight.dtype)
        if not weight.is_meta:
            rows, scale = round_weight(weight)
            new.weight.copy_(rows)
            new.weight_scale.copy_(scale)
            if new.bias is not None:
                new.bias.copy_(layer.bias)
        return new.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:  # [..., in] -> [..., out]
        """Compute the product in the dtype of the input."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _StraightThrough.apply(x, self.weight, self.weight_scale, self.bias, self)
        return int8_product(x, weight_of((self,), x))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the layer, and cast its bias; the scales stay float32, as no other dtype of models holds them."""
        scale = self.weight_scale
        super()._apply(fn, recurse)
        if self.weight_scale.dtype != scale.dtype:
            self.weight_scale = scale.to(self.weight_scale.device)
        self._packed = {}
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but packed weights, which PyTorch does not copy."""
        return self.__dict__ | {"_packed": {}}

    def extra_repr(self) -> str:
        """The sizes, as those of `nn.Linear`."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _round_loaded(layer: Int8Linear, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A hook of `load_state_dict`: a weight of floating-point numbers is rounded; copying it would cut it to zeros."""
    weight = state_dict.get(f"{prefix}weight")
    if isinstance(weight, Tensor) and weight.is_floating_point() and weight.ndim == 2:
        state_dict[f"{prefix}weight"], state_dict[f"{prefix}weight_scale"] = round_weight(weight.detach())


class _StraightThrough(torch.autograd.Function):
    """The product, with the gradient that it has if its input is not rounded."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, layer: Int8Linear) -> Tensor:
        return int8_product(x, weight_of((layer,), x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:3])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, scale = ctx.saved_tensors
        rounded = weight.to(gradient.dtype) * scale.to(gradient.dtype)[:, None]
        return gradient @ rounded, None, None, None, None


def weight_of(layers: Sequence[Int8Linear], x: Tensor) -> Int8Weight:
    """The weights of layers under each other for an input: packed once for oneDNN, or as they are."""
    if not can_use_onednn(x):
        return plain_weight(*_joined(layers), computing_dtype(x))
    first = layers[0]
    known = first._packed.get(len(layers))
    if known is None or not all(state.is_of(layer.weight) for state, layer in zip(known[0], layers, strict=True)):
        with torch.inference_mode(False), torch.no_grad():
            states = [WeightState(layer.weight) for layer in layers]
            known = first._packed[len(layers)] = (states, packed_weight(*_joined(layers)))
    scale, bias = _joined_rows(layers)
    return known[1]._replace(scale=scale, bias=None if bias is None else bias.float())


def _joined(layers: Sequence[Int8Linear]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Weights, scales and biases of layers, one after the other."""
    weights = [layer.weight.detach() for layer in layers]
    return (weights[0] if len(weights) == 1 else torch.cat(weights), *_joined_rows(layers))


def _joined_rows(layers: Sequence[Int8Linear]) -> tuple[Tensor, Tensor | None]:
    """The scales and biases alone."""
    if len(layers) == 1:
        return layers[0].weight_scale, layers[0].bias
    scales, biases = zip(*((layer.weight_scale, layer.bias) for layer in layers), strict=True)
    return torch.cat(scales), None if biases[0] is None else torch.cat(biases)


def are_int8(layers: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether layers may be computed together: all are int8, alike and without hooks, and need no gradients."""
    return (
        all(type(layer) is Int8Linear and not has_hooks(layer) for layer in layers)
        and not (torch.is_grad_enabled() and x.requires_grad)
        and can_use_onednn(x)
    )


def int8_linears(layers: Sequence[Any], x: Tensor) -> tuple[Tensor, ...]:  # [..., in] -> [..., out] of each
    """layer(x) of several layers with one input, which is rounded once; see `are_int8`."""
    return int8_product(x, weight_of(layers, x)).split([layer.out_features for layer in layers], -1)


def int8_pair(
    up: Any, down: Any, x: Tensor, activation: Callable[[Tensor], Tensor], residual: Tensor | None = None
) -> Tensor:  # [..., in] -> [..., out]
    """down(activation(up(x))) + residual, some rows at a time; see `are_int8`."""
    first, second = weight_of((up,), x), weight_of((down,), x)
    rows = x.reshape(-1, x.shape[-1]).split(_ROWS)
    added = [None] * len(rows) if residual is None else residual.reshape(-1, residual.shape[-1]).split(_ROWS)
    done = []
    for part, other in zip(rows, added, strict=True):
        out = int8_product(activation(int8_product(part, first)), second)
        done.append(out if other is None else out.add_(other))
    return (done[0] if len(done) == 1 else torch.cat(done)).view(*x.shape[:-1], -1)


def quantize_model(model: Any, mode: str) -> None:
    """Put int8 layers in the place of a model's linear layers that `is_quantized` names; see `quantize`."""
    name = type(model).__name__
    if mode != "int8":
        raise ValueError(f"quantize takes the mode 'int8'; got {mode!r}.")
    if has_int8_layers(model):
        raise ValueError(f"this {name} is quantized already.")
    if model.training:
        raise ValueError(f"this {name} is in training mode, and a quantized model is not trained: call eval() first.")
    layers: dict[str, Any] = {path: module for path, module in model.base.named_modules() if is_quantized(path)}
    for path, layer in layers.items():
        if type(layer) is not nn.Linear or (has_hooks(layer) and not PUBLIC_ONLY):
            what = f"a {type(layer).__name__}" if type(layer) is not nn.Linear else "a layer with hooks"
            raise ValueError(
                f"quantize replaces layers that are plain nn.Linear, and {path} is {what}. Merge adapters first "
                "(peft: merge_and_unload), and remove hooks and other quantization."
            )
    for path in layers:
        parent, _, attribute = path.rpartition(".")
        setattr(model.base.get_submodule(parent), attribute, Int8Linear.from_linear(layers[path]))


def has_int8_layers(model: nn.Module) -> bool:
    """Whether a model is quantized."""
    return any(isinstance(module, Int8Linear) for module in model.modules())
