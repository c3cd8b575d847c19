"""VisualBERT's image network for VCR: features of boxes that are given with an image.

Dimensions: B batch, R boxes of an image, P boxes of a batch without padding, C channels, h and w height and width of
the map, n bins on each side, M cells of a mask on each side, F features, K classes.
Source: Li et al. 2019 (arXiv 1908.03557), after Zellers et al. 2019 (arXiv 1811.10830).
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.common.detector_outputs import VcrDetectorOutput
from lxmert.vision.vcr.boxes import RealBoxes, real_boxes
from lxmert.vision.vcr.images import VcrInputs

from ._compat import register_output
from .init import NormalInitializer
from .pretrained_detector import PreTrainedDetector
from .region_align import align_regions
from .resnet import Backbone, Map, is_plain, make_stage, run_stage

register_output(VcrDetectorOutput)


@keras.saving.register_keras_serializable(package="lxmert")
class TFVcrDetector(PreTrainedDetector):
    """ResNet-50 up to its fourth stage, RoIAlign over given boxes, and the fifth stage on each.

    relu(projection([mean of the fifth stage, embedding of the class])). The mask of an object is added to the first
    channels of its bins, before the fifth stage.

    Args:
        config: the sizes.
    """

    config_class = VcrDetectorConfig
    config: VcrDetectorConfig

    def __init__(self, config: VcrDetectorConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        self.backbone = Backbone(config, ceil_pooling=False, dtype=policy, name="backbone")
        self.res5 = make_stage(config, 5, stride=1, dtype=policy)
        size = config.pooled_size
        self.object_embedding: Any = None
        self.mask_conv: Any = None
        if config.use_semantics:
            self.object_embedding = keras.layers.Embedding(
                config.num_objects,
                config.object_embedding_size,
                NormalInitializer(1.0),
                dtype=policy,
                name="object_embedding",
            )
            self.mask_conv = keras.layers.Conv2D(
                config.mask_channels,
                3,
                2,
                data_format="channels_last",
                kernel_initializer=NormalInitializer(math.sqrt(2 / 9)),
                dtype=policy,
                name="mask_conv",
            )
            size += config.object_embedding_size
        initial = NormalInitializer(math.sqrt(2 / size))
        self.projection = keras.layers.Dense(
            config.feature_size, kernel_initializer=initial, dtype=policy, name="projection"
        )
        self.object_predictor = keras.layers.Dense(
            config.num_objects, kernel_initializer=NormalInitializer(0.01), dtype=policy, name="object_predictor"
        )
        self.finish()

    def call(
        self,
        pixels: Any,
        boxes: Any,
        box_mask: Any = None,
        object_ids: Any = None,
        masks: Any = None,
        training: bool = False,
    ) -> VcrDetectorOutput:  # [B, H, W, 3], [B, R, 4], [B, R], [B, R], [B, R, M, M]
        """Compute the features of boxes; what is given is what `lxmert.vision.vcr.images.vcr_inputs` makes.

        Args:
            pixels: images on the canvas, normalized.
            boxes: x1, y1, x2, y2 in pixels of the canvas; the first of each image is all of it.
            box_mask: 0 for padding; by default a box with a negative coordinate is padding.
            object_ids: the class of each box, 0 for the whole image; of a network with `use_semantics`.
            masks: 1 where an object is in its box; all ones by default.
            training: nothing depends on it.
        """
        given = (None if each is None else _array(each) for each in (boxes, box_mask, object_ids, masks))
        real = real_boxes(self.config, len(pixels), *given)
        pooled = self.pooled_features(self.backbone(pixels), real)
        values = self.features(pooled, real), pooled, self.object_predictor(pooled)
        return VcrDetectorOutput(*(_place(each, real, tuple(boxes.shape[:2])) for each in values))

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config."""
        size = self.config.pooled_size
        parts: list[Any] = [self.backbone, *self.res5]
        for part in parts:
            part.build()
        self.object_predictor.build((None, size))
        if self.config.use_semantics:
            self.object_embedding.build((None,))
            self.mask_conv.build((None, None, None, 1))
            size += self.config.object_embedding_size
        self.projection.build((None, size))

    def pooled_features(
        self, feature_map: Any, real: RealBoxes, stage: Iterable[Map] | None = None
    ) -> Any:  # [B, h, w, C] -> [P, C']
        """The mean of the fifth stage, or of another form of it, over each box."""
        size = self.config.pool_size
        bins = ops.concatenate(
            [align_regions(feature_map[image], real.of(image), size) for image in range(len(feature_map))]
        )
        if self.mask_conv is not None:
            more = ops.cast(self.mask_features(real.masks), bins.dtype)
            bins = bins + ops.pad(more, ((0, 0), (0, 0), (0, 0), (0, bins.shape[-1] - more.shape[-1])))
        x = run_stage(self.res5 if stage is None else stage, bins)
        return ops.mean(ops.cast(x, self.compute_dtype), axis=(1, 2))

    def mask_features(self, masks: np.ndarray) -> Any:  # [P, M, M] -> [P, n, n, mask_channels]
        """What is added to the first channels of the bins."""
        # Keras pads on one side more than on the other where there is a stride; PyTorch on both alike.
        return self.mask_conv(ops.pad(self._tensor(masks)[..., None] - 0.5, ((0, 0), (1, 1), (1, 1), (0, 0))))

    def features(self, pooled: Any, real: RealBoxes) -> Any:  # [P, C] -> [P, F]
        """Join the class of each box, and project."""
        if self.object_embedding is not None:
            ids = ops.convert_to_tensor(real.object_ids.astype(np.int32))
            pooled = ops.concatenate([pooled, self.object_embedding(ids)], axis=-1)
        return ops.relu(self.projection(pooled))

    # NumPy at the doors. Without gradients, and with folded norms.

    def region_features(self, inputs: VcrInputs) -> np.ndarray:
        """The features ``[B, R, F]`` of the boxes of images, zeros for padding.

        The images are computed one by one, so that an image's features are the same whichever are beside it.
        """
        backbone: Map = self.backbone
        stage: list[Map] = list(self.res5)
        dtype = self.compute_dtype
        if is_plain(self.backbone, *self.res5):
            dtype = self.precision
            backbone, stage = self.backbone.folded(dtype), [block.folded(dtype) for block in self.res5]
        found = []
        for image, boxes, mask, ids, masks in zip(*inputs, strict=True):
            pixels = ops.cast(self._tensor(image[None]), dtype)
            real = real_boxes(self.config, 1, boxes[None], mask[None], ids[None], masks[None])
            values = self.features(self.pooled_features(backbone(pixels), real, stage), real)
            found.append(_array(_place(values, real, (1, len(boxes)))))
        return np.concatenate(found)

    def _tensor(self, array: np.ndarray) -> Any:
        return ops.convert_to_tensor(array, self.compute_dtype)


def _place(values: Any, real: RealBoxes, shape: tuple[int, int]) -> Any:  # [P, C] -> [B, R, C]
    """The values of boxes at their places in the batch, and zeros for its padding."""
    where = ops.convert_to_tensor(np.stack([real.image, real.place], axis=1).astype(np.int32))
    return ops.scatter(where, values, (*shape, values.shape[-1]))


def _array(x: Any) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32."""
    array: np.ndarray = ops.convert_to_numpy(x)
    return array.astype(np.float32) if array.dtype.kind not in "iub" and array.dtype.itemsize < 4 else array
