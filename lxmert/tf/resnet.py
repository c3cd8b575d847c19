"""The residual network of the detectors: convolutions with frozen norms, bottlenecks, stages.

Dimensions: B batch (or regions), C channels, H and W height and width.
Source: He et al. 2016 (arXiv 1512.03385), with the stride in the first 1x1 convolution as in the original.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import keras
from keras import ops

from ._compat import OpenLayer, flatten_layers
from .init import NormalInitializer

Map: TypeAlias = Callable[[Any], Any]


@keras.saving.register_keras_serializable(package="lxmert")
class FrozenBatchNorm(keras.layers.Layer):
    """(x - moving_mean) / √(moving_variance + eps) · gamma + beta; the statistics never change."""

    def __init__(self, channels: int, eps: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels
        self.eps = eps

    def call(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H, W, C]
        """Normalize each channel."""
        # In at least float32, as PyTorch does: a variance may be more than float16 holds.
        least = keras.backend.result_type(self.compute_dtype, "float32")
        gamma, beta, mean, variance = (
            ops.cast(each, least) for each in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        normalized = (ops.cast(x, least) - mean) * (gamma * ops.rsqrt(variance + self.eps)) + beta
        return ops.cast(normalized, self.compute_dtype)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        shape = (self.channels,)
        self.gamma = self.add_weight(shape, "ones", autocast=False, name="gamma")
        self.beta = self.add_weight(shape, "zeros", autocast=False, name="beta")
        statistics = dict(trainable=False, autocast=False)
        self.moving_mean = self.add_weight(shape, "zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(shape, "ones", name="moving_variance", **statistics)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "channels": self.channels, "eps": self.eps}


@keras.saving.register_keras_serializable(package="lxmert")
class ConvNorm(OpenLayer, keras.layers.Layer):
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
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sizes = dict(
            inputs=inputs, outputs=outputs, kernel=kernel, eps=eps, stride=stride, dilation=dilation, gain=gain
        )
        # Keras pads on one side more than on the other where there is a stride; PyTorch and Caffe on both alike.
        self.padding = dilation * (kernel // 2) if stride > 1 else 0
        self.conv = keras.layers.Conv2D(
            outputs,
            kernel,
            stride,
            padding="valid" if stride > 1 else "same",
            data_format="channels_last",
            dilation_rate=dilation,
            use_bias=False,
            kernel_initializer=NormalInitializer(gain * math.sqrt(2 / (inputs * kernel**2))),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = FrozenBatchNorm(outputs, eps, dtype=self.dtype_policy, name="norm")

    def call(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H', W', C']
        """Convolve and normalize."""
        return self.norm(self.conv(self.pad(x)))

    def pad(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H + 2p, W + 2p, C]
        """Pad all sides alike, where Keras would not."""
        side = (self.padding, self.padding)
        return ops.pad(x, ((0, 0), side, side, (0, 0))) if self.padding else x

    def folded(self, dtype: str) -> Map:
        """The same as one convolution with a bias, for inference: the norm is multiplied into the weights.

        That is done anew for each image, in at least float32: it takes about a hundredth of the image's time, and
        nothing has to notice that weights have changed.
        """
        import tensorflow

        conv, norm = self.conv, self.norm
        least = keras.backend.result_type(conv.variable_dtype, "float32")
        scale = ops.cast(norm.gamma, least) * ops.rsqrt(ops.cast(norm.moving_variance, least) + norm.eps)
        kernel = ops.cast(ops.cast(conv.kernel, least) * scale, dtype)
        bias = ops.cast(ops.cast(norm.beta, least) - ops.cast(norm.moving_mean, least) * scale, dtype)
        stride, dilation = self.sizes["stride"], self.sizes["dilation"]

        def run(x: Any) -> Any:  # [B, H, W, C] -> [B, H', W', C']
            x = ops.conv(self.pad(x), kernel, stride, conv.padding, "channels_last", dilation)
            return tensorflow.nn.bias_add(x, bias)  # which TensorFlow computes within the convolution

        return run

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes are known."""
        self.conv.build((None, None, None, self.sizes["inputs"]))
        self.norm.build((None, None, None, self.sizes["outputs"]))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), **self.sizes}


