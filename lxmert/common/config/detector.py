"""The configuration of the Visual Genome detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class DetectorConfig:
    """Sizes and numbers of the Faster R-CNN of "bottom-up attention"; the defaults are those of the published weights.

    The network: a ResNet with `stem_channels`, then stages of `res2_blocks` … `res5_blocks` bottlenecks. Stage 2 has
    `res2_channels` outputs and an inner width of `width_per_group`; each later stage has twice as many. `ceil_pooling`
    says that the stem's pooling has no padding and rounds its size up, as in Caffe. Stage 5 runs on each region, with
    `res5_dilation` in its 3x3 convolutions.

    Source: Anderson et al. 2018 (arXiv 1707.07998); the numbers are those of the port's config.yaml.
    """

    model_type: ClassVar[str] = "visual_genome_detector"

    num_objects: int = 1600
    num_attributes: int = 400
    stem_channels: int = 64
    width_per_group: int = 64
    res2_channels: int = 256
    res2_blocks: int = 3
    res3_blocks: int = 4
    res4_blocks: int = 23
    res5_blocks: int = 3
    res5_dilation: int = 2
    ceil_pooling: bool = True
    proposal_channels: int = 512
    anchor_sizes: tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    anchor_offset: float = 0.0
    pool_size: int = 14
    batch_norm_eps: float = 1e-5
    channel_order: str = "BGR"
    pixel_mean: tuple[float, ...] = (102.9801, 115.9465, 122.7717)
    pixel_std: tuple[float, ...] = (1.0, 1.0, 1.0)
    min_size: int = 800
    max_size: int = 1333
    proposal_box_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    proposals_before_suppression: int = 6000
    num_proposals: int = 300
    proposal_threshold: float = 0.7
    min_proposal_side: float = 0.0
    box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)
    score_threshold: float = 0.2
    suppression_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)
    min_regions: int = 36
    max_regions: int = 36

    @property
    def map_channels(self) -> int:
        """Channels of the backbone's end."""
        return 4 * self.res2_channels

    @property
    def feature_size(self) -> int:
        """Channels of stage 5: the numbers of a region's features."""
        return 8 * self.res2_channels

    @property
    def object_embedding_size(self) -> int:
        """The size of the embedding of a region's object, from which its attributes are predicted."""
        return self.feature_size // 8

    @property
    def attribute_hidden_size(self) -> int:
        """The width of the layer before the attributes' scores."""
        return self.feature_size // 4

    @property
    def num_anchors(self) -> int:
        """Anchors of one cell."""
        return len(self.anchor_sizes) * len(self.anchor_ratios)
