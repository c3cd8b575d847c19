"""The residual network of the detectors: convolutions with frozen norms, bottlenecks, stages.

Dimensions: B batch (or regions), C channels, H and W height and width.
Source: He et al. 2016 (arXiv 1512.03385), with the stride in the first 1x1 convolution as in the original.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lxmert.pt._compat import may_have_hooks
from lxmert.pt.cpu_kernels.convolution import Convolution

Map: TypeAlias = Callable[[Tensor], Tensor]


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

    def folded(self, dtype: torch.dtype) -> Convolution:
        """The same as one convolution with a bias, for inference: the norm is multiplied into the weights.

        That is done anew for each image, in at least float32: it takes about a hundredth of the image's time, and
        nothing has to notice that weights have changed.
        """
        conv, norm = self.conv, self.norm
        least = torch.promote_types(conv.weight.dtype, torch.float32)
        scale = norm.weight.to(least) * (norm.running_var.to(least) + norm.eps).rsqrt()
        weight = (conv.weight.to(least) * scale[:, None, None, None]).to(dtype)
        bias = (norm.bias.to(least) - norm.running_mean.to(least) * scale).to(dtype)
        return Convolution(weight, bias, conv.stride, conv.padding, conv.dilation)


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

    def folded(self, dtype: torch.dtype) -> FoldedBottleneck:
        """The same for inference, with folded norms and in place where that is possible."""
        shortcut = None if self.shortcut is None else self.shortcut.folded(dtype)
        return FoldedBottleneck(
            self.reduce.folded(dtype), self.spatial.folded(dtype), self.expand.folded(dtype), shortcut
        )


class FoldedBottleneck:
    """A bottleneck for inference."""

    def __init__(self, reduce: Convolution, spatial: Convolution, expand: Convolution, shortcut: Convolution | None):
        self.reduce, self.spatial, self.expand = reduce, spatial, expand
        self.shortcut = shortcut

    def __call__(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
        """Run the block."""
        return self.finish(*self.start(x))

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [B, C, H, W] -> [B, C'', H', W'], [B, C', H', W']
        """The two branches as far as each cell of the map is computed from one cell."""
        return self.reduce.relu(x), x if self.shortcut is None else self.shortcut(x)

    def finish(self, reduced: Tensor, shortcut: Tensor) -> Tensor:  # -> [B, C', H', W']
        """The rest of the block, from the two branches, whose memory it may use."""
        return self.expand.add_relu_(self.spatial.relu(reduced), shortcut)


def is_plain(*parts: nn.Module) -> bool:
    """Whether parts are as a detector makes them: without hooks, and nothing replaced, as adapters do."""
    plain = (Backbone, nn.ModuleList, Bottleneck, ConvNorm, FrozenBatchNorm, nn.Conv2d, nn.Linear)
    modules = [module for part in parts for module in part.modules()]
    return all(type(m) in plain and "forward" not in m.__dict__ and not may_have_hooks(m) for m in modules)


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


def run_stage(stage: Iterable[Map], x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H', W']
    """Run the blocks of a stage in sequence."""
    for block in stage:
        x = block(x)
    return x


class Backbone(nn.Module):
    """The stem, its pooling, and stages 2 to 4: a map of one cell for 16 x 16 pixels.

    Args:
        config: the sizes.
        ceil_pooling: whether the pooling has no padding and rounds its size up, as in Caffe; else it is padded by 1.
        pixel_scale: the size of usual pixels, by which the stem starts smaller: frozen norms do not normalize.
    """

    def __init__(self, config: Any, ceil_pooling: bool, pixel_scale: float = 1.0):
        super().__init__()
        self.ceil_pooling = ceil_pooling
        self.stem = ConvNorm(3, config.stem_channels, 7, config.batch_norm_eps, stride=2, gain=1 / pixel_scale)
        self.res2 = make_stage(config, 2, stride=1)
        self.res3 = make_stage(config, 3, stride=2)
        self.res4 = make_stage(config, 4, stride=2)

    def pool(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H / 2, W / 2]
        """Pool the maximum of 3 x 3; the input comes from a ReLU, so that padding with 0 adds nothing."""
        if not self.ceil_pooling:
            return F.max_pool2d(x, 3, stride=2, padding=1)
        right, below = (max(3 - side, 1) for side in (x.shape[3], x.shape[2]))
        return F.max_pool2d(F.pad(x, (0, right, 0, below)), 3, stride=2)

    def forward(self, pixels: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, h, w]
        """Compute the map."""
        x = self.pool(F.relu(self.stem(pixels)))
        for stage in (self.res2, self.res3, self.res4):
            x = run_stage(stage, x)
        return x

    def folded(self, dtype: torch.dtype) -> Map:
        """The same for inference, with folded norms: block after block, so that only one's weights are there twice."""

        def run(pixels: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, h, w]
            x = self.pool(self.stem.folded(dtype).relu(pixels))
            for block in (*self.res2, *self.res3, *self.res4):
                x = block.folded(dtype)(x)
            return x

        return run
