"""Dropout that draws sixteen bits for each number.

PyTorch draws a float for each on a processor, which takes a tenth of a training step, and keeps the mask in the
format of the numbers; here it is drawn in a quarter of the time and kept in a byte.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .dispatch import has_hooks, is_tracing

STEPS = 2**16  # a rate is a multiple of one part of them


def drop(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x), for a dropout layer or whatever a user has put in its place.

    A plain `nn.Dropout` without hooks is not called but computed here, on a processor. Its rate is rounded to a
    multiple of 2⁻¹⁶, and the scale fits the rounded rate.
    """
    if type(layer) is nn.Dropout and not has_hooks(layer):
        return dropped(x, layer.p, layer.training)
    return layer(x)


def dropped(x: Tensor, rate: float, training: bool) -> Tensor:
    """Numbers set to 0 with a probability, and the others scaled so that the mean stays."""
    if not training or not rate:
        return x
    if x.device.type != "cpu" or is_tracing() or round(rate * STEPS) in (0, STEPS):
        return torch.nn.functional.dropout(x, rate)
    return _Dropped.apply(x, round(rate * STEPS))


def kept(shape: torch.Size, steps: int, device: torch.device) -> Tensor:  # bool
    """Which numbers stay: each is dropped with a probability of `steps` / 2¹⁶."""
    count = shape.numel()
    # random_ gives all 64 bits of a number only if it is asked for the whole range.
    drawn = torch.empty(-(-count // 4), dtype=torch.int64, device=device).random_(-(2**63), None).view(torch.int16)
    return (drawn[:count] >= steps - STEPS // 2).view(shape)


def apply_mask(x: Tensor, keep: Tensor, steps: int) -> Tensor:
    """x · keep, scaled so that the mean stays."""
    return (x * keep).mul_(STEPS / (STEPS - steps))


class _Dropped(torch.autograd.Function):
    """`apply_mask`, with a mask that is drawn."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: int) -> Tensor:
        keep = kept(x.shape, steps, x.device)
        ctx.save_for_backward(keep)
        ctx.steps = steps
        return apply_mask(x, keep, steps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return apply_mask(gradient, keep, ctx.steps), None
