"""Products of int8 numbers: each row of the input is rounded to 255 steps of its own, each row of the weight too.

The numbers of a row become the integers -127 … 127 times a scale, so that the largest is exact. The product of integers
is exact, whoever computes it, and is multiplied by both scales. A row's result does not depend on the other rows.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from lxmert.pt._compat import HAS_ONEDNN_INT8, int8_linear, pack_int8_weight

from .dispatch import kernels_are_on

_LARGEST = 127  # -128 is not used: rounding is symmetric
_SMALLEST = 1e-30  # the smallest scale: a row of zeros has one too
_EXACT = 1024  # the sum of so many products of two such integers is exact in float32
_FLIP = 128  # oneDNN is fast for unsigned inputs only: 128 is added to each integer, and is its zero point


class Int8Weight(NamedTuple):
    """A weight for `int8_product`: that of one layer, or those of several under each other."""

    weight: Tensor  # [out, in] int8; packed for oneDNN if `zeros` is there
    scale: Tensor  # [out] float32, or float64 for float64 inputs
    bias: Tensor | None  # [out], likewise
    zeros: Tensor | None  # [out] int32


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:  # [K, D] -> [K, D] int8, [K, 1]
    """The rows of a float32 or float64 tensor as integers and scales: x is about integers · scale.

    A row that holds NaN or an infinity has a scale that is not finite. The products of such a row are NaN.
    """
    scale = x.abs().amax(-1, keepdim=True).mul_(1 / _LARGEST).clamp_(min=_SMALLEST)
    return (x * scale.reciprocal()).round_().to(torch.int8), scale


def int8_product(x: Tensor, weight: Int8Weight) -> Tensor:  # [..., in] -> [..., out]
    """x · weightᵀ + bias in the dtype of x, without gradients."""
    dtype, scales, bias = computing_dtype(x), weight.scale, weight.bias
    rows, scale = round_rows(x.reshape(-1, x.shape[-1]).to(dtype))
    if weight.zeros is None:
        out = integer_product(rows, weight.weight).to(dtype) * scales
        out = out * scale if bias is None else torch.addcmul(bias, out, scale)
    else:
        unsigned = rows.view(torch.uint8).bitwise_xor_(_FLIP)
        out = int8_linear(
            unsigned, 1.0, _FLIP, weight.weight, scales, weight.zeros, None, 1.0, 0, dtype, "none", [], ""
        )
        out = out.mul_(scale) if bias is None else torch.addcmul(bias, out, scale, out=out)
    return out.to(x.dtype).view(*x.shape[:-1], out.shape[-1])


def integer_product(rows: Tensor, weight: Tensor) -> Tensor:  # [K, in] int8, [out, in] int8 -> [K, out] int32
    """rows · weightᵀ by PyTorch's public operators, exactly."""
    parts = zip(rows.split(_EXACT, -1), weight.split(_EXACT, -1), strict=True)
    device = rows.device.type
    casts = torch.amp.is_autocast_available(device)  # to dtypes that do not hold the sums
    with torch.autocast(device, enabled=False) if casts else nullcontext():
        # Floating-point products hold these integers exactly, in TF32 too.
        first, *others = ((a.float() @ b.float().t()).to(torch.int32) for a, b in parts)
    return sum(others, first)


def computing_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which rows are rounded and products scaled."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def can_use_onednn(x: Tensor) -> bool:
    """Whether oneDNN's int8 product takes the place of PyTorch's operators for this input."""
    return (
        x.device.type == "cpu"
        and HAS_ONEDNN_INT8
        and type(x) is Tensor
        and x.dtype != torch.float64
        and x.numel() > 0
        and torch.backends.mkldnn.enabled
        and kernels_are_on()
        and _onednn_is_exact()
    )


def plain_weight(weight: Tensor, scale: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Int8Weight:
    """An int8 weight [out, in] as it is, for PyTorch's operators in this dtype."""
    return Int8Weight(weight, scale.to(dtype), None if bias is None else bias.to(dtype), None)


def packed_weight(weight: Tensor, scale: Tensor, bias: Tensor | None) -> Int8Weight:
    """An int8 weight [out, in] in oneDNN's memory format."""
    zeros = torch.zeros(weight.shape[0], dtype=torch.int32, device="cpu")
    return Int8Weight(pack_int8_weight(weight, None), scale, None if bias is None else bias.float(), zeros)


@functools.cache
def _onednn_is_exact() -> bool:
    """Whether oneDNN's int8 product equals the exact one to the bit.

    On CPUs without instructions for it (VNNI) oneDNN adds two products in 16 bits, which is too few.
    """
    with torch.inference_mode(False), torch.no_grad():
        numbers = torch.linspace(-9, 9, 45 * 96, dtype=torch.float32, device="cpu").exp().sin().view(45, 96)
        x, weight = numbers.split([5, 40])
        x[1], weight[1], x[2], weight[2] = 1.0, 1.0, -1.0, -1.0
        rows, scale = round_rows(weight)
        plain = plain_weight(rows, scale[:, 0].contiguous(), weight[:, 0].contiguous(), torch.float32)
        try:
            return torch.equal(int8_product(x, packed_weight(*plain[:3])), int8_product(x, plain))
        except (RuntimeError, TypeError):  # another signature, or no such product on this CPU
            return False
