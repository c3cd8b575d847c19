"""The configuration of the Visual Genome detector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from lxmert.utils.paths import CONFIG_NAME

from .base import ModelConfig
from .detector_yaml import YAML_NAME, is_yaml_layout, values_from_yaml
from .keywords import config_fields
from .values import MOST_LAYERS, require

CHANNEL_ORDERS = ("BGR", "RGB")
MOST_ANCHORS = 1000  # of one cell; the published weights have 12
_BLOCKS = ("res2_blocks", "res3_blocks", "res4_blocks", "res5_blocks")
# What takes memory by its square, the published 1,333 and 14; and layers.
_MOST = {"max_size": 20_000, "pool_size": 100, **dict.fromkeys(_BLOCKS, MOST_LAYERS)}
_LENGTHS = {"pixel_mean": 3, "pixel_std": 3, "proposal_box_weights": 4, "box_weights": 4}
_POSITIVE = ("anchor_sizes", "anchor_ratios", "pixel_std", "proposal_box_weights", "box_weights", "batch_norm_eps")
_FRACTIONS = ("proposal_threshold", "score_threshold", "suppression_thresholds")


@config_fields
class DetectorConfig(ModelConfig):
    """Sizes and numbers of the Faster R-CNN of "bottom-up attention"; the defaults are those of the published weights.

    The network: a ResNet with `stem_channels`, then stages of `res2_blocks` … `res5_blocks` bottlenecks. Stage 2 has
    `res2_channels` outputs and an inner width of `width_per_group`; each later stage has twice as many. `ceil_pooling`
    says that the stem's pooling has no padding and rounds its size up, as in Caffe. Stage 5 runs on each region, with
    `res5_dilation` in its 3x3 convolutions. Each cell of the map, of 16 x 16 pixels, has an anchor of every one of
    `anchor_sizes` (side of the square of the same area, in pixels) and `anchor_ratios` (height to width), centred
    `anchor_offset` cells after the cell's top left corner. A region is pooled to `pool_size` x `pool_size` cells.
    `num_objects` and `num_attributes` do not count "background" and "no attribute".

    The input: pixels 0 to 255 with channels in `channel_order`, minus `pixel_mean`, over `pixel_std`, both in that
    order.

    The choice of regions: the `proposals_before_suppression` best proposals with sides above `min_proposal_side` pixels
    are suppressed at `proposal_threshold`, and `num_proposals` remain. The two `*box_weights` divide the predicted
    deltas (dx, dy, dw, dh). The short side `min_size`, the most of the long side, `max_size`, the schedule of
    `suppression_thresholds`, `min_regions` and `max_regions` are those of profile "hf"; for the others
    see `lxmert.vision.faster_rcnn.profiles`. `score_threshold` is kept as a note: no profile of this package reads it.

    `from_pretrained` reads our config.json and the config.yaml of the published weights. Either must hold every field.

    Source: Anderson et al. 2018 (arXiv 1707.07998); the numbers are those of the port's config.yaml.

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: a value out of range, or a field that a file lacks.
    """

    model_type: ClassVar[str] = "visual_genome_detector"
    file_names: ClassVar[tuple[str, ...]] = (CONFIG_NAME, YAML_NAME)
    needs_every_field: ClassVar[bool] = True

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

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **overrides: Any) -> Any:
        """Make a configuration from the keys of our config.json, or from those of the port's config.yaml.

        Arguments and errors as those of `ModelConfig.from_dict`; ValueError too for keys that are missing, which it
        names all, and for the config.yaml of another network. Other keys of a config.yaml are not read.
        """
        if isinstance(config_dict, Mapping) and is_yaml_layout(config_dict):
            config_dict = values_from_yaml(config_dict)
        return super().from_dict(config_dict, **overrides)

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """See `ModelConfig`."""
        anchors = ("anchor_sizes", "anchor_ratios")
        return (*_BLOCKS, "res5_dilation", "ceil_pooling", *anchors, "pool_size", "batch_norm_eps")

    def _checked(self, name: str, value: Any) -> Any:
        value = super()._checked(name, value)
        numbers = value if isinstance(value, tuple) else (value,) if isinstance(value, float) else ()
        require(all(map(math.isfinite, numbers)), name, "finite", value)
        if isinstance(value, tuple):
            wanted = _LENGTHS.get(name)
            require(len(value) > 0, name, "at least one number", value)
            require(wanted in (None, len(value)), name, f"{wanted} numbers", value)
        if name in _POSITIVE:
            require(min(numbers) > 0, name, "above 0", value)
        if name in _FRACTIONS:
            require(min(numbers) >= 0 and max(numbers) <= 1, name, "from 0 to 1", value)
        if name in _MOST:
            require(value <= _MOST[name], name, f"at most {_MOST[name]:,}", value)
        if name == "min_proposal_side":
            require(value >= 0, name, "at least 0", value)
        if name == "channel_order":
            require(value in CHANNEL_ORDERS, name, " or ".join(map(repr, CHANNEL_ORDERS)), value)
        return value

    def validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        super().validate()
        for least, most in (("min_size", "max_size"), ("min_regions", "max_regions")):
            low, high = getattr(self, least), getattr(self, most)
            require(low <= high, least, f"at most {most}, {high}", low)
        require(
            self.num_anchors <= MOST_ANCHORS,
            "anchor_sizes",
            f"at most {MOST_ANCHORS} with every ratio",
            self.num_anchors,
        )
        thresholds = self.suppression_thresholds
        require(tuple(sorted(thresholds)) == thresholds, "suppression_thresholds", "in rising order", thresholds)

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
