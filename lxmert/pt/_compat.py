"""Every private part of PyTorch that this package uses; no other file uses any.

Each entry has a fallback on public interfaces, which is slower and computes the same. The fallback is taken where this
version of PyTorch has no such part, and everywhere with LXMERT_PUBLIC_ONLY=1 in the environment. All entries were
checked with PyTorch 2.13.0.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lxmert.common.outputs import ModelOutput

PUBLIC_ONLY = os.environ.get("LXMERT_PUBLIC_ONLY") == "1"


def _private(path: str) -> Any:
    """A part of `torch` by its path; None if it does not exist, or with LXMERT_PUBLIC_ONLY=1."""
    found: Any = None if PUBLIC_ONLY else torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


# oneDNN's products and convolutions. Fallback: `torch.nn.functional`'s, and weights as they are.

linear_pointwise = _private("ops.mkldnn._linear_pointwise")
linear_add = _private("ops.mkldnn._linear_pointwise.binary")
reorder_linear_weight = _private("ops.mkldnn._reorder_linear_weight")
HAS_ONEDNN = torch.backends.mkldnn.is_available() and None not in (linear_pointwise, linear_add, reorder_linear_weight)
convolution_pointwise = _private("ops.mkldnn._convolution_pointwise")
convolution_add_ = _private("ops.mkldnn._convolution_pointwise_.binary")
HAS_ONEDNN_CONVOLUTION = torch.backends.mkldnn.is_available() and None not in (convolution_pointwise, convolution_add_)
int8_linear = _private("ops.onednn.qlinear_pointwise.default")
pack_int8_weight = _private("ops.onednn.qlinear_prepack")
HAS_ONEDNN_INT8 = torch.backends.mkldnn.is_available() and None not in (int8_linear, pack_int8_weight)
_supports_bfloat16 = _private("ops.mkldnn._is_mkldnn_bf16_supported")


def onednn_supports(dtype: torch.dtype) -> bool:
    """Whether oneDNN supports this dtype on this CPU. Fallback: only float32."""
    return dtype != torch.bfloat16 or (_supports_bfloat16 is not None and _supports_bfloat16())


def version_of(weight: Tensor) -> object:
    """The version counter of a tensor. Fallback: a new object at each call, as if the tensor had changed."""
    return object() if PUBLIC_ONLY or weight.is_inference() else getattr(weight, "_version", object())


# Hooks of modules. Fallback: assume some, so that the module is called.

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(_private(f"nn.modules.module._global{name}") for name in _HOOKS)
_KNOWS_HOOKS = None not in _GLOBAL_HOOKS and all(hasattr(nn.Identity(), name) for name in _HOOKS)


def may_have_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks."""
    return not _KNOWS_HOOKS or bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or any(_GLOBAL_HOOKS)
    )


# Function transforms, forward-mode AD and dispatch modes. Fallback: assume some, so that PyTorch's own operators are
# called.

_transforms_are_active = _private("_C._are_functorch_transforms_active")
_count_dispatch_modes = _private("_C._len_torch_dispatch_stack")
_count_function_modes = _private("_C._len_torch_function_stack")
_forward_ad = _private("autograd.forward_ad")
_KNOWS_MODES = None not in (_transforms_are_active, _count_dispatch_modes, _count_function_modes) and hasattr(
    _forward_ad, "_current_level"
)


def has_active_modes() -> bool:
    """Whether function transforms, forward-mode AD or dispatch modes are active."""
    return not _KNOWS_MODES or bool(
        _transforms_are_active()
        or _forward_ad._current_level >= 0
        or _count_dispatch_modes() > 0
        or _count_function_modes() > 0
    )


def transforms_are_active() -> bool:
    """Whether function transforms are active. Fallback: none, so that PyTorch refuses reading values under `vmap`."""
    return _transforms_are_active is not None and bool(_transforms_are_active())


def forward_ad_is_active() -> bool:
    """Whether forward-mode AD is active. Fallback: it is not, so that PyTorch refuses it in fused attention."""
    return getattr(_forward_ad, "_current_level", -1) >= 0


# Pytrees. Fallback: as dataclasses, whose leaves are in the order of the fields, inherited ones first.

_register_node = _private("utils._pytree.register_pytree_node")
_key = _private("utils._pytree.MappingKey")


@functools.cache
def register_output(kind: type[ModelOutput]) -> None:
    """Register an output class as a pytree node, which `torch.export` can save."""
    if None in (_register_node, _key):
        torch.export.register_dataclass(kind, serialized_type_name=f"lxmert.{kind.__name__}")
        return

    def names(output: ModelOutput) -> list[str]:
        return [*output, *(name for name in kind.attribute_only if getattr(output, name) is not None)]

    def flatten(output: ModelOutput) -> tuple[list[Any], list[str]]:
        return [getattr(output, name) for name in names(output)], names(output)

    def flatten_with_keys(output: ModelOutput) -> tuple[list[Any], list[str]]:
        return [(_key(name), getattr(output, name)) for name in names(output)], names(output)

    def unflatten(values: Iterable[Any], context: list[str]) -> ModelOutput:
        return kind(dict(zip(context, values, strict=True)))

    _register_node(
        kind,
        flatten,
        unflatten,
        serialized_type_name=f"lxmert.{kind.__name__}",
        flatten_with_keys_fn=flatten_with_keys,
    )


_softmax_backward = _private("_softmax_backward_data")


def softmax_backward(gradient: Tensor, weights: Tensor) -> Tensor:  # [..., C] twice -> [..., C]
    """The gradient of scores from that of their softmax. Fallback: its formula."""
    if _softmax_backward is not None:
        return _softmax_backward(gradient, weights, -1, weights.dtype)
    product = gradient * weights
    return product - weights * product.sum(-1, keepdim=True)


def for_each(operator: str, tensors: Sequence[Tensor], *others: Any, **options: Any) -> Sequence[Tensor]:
    """An operator of `Tensor` for each tensor of a list, in one call. Fallback: a loop.

    Args:
        operator: its name, such as "lerp_".
        tensors: what it is called on.
        others: its further arguments: lists with one for each tensor, or numbers for all of them.
        options: keywords for all of them.
    """
    together = _private(f"_foreach_{operator}")
    if together is not None:
        return together(tensors, *others, **options) or tensors
    rows = ([other[i] if isinstance(other, (list, tuple)) else other for other in others] for i in range(len(tensors)))
    return [getattr(tensor, operator)(*row, **options) for tensor, row in zip(tensors, rows, strict=True)]
