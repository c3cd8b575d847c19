"""The detector of "bottom-up attention": a Faster R-CNN for the objects and attributes of Visual Genome.

Dimensions: B batch, H and W height and width, h and w those of the map, A anchors of a cell, P regions, C features, K
objects (and the background, the last), T attributes (and "no attribute", the last).
Source: Anderson et al. 2018 (arXiv 1707.07998).
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.cell_anchors import cell_anchors
from lxmert.common.config.detector import DetectorConfig
from lxmert.common.detector_outputs import DetectorOutput
from lxmert.vision.network import Proposed

from ._compat import OpenLayer, register_output
from .init import NormalInitializer
from .region_pooling import pool_regions
from .resnet import Backbone, make_stage, run_stage

register_output(DetectorOutput)


class ProposalHead(OpenLayer, keras.layers.Layer):
    """Scores and moves the anchors of every cell of the map."""

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        hidden, count = config.proposal_channels, config.num_anchors
        options = dict(
            padding="same",
            data_format="channels_last",
            kernel_initializer=NormalInitializer(0.01),
            dtype=self.dtype_policy,
        )
        self.hidden = keras.layers.Conv2D(hidden, 3, name="hidden", **options)
        self.objectness = keras.layers.Conv2D(count, 1, name="objectness", **options)
        self.deltas = keras.layers.Conv2D(4 * count, 1, name="deltas", **options)

    def call(self, feature_map: Any) -> tuple[Any, Any]:  # [B, h, w, C] -> [B, h·w·A], [B, h·w·A, 4]
        """The scores and deltas of all anchors, in the order row, column, anchor."""
        x = ops.relu(self.hidden(feature_map))
        batch = ops.shape(x)[0]
        return ops.reshape(self.objectness(x), (batch, -1)), ops.reshape(self.deltas(x), (batch, -1, 4))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        self.hidden.build((None, None, None, self.config.map_channels))
        self.objectness.build((None, None, None, self.config.proposal_channels))
        self.deltas.build((None, None, None, self.config.proposal_channels))
        anchors = cell_anchors(self.config.anchor_sizes, self.config.anchor_ratios)
        self.anchors = self.add_weight(
            anchors.shape,
            lambda shape, dtype: ops.convert_to_tensor(anchors, dtype),
            trainable=False,
            autocast=False,
            name="anchors",
        )


class Predictor(OpenLayer, keras.layers.Layer):
    """Scores of objects and attributes, and deltas of boxes, from the features of regions."""

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        options = dict(kernel_initializer=NormalInitializer(0.01), dtype=self.dtype_policy)
        self.objects = keras.layers.Dense(config.num_objects + 1, name="objects", **options)
        self.boxes = keras.layers.Dense(4 * config.num_objects, name="boxes", **options)
        self.object_embedding = keras.layers.Embedding(
            config.num_objects + 1,
            config.object_embedding_size,
            NormalInitializer(1.0),
            dtype=self.dtype_policy,
            name="object_embedding",
        )
        self.attribute_hidden = keras.layers.Dense(config.attribute_hidden_size, name="attribute_hidden", **options)
        self.attributes = keras.layers.Dense(config.num_attributes + 1, name="attributes", **options)

    def call(self, features: Any) -> Any:  # [P, C] -> [P, K + 1]
        """The scores of the objects."""
        return self.objects(features)

    def box_deltas(self, features: Any, object_ids: Any) -> Any:  # [P, C], [P] -> [P, 4]
        """The deltas of each region for one object, without computing those for the others."""
        kernel = ops.reshape(self.boxes.kernel, (features.shape[-1], -1, 4))
        kernel = ops.transpose(ops.take(kernel, object_ids, axis=1), (1, 2, 0))  # [P, 4, C]
        bias = ops.take(ops.reshape(self.boxes.bias, (-1, 4)), object_ids, axis=0)
        return ops.matmul(kernel, features[:, :, None])[..., 0] + bias

    def attribute_scores(self, features: Any, object_ids: Any) -> Any:  # [P, C], [P] -> [P, T + 1]
        """The scores of the attributes of regions that show these objects."""
        x = ops.concatenate([features, self.object_embedding(object_ids)], axis=-1)
        return self.attributes(ops.relu(self.attribute_hidden(x)))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        size, embedding = self.config.feature_size, self.config.object_embedding_size
        self.objects.build((None, size))
        self.boxes.build((None, size))
        self.object_embedding.build((None,))
        self.attribute_hidden.build((None, size + embedding))
        self.attributes.build((None, self.config.attribute_hidden_size))


class TFVisualGenomeDetector(OpenLayer, keras.Model):
    """ResNet-101 up to its fourth stage, proposals, and the fifth stage on each region.

    What becomes of scores and deltas, boxes and the choice of regions, is decided in `lxmert.vision`, which both
    backends share. A call computes the first stage; the methods below it, on NumPy arrays, are what the decisions ask.

    Args:
        config: the sizes.
    """

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        policy = self.dtype_policy
        self.backbone = Backbone(config, config.ceil_pooling, dtype=policy, name="backbone")
        self.proposal_head = ProposalHead(config, dtype=policy, name="proposal_head")
        self.res5 = make_stage(config, 5, stride=1, dilation=config.res5_dilation, dtype=policy)
        self.predictor = Predictor(config, dtype=policy, name="predictor")
        with keras.name_scope(self.name):
            self.make_weights()
        self.built = True

    def call(self, pixels: Any, training: bool = False) -> DetectorOutput:  # [B, H, W, 3]
        """Compute the map, and score and move its anchors.

        Args:
            pixels: resized images of one size in the config's channel order, the mean subtracted.
            training: nothing depends on it.
        """
        feature_map = self.backbone(pixels)
        objectness, deltas = self.proposal_head(feature_map)
        return DetectorOutput(feature_map=feature_map, objectness=objectness, deltas=deltas)

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config."""
        for part in (self.backbone, self.proposal_head, *self.res5, self.predictor):
            part.build()

    def pooled_features(self, feature_map: Any, rois: np.ndarray) -> Any:  # [h, w, C], [P, 4] -> [P, C']
        """The features of regions of one image: the mean of the fifth stage over each."""
        pooled = pool_regions(feature_map, rois, self.config.pool_size)
        return ops.mean(run_stage(self.res5, pooled), axis=(1, 2))

    # NumPy at the doors: `lxmert.vision.network.DetectorNetwork`

    @property
    def anchors(self) -> np.ndarray:
        """The anchors of one cell, float32 ``[A, 4]``, x1, y1, x2, y2 around 0."""
        return ops.convert_to_numpy(self.proposal_head.anchors).astype(np.float32)

    def propose(self, images: np.ndarray) -> Proposed:
        """The first stage, from images ``[B, H, W, 3]``."""
        out = self(self._tensor(images))
        height, width = out.feature_map.shape[1:3]
        return Proposed(out.feature_map, (height, width), _array(out.objectness), _array(out.deltas))

    def region_features(self, feature_map: Any, image: int, rois: np.ndarray) -> np.ndarray:
        """The features ``[P, C]`` of regions of one image of the batch, given in cells of the map."""
        return _array(self.pooled_features(feature_map[image], rois))

    def object_scores(self, features: np.ndarray) -> np.ndarray:
        """The scores of the objects, ``[P, K + 1]``."""
        return _array(self.predictor(self._tensor(features)))

    def box_deltas(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The deltas ``[P, 4]`` of each region's box for one object each."""
        return _array(self.predictor.box_deltas(self._tensor(features), self._ids(object_ids)))

    def attribute_scores(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The scores of the attributes, ``[P, T + 1]``."""
        return _array(self.predictor.attribute_scores(self._tensor(features), self._ids(object_ids)))

    def _tensor(self, array: np.ndarray) -> Any:
        return ops.convert_to_tensor(array, self.compute_dtype)

    def _ids(self, array: np.ndarray) -> Any:
        return ops.convert_to_tensor(np.asarray(array, np.int32))


def _array(x: Any) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32."""
    array: np.ndarray = ops.convert_to_numpy(x)
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array
