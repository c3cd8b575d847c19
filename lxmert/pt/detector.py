"""The detector of "bottom-up attention": a Faster R-CNN for the objects and attributes of Visual Genome.

Dimensions: B batch, H and W height and width, h and w those of the map, A anchors of a cell, P regions, C features, K
objects (and the background, the last), T attributes (and "no attribute", the last).
Source: Anderson et al. 2018 (arXiv 1707.07998).
"""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lxmert.common.cell_anchors import cell_anchors
from lxmert.common.config.detector import DetectorConfig
from lxmert.common.detector_outputs import DetectorOutput
from lxmert.vision.faster_rcnn.network import Proposed

from ._compat import register_output
from .pretrained_detector import PreTrainedDetector
from .region_pooling import distinct_bins, gather_bins, pool_regions
from .resnet import Backbone, is_plain, make_stage, run_stage

register_output(DetectorOutput)


# Enough for products of full speed, and few enough for the memory: 32 regions take 51 MB after the fifth stage.
REGIONS_AT_ONCE = 32


class ProposalHead(nn.Module):
    """Scores and moves the anchors of every cell of the map."""

    anchors: Tensor

    def __init__(self, config: DetectorConfig):
        super().__init__()
        hidden, count = config.proposal_channels, config.num_anchors
        self.hidden = nn.Conv2d(config.map_channels, hidden, 3, padding=1)
        self.objectness = nn.Conv2d(hidden, count, 1)
        self.deltas = nn.Conv2d(hidden, 4 * count, 1)
        self.register_buffer("anchors", torch.tensor(cell_anchors(config.anchor_sizes, config.anchor_ratios)))
        for layer in (self.hidden, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:  # [B, C, h, w] -> [B, h·w·A], [B, h·w·A, 4]
        """The scores and deltas of all anchors, in the order row, column, anchor."""
        x = F.relu(convolve(self.hidden, feature_map)).to(self.deltas.weight.dtype)
        objectness = self.objectness(x).permute(0, 2, 3, 1).flatten(1)
        return objectness, self.deltas(x).permute(0, 2, 3, 1).reshape(*objectness.shape, 4)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        anchors = self.anchors
        super()._apply(fn, recurse)
        if self.anchors.itemsize < anchors.itemsize:  # 16 bits would round them by pixels
            self.anchors = anchors.to(self.anchors.device)
        return self


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:  # [B, C, h, w] -> [B, C', h, w]
    """layer(x) in the dtype of x, or in that of a layer that was replaced."""
    if x.dtype == layer.weight.dtype or not is_plain(layer):
        return layer(x.to(layer.weight.dtype))
    weight, bias = layer.weight.to(x.dtype), layer.bias.to(x.dtype)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation)


