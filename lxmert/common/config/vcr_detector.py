"""The configuration of VisualBERT's image network for VCR."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .base import ModelConfig
from .keywords import config_fields
from .values import MOST_LAYERS, require

_BLOCKS = ("res2_blocks", "res3_blocks", "res4_blocks", "res5_blocks")
# What takes memory by its square, and layers.
_MOST = {"canvas_height": 20_000, "canvas_width": 20_000, "pool_size": 100, **dict.fromkeys(_BLOCKS, MOST_LAYERS)}


@config_fields
class VcrDetectorConfig(ModelConfig):
    """Sizes and numbers of the network that computes features of given boxes; the defaults are those of the authors.

    The network: a ResNet with `stem_channels`, then stages of `res2_blocks` … `res5_blocks` bottlenecks. Stage 2 has
    `res2_channels` outputs and an inner width of `width_per_group`; each later stage has twice as many. Stage 5 runs on
    each region, at stride 1. With `use_semantics`, the masks of the regions are added to the first `mask_channels` of
    the map, and an embedding of the region's class joins the pooled features.

    A region has `pool_size` x `pool_size` cells of the map, and its mask `mask_size` x `mask_size`, twice as many on a
    side. `num_objects` counts the background. An image is resized to fit in `canvas_height` x `canvas_width` and padded
    to it. `image_mean` and `image_std` are of RGB values between 0 and 1.

    Source: `SimpleDetector` of the code of Li et al. 2019 (arXiv 1908.03557), first in that of Zellers et al. 2019
    (arXiv 1811.10830).

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: a value out of range.
    """

    model_type: ClassVar[str] = "vcr_detector"
    needs_every_field: ClassVar[bool] = True

    num_objects: int = 81
    stem_channels: int = 64
    width_per_group: int = 64
    res2_channels: int = 256
    res2_blocks: int = 3
    res3_blocks: int = 4
    res4_blocks: int = 6
    res5_blocks: int = 3
    pool_size: int = 7
    use_semantics: bool = True
    object_embedding_size: int = 128
    mask_channels: int = 32
    mask_size: int = 14
    feature_size: int = 512
    batch_norm_eps: float = 1e-5
    canvas_height: int = 384
    canvas_width: int = 768
    image_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    image_std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """See `ModelConfig`."""
        return (*_BLOCKS, "use_semantics", "pool_size", "batch_norm_eps")

    def _checked(self, name: str, value: Any) -> Any:
        value = super()._checked(name, value)
        numbers = value if isinstance(value, tuple) else (value,) if isinstance(value, float) else ()
        require(all(map(math.isfinite, numbers)), name, "finite", value)
        if isinstance(value, tuple):
            require(len(value) == 3, name, "3 numbers", value)
        if name in _MOST:
            require(value <= _MOST[name], name, f"at most {_MOST[name]:,}", value)
        if name in ("image_std", "batch_norm_eps"):
            require(min(numbers) > 0, name, "above 0", value)
        return value

    def validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        super().validate()
        if self.use_semantics:
            sides, most = 2 * self.pool_size, self.map_channels
            require((self.mask_size + 1) // 2 * 2 == sides, "mask_size", f"2 * pool_size, {sides}", self.mask_size)
            require(
                self.mask_channels <= most, "mask_channels", f"at most 4 * res2_channels, {most}", self.mask_channels
            )

    @property
    def map_channels(self) -> int:
        """Channels of the backbone's end."""
        return 4 * self.res2_channels

    @property
    def pooled_size(self) -> int:
        """Channels of stage 5: the numbers of a region before its class and the projection."""
        return 8 * self.res2_channels
