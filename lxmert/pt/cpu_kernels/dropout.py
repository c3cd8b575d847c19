"""Dropout that draws sixteen bits for each number.

On CPUs PyTorch draws a float for each number, which takes a tenth of a training step, and saves the mask in the dtype
of the input. Here drawing takes a quarter of the time, and the mask takes one or two bytes for each number.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .dispatch import has_hooks, kernels_are_on, self_test

STEPS = 2**16  # a rate is a multiple of 1 / STEPS


def drop(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x), for a dropout layer or its replacement by a user.

    A plain `nn.Dropout` without hooks is not called but computed here, on a CPU. Its rate is rounded to a multiple of
    2⁻¹⁶, and the scale fits the rounded rate.
    """
    if type(layer) is nn.Dropout and not has_hooks(layer):
        return dropout(x, layer.p, layer.training)
    return layer(x)


def drops_nothing(layer: nn.Module) -> bool:
    """Whether `drop` returns its input."""
    return type(layer) is nn.Dropout and not (layer.training and layer.p) and not has_hooks(layer)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Set each number to 0 with probability `rate`, and scale the others to keep the mean."""
    if not training or not rate:
        return x
    if x.device.type != "cpu" or round(rate * STEPS) in (0, STEPS) or not kernels_are_on():
        return torch.nn.functional.dropout(x, rate)
    return _Dropout.apply(x, round(rate * STEPS))


def dropout_mask(x: Tensor, steps: int, generator: torch.Generator | None = None) -> Tensor:
    """A mask of the numbers of x to keep: each is dropped with probability `steps` / 2¹⁶.

    It is bool, or 0 and 1 in x's dtype if that has 16 bits: PyTorch would cast it in each product.
    """
    count = x.numel()
    # random_ draws all 64 bits only for the full range.
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None, generator=generator)
    mask = torch.empty(count, dtype=x.dtype if x.itemsize == 2 else torch.bool, device=x.device)
    return torch.ge(words.view(torch.int16)[:count], steps - STEPS // 2, out=mask).view(x.shape)


def apply_mask(x: Tensor, mask: Tensor, steps: int) -> Tensor:
    """x · mask, scaled to keep the mean."""
    return (x * mask).mul_(STEPS / (STEPS - steps))


class _Dropout(torch.autograd.Function):
    """`apply_mask` with a random mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: int) -> Tensor:
        mask = dropout_mask(x, steps)
        ctx.save_for_backward(mask)
        ctx.steps = steps
        return apply_mask(x, mask, steps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return apply_mask(gradient, mask, ctx.steps), None


@self_test
def check_dropout() -> bool:
    """Whether half of the numbers are dropped at each of the four positions in a word."""
    device = torch.device("cpu")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.ones(2048, 4, dtype=dtype, device=device)
        mask = dropout_mask(x, STEPS // 2, torch.Generator(device).manual_seed(0))
        if not ((mask.float().mean(0) - 0.5).abs() < 0.05).all():
            return False
    return True