class Predictor(nn.Module):
    """Scores of objects and attributes, and deltas of boxes, from the features of regions."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        size, embedding = config.feature_size, config.object_embedding_size
        self.objects = nn.Linear(size, config.num_objects + 1)
        self.boxes = nn.Linear(size, 4 * config.num_objects)
        self.object_embedding = nn.Embedding(config.num_objects + 1, embedding)
        self.attribute_hidden = nn.Linear(size + embedding, config.attribute_hidden_size)
        self.attributes = nn.Linear(config.attribute_hidden_size, config.num_attributes + 1)
        for layer in (self.objects, self.boxes, self.attribute_hidden, self.attributes):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:  # [P, C] -> [P, K + 1]
        """The scores of the objects."""
        return self.objects(features)

    def box_deltas(self, features: Tensor, object_ids: Tensor) -> Tensor:  # [P, C], [P] -> [P, 4]
        """The deltas of each region for one object, without computing those for the others."""
        if not is_plain(self.boxes):  # its weights alone do not say what it computes
            first = torch.arange(len(features), device=features.device) * (self.boxes.out_features // 4)
            return self.boxes(features).view(-1, 4)[first + object_ids]
        weight = self.boxes.weight.view(-1, 4, features.shape[-1])[object_ids]  # [P, 4, C]
        return (weight @ features[:, :, None])[..., 0] + self.boxes.bias.view(-1, 4)[object_ids]

    def attribute_scores(self, features: Tensor, object_ids: Tensor) -> Tensor:  # [P, C], [P] -> [P, T + 1]
        """The scores of the attributes of regions that show these objects."""
        x = torch.cat([features, self.object_embedding(object_ids)], dim=-1)
        return self.attributes(F.relu(self.attribute_hidden(x)))


class VisualGenomeDetector(PreTrainedDetector):
    """ResNet-101 up to its fourth stage, proposals, and the fifth stage on each region.

    What becomes of scores and deltas, boxes and the choice of regions, is decided in `lxmert.vision`, which both
    backends share. A call computes the first stage; the methods below it, on NumPy arrays, are what the decisions ask.

    Args:
        config: the sizes.
    """

    config_class = DetectorConfig
    config: DetectorConfig

    def __init__(self, config: DetectorConfig):
        super().__init__(config)
        config = self.config
        self.backbone = Backbone(config, config.ceil_pooling, 64.0)
        self.proposal_head = ProposalHead(config)
        self.res5 = make_stage(config, 5, stride=1, dilation=config.res5_dilation)
        self.predictor = Predictor(config)

    def forward(self, pixels: Tensor) -> DetectorOutput:  # [B, 3, H, W]
        """Compute the map, and score and move its anchors.

        Args:
            pixels: resized images of one size in the config's channel order, the mean subtracted.
        """
        feature_map = self.backbone(pixels)
        objectness, deltas = self.proposal_head(feature_map)
        return DetectorOutput(feature_map=feature_map, objectness=objectness, deltas=deltas)

    def pooled_features(self, feature_map: Tensor, rois: np.ndarray) -> Tensor:  # [C, h, w], [P, 4] -> [P, C']
        """The features of regions of one image: the mean of the fifth stage over each."""
        pooled = pool_regions(feature_map, rois, self.config.pool_size)
        return run_stage(self.res5, pooled).mean(dim=(2, 3))

    # NumPy at the doors: `lxmert.vision.faster_rcnn.network.DetectorNetwork`. Without gradients, and with folded norms.

    @property
    def anchors(self) -> np.ndarray:
        """The anchors of one cell, float32 ``[A, 4]``, x1, y1, x2, y2 around 0."""
        return self.proposal_head.anchors.float().cpu().numpy()

    @torch.inference_mode()
    def propose(self, images: np.ndarray) -> Proposed:
        """The first stage, from images ``[B, H, W, 3]``."""
        pixels = self._tensor(images).permute(0, 3, 1, 2)
        if is_plain(self.backbone):
            dtype = getattr(torch, self.precision)
            feature_map = self.backbone.folded(dtype)(pixels.to(dtype))
        else:
            with self._autocast():
                feature_map = self.backbone(pixels)
        objectness, deltas = self.proposal_head(feature_map)
        height, width = feature_map.shape[2:]
        return Proposed(feature_map, (height, width), _array(objectness), _array(deltas))

    @torch.inference_mode()
    def region_features(self, feature_map: Any, image: int, rois: np.ndarray) -> np.ndarray:
        """The features ``[P, C]`` of regions of one image of the batch, given in cells of the map."""
        if not len(rois):
            return np.zeros((0, self.config.feature_size), np.float32)
        bins, places = distinct_bins(feature_map[image], rois, self.config.pool_size)
        return _array(torch.cat(list(self._features_of_bins(bins, places))))

    def _features_of_bins(self, bins: Tensor, places: Tensor) -> Iterator[Tensor]:  # [C, U], [P, n, n] -> [p, C'] ...
        """The mean of the fifth stage over each region, some regions at a time."""
        dtype = self.dtype
        if not is_plain(*self.res5):
            for some in places.split(REGIONS_AT_ONCE):
                with self._autocast():
                    x = run_stage(self.res5, gather_bins(bins.to(dtype), some))
                yield x.mean(dim=(2, 3), dtype=dtype)
            return
        first, *others = (block.folded(bins.dtype) for block in self.res5)
        # The first two products of the stage have one cell as input: once for each bin, not for each place of it.
        reduced, shortcut = (x[0, :, :, 0] for x in first.start(bins[None, :, :, None]))
        for some in places.split(REGIONS_AT_ONCE):
            x = first.finish(gather_bins(reduced, some), gather_bins(shortcut, some))
            yield run_stage(others, x).mean(dim=(2, 3), dtype=dtype)

    @torch.inference_mode()
    def object_scores(self, features: np.ndarray) -> np.ndarray:
        """The scores of the objects, ``[P, K + 1]``."""
        return _array(self.predictor(self._tensor(features)))

    @torch.inference_mode()
    def box_deltas(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The deltas ``[P, 4]`` of each region's box for one object each."""
        return _array(self.predictor.box_deltas(self._tensor(features), self._ids(object_ids)))

    @torch.inference_mode()
    def attribute_scores(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The scores of the attributes, ``[P, T + 1]``."""
        return _array(self.predictor.attribute_scores(self._tensor(features), self._ids(object_ids)))

    def _autocast(self) -> torch.autocast:
        """What computes in the assigned precision where layers are called, because some were replaced."""
        narrow = self._precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=narrow)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)

    def _ids(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.int64)).to(self.device)


def _array(x: Tensor) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32."""
    return (x.float() if x.itemsize < 4 else x).cpu().numpy()
