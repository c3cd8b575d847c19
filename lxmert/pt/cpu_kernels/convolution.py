"""Convolutions with fixed weights, which compute what follows them before they write their results.

A residual network adds and rectifies after every convolution. On a CPU that passes over memory again, which takes a
tenth to a third of the time where maps are large; oneDNN does it while a result is in registers. It is called by the
operators that `torch.compile` uses; in all other cases PyTorch's own operators are called.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lxmert.pt._compat import HAS_ONEDNN_CONVOLUTION, convolution_add_, convolution_pointwise, onednn_supports

from .dispatch import kernels_are_on, self_test


class Convolution:
    """A convolution of maps in channels-last memory, without gradients.

    Args:
        weight: ``[out, in, height, width]``.
        bias: ``[out]``.
        stride, padding, dilation: as `torch.nn.functional.conv2d` takes them.
    """

    def __init__(self, weight: Tensor, bias: Tensor, stride: Any, padding: Any, dilation: Any):
        self.weight, self.bias = weight.to(memory_format=torch.channels_last), bias
        self.places = dict(stride=stride, padding=padding, dilation=dilation)
        self._arguments = (self.weight, bias, list(padding), list(stride), list(dilation), 1)

    def __call__(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
        """Convolve."""
        return F.conv2d(x, self.weight, self.bias, **self.places)

    def relu(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
        """relu(convolution(x))."""
        if _can_use_onednn(x):
            return convolution_pointwise(x, *self._arguments, "relu", [], "")
        return self(x).relu_()

    def add_relu_(self, x: Tensor, other: Tensor) -> Tensor:  # [B, C, H, W], [B, C', H', W'] -> [B, C', H', W']
        """relu(convolution(x) + other), in the memory of `other`, or in other memory."""
        if _can_use_onednn(x) and other.is_contiguous(memory_format=torch.channels_last):
            return convolution_add_(other, x, *self._arguments, "add", 1.0, "relu", [], "")
        return self(x).add_(other).relu_()


def _can_use_onednn(x: Tensor) -> bool:
    """Whether oneDNN takes this input, and whether it may replace PyTorch's own operators."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and kernels_are_on()
        and HAS_ONEDNN_CONVOLUTION
        and type(x) is Tensor
        and x.numel() > 0
        and torch.backends.mkldnn.enabled
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and onednn_supports(x.dtype)
    )


@self_test
def check_convolution() -> bool:
    """Whether oneDNN's convolutions, with what follows them, equal those of PyTorch's public operators."""
    if not HAS_ONEDNN_CONVOLUTION:
        return True
    numbers = torch.linspace(-1, 1, 7 * 8 * 9, dtype=torch.float32, device="cpu").mul(90).sin()
    x = numbers.view(1, 8, 7, 9).contiguous(memory_format=torch.channels_last)
    weight, bias = numbers[: 6 * 8 * 9].cos().view(6, 8, 3, 3), numbers[:6]
    layer = Convolution(weight, bias, (1, 1), (2, 2), (2, 2))
    plain = layer(x)
    other = plain.flip(0, 1).contiguous(memory_format=torch.channels_last)
    pairs = [
        (convolution_pointwise(x, *layer._arguments, "relu", [], ""), plain.relu()),
        (convolution_add_(other.clone(), x, *layer._arguments, "add", 1.0, "relu", [], ""), (plain + other).relu()),
    ]
    return all(torch.allclose(found, expected, rtol=1e-4, atol=1e-5) for found, expected in pairs)
