"""The configuration of VisualBERT's image network for VCR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class VcrDetectorConfig:
    """Sizes and numbers of the network that computes features of given boxes; the defaults are those of the authors.

    The network: a ResNet with `stem_channels`, then stages of `res2_blocks` … `res5_blocks` bottlenecks. Stage 2 has
    `res2_channels` outputs and an inner width of `width_per_group`; each later stage has twice as many. Stage 5 runs on
    each region, at stride 1. With `use_semantics`, the masks of the regions are added to the first `mask_channels` of
    the map, and an embedding of the region's class joins the pooled features.

    An image is resized to fit in `canvas_height` x `canvas_width` and padded to it. `image_mean` and `image_std` are of
    RGB values between 0 and 1.

    Source: `SimpleDetector` of the code of Li et al. 2019 (arXiv 1908.03557), first in that of Zellers et al. 2019
    (arXiv 1811.10830).
    """

    model_type: ClassVar[str] = "vcr_detector"

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

    @property
    def map_channels(self) -> int:
        """Channels of the backbone's end."""
        return 4 * self.res2_channels

    @property
    def pooled_size(self) -> int:
        """Channels of stage 5: the numbers of a region before its class and the projection."""
        return 8 * self.res2_channels
