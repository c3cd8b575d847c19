"""The detector of "bottom-up attention": a Faster R-CNN for the objects and attributes of Visual Genome.

Dimensions: B batch, H and W height and width, h and w those of the map, A anchors of a cell, P regions, C features, K
objects (and the background, the last), T attributes (and "no attribute", the last).
Source: Anderson et al. 2018 (arXiv 1707.07998).
"""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.cell_anchors import cell_anchors
from lxmert.common.config.detector import DetectorConfig
from lxmert.common.detector_outputs import DetectorOutput
from lxmert.vision.faster_rcnn.network import Proposed

from ._compat import OpenLayer, register_output
from .init import NormalInitializer
from .pretrained_detector import PreTrainedDetector
from .region_pooling import distinct_bins, gather_bins, pool_regions
from .resnet import Backbone, is_plain, make_stage, run_stage

register_output(DetectorOutput)


# Enough for products of full speed, and few enough for the memory: 32 regions take 51 MB after the fifth stage.
REGIONS_AT_ONCE = 32


class ProposalHead(OpenLayer, keras.layers.Layer):
    """Scores and moves the anchors of every cell of the map."""

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # its first layer computes in the dtype of the map
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
        x = ops.cast(ops.relu(convolve(self.hidden, feature_map)), self.deltas.compute_dtype)
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
            dtype="float32",  # 16 bits would round them by pixels
            trainable=False,
            autocast=False,
            name="anchors",
        )


