"""Attention maps, and gradients of Keras models by maps and by inputs, as NumPy arrays."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from lxmert.common.specs import value_ranges
from lxmert.inference.tf import graphs_of
from lxmert.tf.losses import check_values
from lxmert.tf.pretrained import PreTrainedModel

from .gradients import AttentionGradients, InputGradients, Maps, Target, check_scores, like_maps

FLOAT_INPUTS = ("inputs_embeds", "visual_feats", "visual_pos", "visual_embeds")


class GradientModel:
    """A model that returns maps and gradients; see the protocol in `gradients.py`.

    The weights get no gradients and are not changed, so several threads may use one model at once.

    Args:
        model: any model of this package that has scores.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model

    def attention_gradients(
        self, inputs: Mapping[str, Any], target: Target, with_gradients: bool = True
    ) -> AttentionGradients:
        """Maps and gradients in one forward and one backward pass of the whole batch; without gradients no backward."""

        def compute(model: PreTrainedModel, given: Any, leaves: Any, places: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(leaves)
                outputs = _run(model, target.output, {**given, **leaves}, output_attentions="used")
                answers, scores = _chosen(outputs[target.output], target, places)
            maps = {name: value for name, value in outputs.items() if name.endswith("attentions")}
            gradients = (
                _gradients(tape, scores, maps) if with_gradients else {n: (None,) * len(p) for n, p in maps.items()}
            )
            return answers, scores, maps, gradients

        graph = self._graph(f"explain {target.output} by maps {with_gradients}", compute)
        answers, scores, maps, gradients = graph(*self._tensors(inputs), _places(target))
        return AttentionGradients(
            _array(answers), _array(tf.cast(scores, tf.float64)), _arrays(maps), _arrays(gradients)
        )

    def input_gradients(self, inputs: Mapping[str, Any], target: Target) -> InputGradients:
        """Gradients by the inputs. `inputs` may hold `inputs_embeds` instead of `input_ids`."""

        def compute(model: PreTrainedModel, given: Any, leaves: Any, places: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(leaves)
                outputs = _run(model, target.output, {**given, **leaves})
                answers, scores = _chosen(outputs[target.output], target, places)
            # Of an input that the score does not depend on it is 0.
            return answers, scores, tape.gradient(scores, leaves, unconnected_gradients="zero")

        given, leaves = self._tensors(inputs)
        answers, scores, gradients = self._graph(f"explain {target.output}", compute)(given, leaves, _places(target))
        return InputGradients(
            _array(answers),
            _array(tf.cast(scores, tf.float64)),
            {name: _array(leaf) for name, leaf in leaves.items()},
            {name: _array(gradient) for name, gradient in gradients.items()},
        )

    def _tensors(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inputs as tensors, and those of floating-point numbers by themselves, word vectors in place of ids."""
        backbone = self.model.base
        given = {name: tf.convert_to_tensor(array) for name, array in inputs.items() if array is not None}
        for name, allowed in value_ranges(backbone.config, backbone.architecture()).items():
            if name in given:
                check_values(name, given[name], allowed)
        if "input_ids" in given:
            given["inputs_embeds"] = self.model.get_input_embeddings()(given.pop("input_ids"))
        floats = {name: given.pop(name) for name in FLOAT_INPUTS if name in given}
        return given, {name: tf.cast(array, self.model.variable_dtype) for name, array in floats.items()}

    def _graph(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the model and of tensors, which becomes a graph after some calls."""
        graphs = graphs_of(self.model)
        if name not in graphs:
            model = weakref.ref(self.model)  # the graphs live no longer than the model
            graphs[name] = _LateGraph(lambda *given: function(model(), *given))
        return graphs[name]


class _LateGraph:
    """A function that is traced after some calls, for all sizes: for fewer, tracing takes longer than it saves."""

    def __init__(self, function: Callable[..., Any]):
        self._function, self._calls = function, 0
        self._graph = tf.function(function, reduce_retracing=True, autograph=False)

    def __call__(self, *given: Any) -> Any:
        self._calls += 1
        return (self._graph if self._calls > _FEW else self._function)(*given)


_FEW = 4


def _run(model: PreTrainedModel, output: str, given: Mapping[str, Any], **options: Any) -> Mapping[str, Any]:
    """Call the model; the scores of words only where they are asked for."""
    if "prediction_logits" in inspect.signature(model.call).parameters:
        options["prediction_logits"] = output == "prediction_logits"
    found: Mapping[str, Any] = model(given, output_hidden_states=False, return_dict=True, training=False, **options)
    return found


def _gradients(tape: tf.GradientTape, scores: Any, maps: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """The gradient of each example's score by its maps, in the same structure."""
    flat = [part for parts in maps.values() for part in parts if part is not None]
    return like_maps(maps, tape.gradient(scores, flat))


def _chosen(scores: Any, target: Target, places: tuple[Any, Any]) -> tuple[Any, Any]:  # [B, C] or [B, P, C] -> [B], [B]
    """The class of each example and its score; `places` are those of the target as tensors."""
    check_scores(target, scores.shape)
    positions, answers = places
    if positions is not None:
        scores = tf.gather(scores, positions, batch_dims=1)
    answers = tf.argmax(scores, 1) if answers is None else answers
    return answers, tf.gather(scores, answers, batch_dims=1)


def _places(target: Target) -> tuple[Any, Any]:
    """Positions and classes as tensors."""
    positions, answers = (
        None if each is None else tf.constant(each, tf.int64) for each in (target.positions, target.answers)
    )
    return positions, answers


def _arrays(maps: Mapping[str, tuple[Any, ...]]) -> Maps:
    """Maps or gradients in NumPy."""
    return {name: tuple(None if part is None else _array(part) for part in parts) for name, parts in maps.items()}


def _array(value: Any) -> np.ndarray:
    """A tensor in NumPy; 16-bit numbers as float32."""
    wide = tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else value
    array: np.ndarray = wide.numpy()
    return array
