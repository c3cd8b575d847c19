"""Products of int8 numbers: every row of the input is rounded to 255 steps of its own, every row of the weight too.

The numbers of a row are the integers -127 … 127 times a scale, so that the largest is exact. A product of integers is
exact, and is multiplied by both scales. An answer does not depend on the other rows of its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 127  # the largest integer; -128 is not used, so that rounding is symmetric
SMALLEST = 1e-30  # the largest number of a row counts as at least this: a row of zeros has a scale too
_EXACT = 1024  # so many products of two such integers have a sum that float32 holds exactly


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:  # [K, D] -> [K, D] int8, [K, 1]
    """The rows of a floating-point tensor as integers and scales, with x ≈ integers · scale.

    A row that holds inf or NaN has such a scale, and no finite products.
    """
    largest = x.abs().amax(-1, keepdim=True).clamp_(min=SMALLEST)
    return torch.mul(x, LARGEST / largest).round_().to(torch.int8), largest / LARGEST


def integer_product(rows: Tensor, weight: Tensor) -> Tensor:  # [K, in] int8, [out, in] int8 -> [K, out] int32
    """rows · weightᵀ by PyTorch's public operators, exactly."""
    parts = zip(rows.split(_EXACT, -1), weight.split(_EXACT, -1), strict=True)
    # Each is a product of floats that holds the integers exactly, also in TF32 and bfloat16.
    return sum((a.float() @ b.float().t()).to(torch.int32) for a, b in parts)  # type: ignore[return-value]


def plain_product(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None) -> Tensor:
    # [..., in], [out, in] int8, [out], [out] -> [..., out]
    """x · (weight · weight_scale)ᵀ + bias by PyTorch's public operators, with the rows of x rounded."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    rows, scale = round_rows(x.reshape(-1, x.shape[-1]).to(dtype))
    out = integer_product(rows, weight).to(dtype) * weight_scale.to(dtype)
    out = out * scale if bias is None else torch.addcmul(bias.to(dtype), out, scale)
    return out.to(x.dtype).view(*x.shape[:-1], weight.shape[0])