@keras.saving.register_keras_serializable(package="lxmert")
class Bottleneck(OpenLayer, keras.layers.Layer):
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
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sizes = dict(
            inputs=inputs, inner=inner, outputs=outputs, eps=eps, stride=stride, dilation=dilation, gain=gain
        )
        policy = self.dtype_policy
        self.reduce = ConvNorm(inputs, inner, 1, eps, stride, dtype=policy, name="reduce")
        self.spatial = ConvNorm(inner, inner, 3, eps, dilation=dilation, dtype=policy, name="spatial")
        self.expand = ConvNorm(inner, outputs, 1, eps, gain=gain, dtype=policy, name="expand")
        self.shortcut: Any = None
        if inputs != outputs:
            self.shortcut = ConvNorm(inputs, outputs, 1, eps, stride, dtype=policy, name="shortcut")

    def call(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H', W', C']
        """Run the block."""
        inner = ops.relu(self.spatial(ops.relu(self.reduce(x))))
        return ops.relu(self.expand(inner) + (x if self.shortcut is None else self.shortcut(x)))

    def folded(self, dtype: str) -> FoldedBottleneck:
        """The same for inference, with folded norms."""
        shortcut = None if self.shortcut is None else self.shortcut.folded(dtype)
        return FoldedBottleneck(
            self.reduce.folded(dtype), self.spatial.folded(dtype), self.expand.folded(dtype), shortcut
        )

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes are known."""
        for part in (self.reduce, self.spatial, self.expand, self.shortcut):
            if part is not None and not part.built:
                part.build()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), **self.sizes}


class FoldedBottleneck:
    """A bottleneck for inference."""

    def __init__(self, reduce: Map, spatial: Map, expand: Map, shortcut: Map | None):
        self.reduce, self.spatial, self.expand = reduce, spatial, expand
        self.shortcut = shortcut

    def __call__(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H', W', C']
        """Run the block."""
        return self.finish(*self.start(x))

    def start(self, x: Any) -> tuple[Any, Any]:  # [B, H, W, C] -> [B, H', W', C''], [B, H', W', C']
        """The two branches as far as each cell of the map is computed from one cell."""
        return ops.relu(self.reduce(x)), x if self.shortcut is None else self.shortcut(x)

    def finish(self, reduced: Any, shortcut: Any) -> Any:  # -> [B, H', W', C']
        """The rest of the block, from the two branches."""
        return ops.relu(self.expand(ops.relu(self.spatial(reduced))) + shortcut)


def is_plain(*parts: keras.layers.Layer) -> bool:
    """Whether parts are as a detector makes them: nothing was replaced or quantized, and nothing has an adapter."""
    plain = (Backbone, Bottleneck, ConvNorm, FrozenBatchNorm, keras.layers.Conv2D, keras.layers.Dense)
    layers = [layer for part in parts for layer in flatten_layers(part)]
    changed = ("quantization_mode", "lora_enabled")
    return all(type(layer) in plain and not any(getattr(layer, name, None) for name in changed) for layer in layers)


def make_stage(config: Any, number: int, stride: int, dilation: int = 1, dtype: Any = None) -> list[Bottleneck]:
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
        options = dict(dilation=dilation, gain=blocks**-0.5, dtype=dtype, name=f"res{number}.{block}")
        stage.append(Bottleneck(*sizes, **options))
    return stage


def run_stage(stage: Iterable[Map], x: Any) -> Any:  # [B, H, W, C] -> [B, H', W', C']
    """Run the blocks of a stage in sequence."""
    for block in stage:
        x = block(x)
    return x


@keras.saving.register_keras_serializable(package="lxmert")
class Backbone(OpenLayer, keras.layers.Layer):
    """The stem, its pooling, and stages 2 to 4: a map of one cell for 16 x 16 pixels.

    Args:
        config: the sizes.
        ceil_pooling: whether the pooling has no padding and rounds its size up, as in Caffe; else it is padded by 1.
        pixel_scale: the size of usual pixels, by which the stem starts smaller: frozen norms do not normalize.
    """

    def __init__(self, config: Any, ceil_pooling: bool, pixel_scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.ceil_pooling = ceil_pooling
        self.stem = ConvNorm(
            3, config.stem_channels, 7, config.batch_norm_eps, stride=2, gain=1 / pixel_scale, dtype=policy, name="stem"
        )
        self.res2 = make_stage(config, 2, stride=1, dtype=policy)
        self.res3 = make_stage(config, 3, stride=2, dtype=policy)
        self.res4 = make_stage(config, 4, stride=2, dtype=policy)

    def pool(self, x: Any) -> Any:  # [B, H, W, C] -> [B, H / 2, W / 2, C]
        """Pool the maximum of 3 x 3; the input comes from a ReLU, so that padding with 0 adds nothing."""
        before = 0 if self.ceil_pooling else 1
        height, width = ops.shape(x)[1], ops.shape(x)[2]
        below, right = (ops.maximum(3 - side, 1) if before == 0 else 1 for side in (height, width))
        x = ops.pad(x, ((0, 0), (before, below), (before, right), (0, 0)))
        return ops.max_pool(x, 3, strides=2, padding="valid", data_format="channels_last")

    def call(self, pixels: Any) -> Any:  # [B, H, W, 3] -> [B, h, w, C]
        """Compute the map."""
        x = self.pool(ops.relu(self.stem(pixels)))
        for stage in (self.res2, self.res3, self.res4):
            x = run_stage(stage, x)
        return x

    def folded(self, dtype: str) -> Map:
        """The same for inference, with folded norms."""

        def run(pixels: Any) -> Any:  # [B, H, W, 3] -> [B, h, w, C]
            x = self.pool(ops.relu(self.stem.folded(dtype)(pixels)))
            for block in (*self.res2, *self.res3, *self.res4):
                x = block.folded(dtype)(x)
            return x

        return run

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        parts: list[Any] = [self.stem, *self.res2, *self.res3, *self.res4]
        for part in parts:
            part.build()