def convolve(layer: keras.layers.Conv2D, x: Any) -> Any:  # [B, h, w, C] -> [B, h, w, C']
    """layer(x) in the dtype of x, or in that of a layer that was replaced."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype == layer.compute_dtype or not is_plain(layer):
        return layer(x)
    return ops.conv(x, ops.cast(layer.kernel, dtype), 1, "same", "channels_last") + ops.cast(layer.bias, dtype)


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
        if not is_plain(self.boxes):  # its weights alone do not say what it computes
            first = ops.arange(ops.shape(features)[0], dtype="int32") * (self.boxes.units // 4)
            return ops.take(ops.reshape(self.boxes(features), (-1, 4)), first + object_ids, axis=0)
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


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualGenomeDetector(PreTrainedDetector):
    """ResNet-101 up to its fourth stage, proposals, and the fifth stage on each region.

    What becomes of scores and deltas, boxes and the choice of regions, is decided in `lxmert.vision`, which both
    backends share. A call computes the first stage; the methods below it, on NumPy arrays, are what the decisions ask.

    Args:
        config: the sizes.
    """

    config_class = DetectorConfig
    config: DetectorConfig

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        policy = self.dtype_policy
        self.backbone = Backbone(config, config.ceil_pooling, 64.0, dtype=policy, name="backbone")
        self.proposal_head = ProposalHead(config, dtype=policy, name="proposal_head")
        self.res5 = make_stage(config, 5, stride=1, dilation=config.res5_dilation, dtype=policy)
        self.predictor = Predictor(config, dtype=policy, name="predictor")
        self.finish()

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
        parts: list[Any] = [self.backbone, self.proposal_head, *self.res5, self.predictor]
        for part in parts:
            part.build()

    def pooled_features(self, feature_map: Any, rois: np.ndarray) -> Any:  # [h, w, C], [P, 4] -> [P, C']
        """The features of regions of one image: the mean of the fifth stage over each."""
        pooled = pool_regions(feature_map, rois, self.config.pool_size)
        return ops.mean(run_stage(self.res5, pooled), axis=(1, 2))

    # NumPy at the doors: `lxmert.vision.faster_rcnn.network.DetectorNetwork`. Without gradients, and with folded norms.

    @property
    def anchors(self) -> np.ndarray:
        """The anchors of one cell, float32 ``[A, 4]``, x1, y1, x2, y2 around 0."""
        return ops.convert_to_numpy(self.proposal_head.anchors).astype(np.float32)

    def propose(self, images: np.ndarray) -> Proposed:
        """The first stage, from images ``[B, H, W, 3]``."""
        dtype = self.precision if is_plain(self.backbone) else None
        graph = self._graph(type(self)._feature_map, dtype, ((None, None, None, 3), self.compute_dtype))
        feature_map = graph(self._tensor(images))
        objectness, deltas = self.proposal_head(feature_map)
        height, width = feature_map.shape[1:3]
        return Proposed(feature_map, (height, width), _array(objectness), _array(deltas))

    def region_features(self, feature_map: Any, image: int, rois: np.ndarray) -> np.ndarray:
        """The features ``[P, C]`` of regions of one image of the batch, given in cells of the map."""
        if not len(rois):
            return np.zeros((0, self.config.feature_size), np.float32)
        bins, places = distinct_bins(feature_map[image], rois, self.config.pool_size)
        dtype = self.precision if is_plain(*self.res5) else None
        size, channels = self.config.pool_size, self.config.map_channels
        inputs = (((None, channels), keras.backend.standardize_dtype(bins.dtype)), ((None, size, size), "int64"))
        return _array(self._graph(type(self)._features_of_bins, dtype, *inputs)(bins, places))

    def _graph(self, stage: Any, dtype: str | None, *inputs: tuple[tuple[int | None, ...], str]) -> Any:
        """A method of this class for a dtype as a graph, for images of any size and any number of regions.

        Without a dtype layers were replaced, and are called without a graph, which would keep what they are now.
        """
        import tensorflow as tf

        if dtype is None:
            return functools.partial(stage, self, dtype)
        if (stage, dtype) not in self._graphs:
            signature = [tf.TensorSpec(*shape_and_dtype) for shape_and_dtype in inputs]
            function = functools.partial(stage, self, dtype)
            self._graphs[stage, dtype] = tf.function(function, input_signature=signature, autograph=False)
        return self._graphs[stage, dtype]

    @functools.cached_property
    def _graphs(self) -> dict[Any, Any]:
        return {}

    def _feature_map(self, dtype: str | None, pixels: Any) -> Any:  # [B, H, W, 3] -> [B, h, w, C]
        """The backbone's map; `dtype` is None where layers were replaced, and are called."""
        backbone = self.backbone if dtype is None else self.backbone.folded(dtype)
        return backbone(ops.cast(pixels, dtype or self.compute_dtype))

    def _features_of_bins(self, dtype: str | None, bins: Any, places: Any) -> Any:  # [U, C], [P, n, n] -> [P, C']
        """The mean of the fifth stage over each region, some regions at a time."""
        import tensorflow as tf

        first, *others = (block if dtype is None else block.folded(dtype) for block in self.res5)
        bins = ops.cast(bins, dtype or self.compute_dtype)
        if dtype is not None:
            # The first two products of the stage have one cell as input: once for each bin, not for each place of it.
            reduced, shortcut = (x[0, 0] for x in first.start(bins[None, None]))

        def features_of(some: Any) -> Any:  # [p, n, n] -> [p, C']
            if dtype is None:
                x = first(gather_bins(bins, some))
            else:
                x = first.finish(gather_bins(reduced, some), gather_bins(shortcut, some))
            return ops.mean(ops.cast(run_stage(others, x), self.variable_dtype), axis=(1, 2))

        def step(start: Any, done: Any) -> tuple[Any, Any]:
            features = features_of(places[start : start + REGIONS_AT_ONCE])
            return start + REGIONS_AT_ONCE, done.write(start // REGIONS_AT_ONCE, features)

        shape = (None, self.config.feature_size)
        done = tf.TensorArray(self.variable_dtype, 0, dynamic_size=True, infer_shape=False, element_shape=shape)
        # One iteration at a time, for the memory.
        more = lambda start, _: start < ops.shape(places)[0]  # noqa: E731
        return tf.while_loop(more, step, (0, done), parallel_iterations=1)[1].concat()

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
