"""VisualBERT's image network for VCR: features of boxes that are given with an image.

Dimensions: B batch, R boxes of an image, P boxes of a batch without padding, C channels, h and w height and width of
the map, n bins on each side, M cells of a mask on each side, F features, K classes.
Source: Li et al. 2019 (arXiv 1908.03557), after Zellers et al. 2019 (arXiv 1811.10830).
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.common.detector_outputs import VcrDetectorOutput
from lxmert.vision.vcr.boxes import RealBoxes, real_boxes
from lxmert.vision.vcr.images import VcrInputs

from ._compat import register_output
from .pretrained_detector import PreTrainedDetector
from .region_align import align_regions
from .resnet import Backbone, Map, is_plain, make_stage, run_stage

register_output(VcrDetectorOutput)


class VcrDetector(PreTrainedDetector):
    """ResNet-50 up to its fourth stage, RoIAlign over given boxes, and the fifth stage on each.

    relu(projection([mean of the fifth stage, embedding of the class])). The mask of an object is added to the first
    channels of its bins, before the fifth stage.

    Args:
        config: the sizes.
    """

    config_class = VcrDetectorConfig
    config: VcrDetectorConfig

    def __init__(self, config: VcrDetectorConfig):
        super().__init__(config)
        config = self.config
        self.backbone = Backbone(config, ceil_pooling=False)
        self.res5 = make_stage(config, 5, stride=1)
        size = config.pooled_size
        self.object_embedding: Any = None
        self.mask_conv: Any = None
        if config.use_semantics:
            self.object_embedding = nn.Embedding(config.num_objects, config.object_embedding_size)
            self.mask_conv = nn.Conv2d(1, config.mask_channels, 3, stride=2, padding=1)
            nn.init.normal_(self.mask_conv.weight, std=math.sqrt(2 / 9))
            nn.init.zeros_(self.mask_conv.bias)
            size += config.object_embedding_size
        self.projection = nn.Linear(size, config.feature_size)
        self.object_predictor = nn.Linear(config.pooled_size, config.num_objects)
        for layer, std in ((self.projection, math.sqrt(2 / size)), (self.object_predictor, 0.01)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        pixels: Tensor,
        boxes: Tensor | np.ndarray,
        box_mask: Tensor | np.ndarray | None = None,
        object_ids: Tensor | np.ndarray | None = None,
        masks: Tensor | np.ndarray | None = None,
    ) -> VcrDetectorOutput:  # [B, 3, H, W], [B, R, 4], [B, R], [B, R], [B, R, M, M]
        """Compute the features of boxes; what is given is what `lxmert.vision.vcr.images.vcr_inputs` makes.

        Args:
            pixels: images on the canvas, normalized.
            boxes: x1, y1, x2, y2 in pixels of the canvas; the first of each image is all of it.
            box_mask: 0 for padding; by default a box with a negative coordinate is padding.
            object_ids: the class of each box, 0 for the whole image; of a network with `use_semantics`.
            masks: 1 where an object is in its box; all ones by default.
        """
        given = (None if each is None else _array(each) for each in (boxes, box_mask, object_ids, masks))
        real = real_boxes(self.config, len(pixels), *given)
        pooled = self.pooled_features(self.backbone(pixels), real)
        values = self.features(pooled, real), pooled, self.object_predictor(pooled)
        return VcrDetectorOutput(*(_place(each, real, tuple(boxes.shape[:2])) for each in values))

    def pooled_features(
        self, feature_map: Tensor, real: RealBoxes, stage: Iterable[Map] | None = None
    ) -> Tensor:  # [B, C, h, w] -> [P, C']
        """The mean of the fifth stage, or of another form of it, over each box."""
        size = self.config.pool_size
        bins = torch.cat([align_regions(one, real.of(image), size) for image, one in enumerate(feature_map)])
        if self.mask_conv is not None:
            more = self.mask_features(real.masks).to(bins.dtype)
            bins = bins + F.pad(more, (0, 0, 0, 0, 0, bins.shape[1] - more.shape[1]))
        x = run_stage(self.res5 if stage is None else stage, bins)
        return x.mean(dim=(2, 3), dtype=self.dtype)

    def mask_features(self, masks: np.ndarray) -> Tensor:  # [P, M, M] -> [P, mask_channels, n, n]
        """What is added to the first channels of the bins."""
        return self.mask_conv(self._tensor(masks)[:, None] - 0.5)

    def features(self, pooled: Tensor, real: RealBoxes) -> Tensor:  # [P, C] -> [P, F]
        """Join the class of each box, and project."""
        if self.object_embedding is not None:
            ids = torch.from_numpy(real.object_ids).to(pooled.device)
            pooled = torch.cat([pooled, self.object_embedding(ids)], dim=-1)
        return F.relu(self.projection(pooled))

    # NumPy at the doors. Without gradients, and with folded norms.

    @torch.inference_mode()
    def region_features(self, inputs: VcrInputs) -> np.ndarray:
        """The features ``[B, R, F]`` of the boxes of images, zeros for padding.

        The images are computed one by one, so that an image's features are the same whichever are beside it.
        """
        backbone: Map = self.backbone
        stage: list[Map] = list(self.res5)
        dtype = self.dtype
        if is_plain(self.backbone, *self.res5):
            dtype = getattr(torch, self.precision)
            backbone, stage = self.backbone.folded(dtype), [block.folded(dtype) for block in self.res5]
        found = []
        for image, boxes, mask, ids, masks in zip(*inputs, strict=True):
            pixels = self._tensor(image[None]).to(dtype).permute(0, 3, 1, 2)
            real = real_boxes(self.config, 1, boxes[None], mask[None], ids[None], masks[None])
            values = self.features(self.pooled_features(backbone(pixels), real, stage), real)
            found.append(_array(_place(values, real, (1, len(boxes)))))
        return np.concatenate(found)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)


def _place(values: Tensor, real: RealBoxes, shape: tuple[int, int]) -> Tensor:  # [P, C] -> [B, R, C]
    """The values of boxes at their places in the batch, and zeros for its padding."""
    batch = values.new_zeros(*shape, values.shape[-1])
    where = torch.from_numpy(real.image).to(values.device), torch.from_numpy(real.place).to(values.device)
    return batch.index_put(where, values)


def _array(x: Tensor | np.ndarray) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32."""
    if isinstance(x, np.ndarray):
        return x
    return (x.float() if x.is_floating_point() and x.itemsize < 4 else x).detach().cpu().numpy()
