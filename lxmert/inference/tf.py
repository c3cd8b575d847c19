"""Run Keras models on NumPy arrays, in full or encoder by encoder."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from lxmert.common.specs import value_ranges
from lxmert.tf.losses import check_boxes, check_values
from lxmert.tf.packing import PackedGraph
from lxmert.tf.pretrained import PreTrainedModel


class NumpyModel:
    """A model that takes and returns NumPy arrays, in evaluation mode and without gradients.

    Args:
        model: any model of this package.
        pack_weights: whether to trace a graph after the first calls that keeps packed kernels (`PackedGraph`). A single
            question is then answered faster; the copies take as much memory as the linear layers, at most 1 GiB, until
            the model is gone or a layer is replaced.
    """

    def __init__(self, model: PreTrainedModel, pack_weights: bool = True):
        self.model = model
        self._packing, self._calls = pack_weights and not model.is_users_class(), 0

    def __call__(self, inputs: Mapping[str, np.ndarray], **options: Any) -> dict[str, Any]:
        """Run the model.

        Args:
            inputs: arrays by argument name. Floating-point ones take the model's dtype.
            options: further arguments, such as `output_attentions`.

        Returns:
            The outputs by name, as arrays or tuples of arrays.
        """

        def tensor(array: np.ndarray) -> tf.Tensor:
            values = np.asarray(array)
            return ops.convert_to_tensor(values, dtype=self.model.variable_dtype if values.dtype.kind == "f" else None)

        given = {name: tensor(array) for name, array in inputs.items()}
        self._calls += 1
        if self._packing and not options and self._calls > _FEW:
            _check_values(self.model, inputs)
            outputs = self._graph(tuple(given))(given)
        else:
            outputs = self.model(given, training=False, **options)
        return {name: _array(value) for name, value in outputs.items()}

    def _graph(self, names: tuple[str, ...]) -> Callable[[dict[str, tf.Tensor]], dict[str, Any]]:
        """The graph for inputs of these names; every call for a model and its config returns the same."""
        graphs, name = graphs_of(self.model), f"packed {hash(self.model.config)} {' '.join(names)}"
        with _LOCK:
            if name not in graphs:
                for other in [other for other in graphs if other.startswith("packed ")]:
                    del graphs[other]  # which has copies of the same kernels
                model: Any = weakref.ref(self.model)  # the graphs live no longer than the model

                def run(given: dict[str, tf.Tensor]) -> dict[str, Any]:
                    return dict(model()(given, training=False).items())

                graphs[name] = PackedGraph(run)
            return graphs[name]


class SplitEncoder:
    """A model with one of its heads, whose encoders run separately. They are traced once for all sizes.

    Args:
        model: an LXMERT with heads.
        head: the head.
    """

    def __init__(self, model: PreTrainedModel, head: keras.layers.Layer):
        self.backbone, self.head = model.backbone, head
        self._graphs = graphs_of(model)

    def encode_language(self, ids: np.ndarray) -> tf.Tensor:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""
        return self._graph("language", self.backbone.encode_language)(tf.constant(ids, tf.int32))

    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> tf.Tensor:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""
        return self._graph("vision", self.backbone.encode_vision)(**{n: tf.constant(x) for n, x in regions.items()})

    def join(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Concatenate the outputs of several calls along the first axis."""
        return tf.concat(list(parts), 0) if len(parts) > 1 else parts[0]

    def scores(
        self, language: tf.Tensor, texts: np.ndarray, visual: tf.Tensor, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """The head's scores of pairs, each a row of the texts and a row of the images."""

        def cross(
            language: tf.Tensor, texts: tf.Tensor, visual: tf.Tensor, images: tf.Tensor, mask: tf.Tensor | None = None
        ) -> tf.Tensor:
            states = self.backbone.cross(
                tf.gather(language, texts),
                tf.gather(visual, images),
                None,
                mask,
                language_output=False,
                vision_output=False,
            )
            scores = self.head(states.pooled_output)
            return scores if scores.dtype == tf.float64 else tf.cast(scores, tf.float32)

        given = [language, tf.constant(texts), visual, tf.constant(images)]
        graph = self._graph(f"cross {self.head.name}", cross)
        return graph(*given, *([] if mask is None else [tf.constant(mask)])).numpy()

    def _graph(self, name: str, function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """The traced function of a model; every call for one model returns the same."""
        with _LOCK:
            if name not in self._graphs:
                self._graphs[name] = tf.function(function, reduce_retracing=True, autograph=False)
            return self._graphs[name]


def graphs_of(model: PreTrainedModel) -> dict[str, Callable[..., tf.Tensor]]:
    """A model's graphs by name; new ones after a layer was replaced (other tables, other heads, other dtypes)."""
    variables = model.variables
    with _LOCK:
        known, graphs = _GRAPHS.get(model, ([], {}))
        same = len(known) == len(variables) and all(a is b for a, b in zip(known, variables, strict=True))
        _GRAPHS[model] = (variables, graphs if same else {})
        return _GRAPHS[model][1]


# The variables and the graphs of each model, for as long as it lives: tracing takes seconds.
_GRAPHS: Any = weakref.WeakKeyDictionary()
_LOCK = Lock()


# For fewer calls, tracing a graph costs more than it saves.
_FEW = 16


def _check_values(model: PreTrainedModel, inputs: Mapping[str, np.ndarray]) -> None:
    """Refuse ids out of range, and warn of boxes in pixels: a graph sees no values."""
    shapes = {name: np.shape(array) for name, array in inputs.items()}
    for name, allowed in value_ranges(model.config, model.architecture(), shapes).items():
        if name in inputs:
            check_values(name, np.asarray(inputs[name]), allowed)
    if "visual_pos" in inputs:
        check_boxes(model, np.asarray(inputs["visual_pos"]))


def _array(value: Any) -> Any:
    """A tensor, or a tuple of tensors, in NumPy, which has no bfloat16: as float32."""
    if isinstance(value, tuple):
        return tuple(_array(part) for part in value)
    if keras.backend.standardize_dtype(value.dtype) == "bfloat16":
        value = ops.cast(value, "float32")
    return ops.convert_to_numpy(value)
