"""The residual network of the detectors: convolutions with frozen norms, bottlenecks, stages.

Dimensions: B batch (or regions), C channels, H and W height and width.
Source: He et al. 2016 (arXiv 1512.03385), with the stride in the first 1x1 convolution as in the original.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenBatchNorm(nn.Module):
    """(x - running_mean) / √(running_var + eps) · weight + bias; the statistics never change."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Normalize each channel."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class ConvNorm(nn.Module):
    """norm(conv(x)): a convolution without bias, padded to keep the size but for its stride."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        eps: float,
        stride: int = 1,
        dilation: int = 1,
        gain: float = 1.0,
    ):
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = FrozenBatchNorm(outputs, eps)
        nn.init.normal_(self.conv.weight, std=gain * math.sqrt(2 / (inputs * kernel**2)))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
        """Convolve and normalize."""
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    """relu(expand(relu(spatial(relu(reduce(x))))) + shortcut(x)).

    The shortcut is the identity where the number of channels stays.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        eps: float,
        stride: int = 1,
        dilation: int = 1,
        gain: float = 1.0,
    ):
        super().__init__()
        self.reduce = ConvNorm(inputs, inner, 1, eps, stride)
        self.spatial = ConvNorm(inner, inner, 3, eps, dilation=dilation)
        self.expand = ConvNorm(inner, outputs, 1, eps, gain=gain)
        self.shortcut = ConvNorm(inputs, outputs, 1, eps, stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
        """Run the block."""
        inner = F.relu(self.spatial(F.relu(self.reduce(x))))
        return F.relu(self.expand(inner) + (x if self.shortcut is None else self.shortcut(x)))


def make_stage(config: Any, number: int, stride: int, dilation: int = 1) -> nn.ModuleList:
    """The blocks of stage `number`, 2 to 5, of a config that has `stem_channels`, `width_per_group`, `res2_channels`.

    The last convolution of each block starts smaller the more blocks a stage has: frozen norms do not normalize, and
    the sum of the blocks would grow with each.
    """
    blocks = getattr(config, f"res{number}_blocks")
    outputs, inner = config.res2_channels * 2 ** (number - 2), config.width_per_group * 2 ** (number - 2)
    inputs = config.stem_channels if number == 2 else outputs // 2
    stage = []
    for block in range(blocks):
        first = (inputs, inner, outputs, config.batch_norm_eps, stride)
        sizes = (outputs, inner, outputs, config.batch_norm_eps, 1) if block else first
        stage.append(Bottleneck(*sizes, dilation=dilation, gain=blocks**-0.5))
    return nn.ModuleList(stage)


def run_stage(stage: Iterable[nn.Module], x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
    """Run the blocks of a stage in sequence."""
    for block in stage:
        x = block(x)
    return x


class Backbone(nn.Module):
    """The stem, its pooling, and stages 2 to 4: a map of one cell for 16 x 16 pixels.

    Args:
        config: the sizes.
        ceil_pooling: whether the pooling has no padding and rounds its size up, as in Caffe; else it is padded by 1.
    """

    def __init__(self, config: Any, ceil_pooling: bool):
        super().__init__()
        self.ceil_pooling = ceil_pooling
        self.stem = ConvNorm(3, config.stem_channels, 7, config.batch_norm_eps, stride=2)
        self.res2 = make_stage(config, 2, stride=1)
        self.res3 = make_stage(config, 3, stride=2)
        self.res4 = make_stage(config, 4, stride=2)

    def pool(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H / 2, W / 2]
        """Pool the maximum of 3 x 3; the input comes from a ReLU, so that padding with 0 adds nothing."""
        if not self.ceil_pooling:
            return F.max_pool2d(x, 3, stride=2, padding=1)
        right, below = (max(3 - side, (side + 1) % 2) for side in (x.shape[3], x.shape[2]))
        return F.max_pool2d(F.pad(x, (0, right, 0, below)), 3, stride=2)

    def forward(self, pixels: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, h, w]
        """Compute the map."""
        x = self.pool(F.relu(self.stem(pixels)))
        for stage in (self.res2, self.res3, self.res4):
            x = run_stage(stage, x)
        return x
