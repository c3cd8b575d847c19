"""Every private part of Keras and TensorFlow that this package uses; no other file uses any.

Most entries have a fallback on public interfaces. LXMERT_PUBLIC_ONLY=1 in the environment selects it. Where none
can exist, pyproject.toml bounds the version: adding and replacing layers of a built model (resizing, pruning, and what
users add), pytree nodes of Keras, and optimizers under `tf.distribute` with several replicas. All entries were checked
with Keras 3.15.1 and TensorFlow 2.21.0.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import optree
from keras import ops

from lxmert.common.outputs import ModelOutput

PUBLIC_ONLY = os.environ.get("LXMERT_PUBLIC_ONLY") == "1"


def is_inferring_shapes() -> bool:
    """Whether Keras traces a model to infer shapes: every tensor is then float32, unless it came from `keras.Input`.

    Fallback: the name of the graph that Keras makes for it.
    """
    if not PUBLIC_ONLY:
        from keras.src.backend.common.symbolic_scope import in_symbolic_scope

        return in_symbolic_scope()
    import tensorflow

    graph = tensorflow.compat.v1.get_default_graph()  # outside of functions a graph without a name
    return getattr(graph, "name", "").startswith("scratch_graph")


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer and all of its sublayers. Fallback: the layers in its public attributes."""
    if not PUBLIC_ONLY:
        return layer._flatten_layers()
    found = {id(layer): layer}
    waiting = deque(_sublayers(layer))
    while waiting:
        each = waiting.popleft()
        if id(each) not in found:
            found[id(each)] = each
            waiting.extendleft(_sublayers(each))  # in the order of Keras
    return list(found.values())


def _sublayers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers in the public attributes of a layer, also in lists and mappings."""
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            yield from (each for each in _held(value) if isinstance(each, keras.layers.Layer))


def _held(value: Any) -> list[Any]:
    """What an attribute holds: the value, or the members of a list or mapping."""
    return list(value.values()) if isinstance(value, Mapping) else list(value) if _is_list(value) else [value]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def own_attributes(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer without those in which Keras and TensorFlow repeat what the others hold.

    A class of Keras keeps its parts to itself, and builds them. Fallback: the public attributes.
    """
    public = PUBLIC_ONLY or type(layer).__module__.startswith("keras.")
    for name, value in vars(layer).items():
        if not name.startswith("_" if public else ("_self_", "_layers", "_obj_reference_counts")):
            yield name, value


class OpenLayer:
    """A layer whose parts may be added and replaced after it was built; before `keras.layers.Layer` among the bases.

    Keras refuses both, because an optimizer may know the old variables: compile again afterwards. And Keras still saves
    and trains a layer that was replaced. There is no fallback.
    """

    def _lock_state(self) -> None:
        """Let the layer have more parts."""

    def __setattr__(self, name: str, value: Any) -> None:
        before, count = self.__dict__.get(name), len(self.__dict__.get("_layers", ()))
        super().__setattr__(name, value)
        if before is value or not isinstance(before, (keras.layers.Layer, keras.Variable, list, tuple, Mapping)):
            return
        public = (held for key, held in self.__dict__.items() if key[0] != "_" or isinstance(held, keras.layers.Layer))
        kept = {id(each) for held in public for each in _held(held)}
        layers: list[keras.layers.Layer] = self._layers  # type: ignore[attr-defined]
        new, place = layers[count:], len(layers)
        for each in _held(before):
            if isinstance(each, (keras.layers.Layer, keras.Variable)) and id(each) not in kept:
                place = min([place, *(i for i, layer in enumerate(layers) if layer is each)])
                self._tracker.untrack(each)  # type: ignore[attr-defined]
        if new and place < len(layers):  # a state of an optimizer goes by the order of the variables
            del layers[-len(new) :]
            layers[place:place] = new


def replace_layer(parent: keras.layers.Layer, name: str, layer: keras.layers.Layer, shape: Any = None) -> None:
    """Replace the layer `parent.name`, and build the new one in the name scope of its parent. There is no fallback."""
    setattr(parent, name, layer)
    if not layer.built:
        with parent._open_name_scope():
            layer.build(shape)


def register_structure(kind: type, make: Callable[[dict[str, Any]], Any]) -> None:
    """Register a pytree node with Keras, so that `fit`, `predict` and functional models accept it.

    There is no fallback: the namespace of Keras' pytree nodes is private.
    """

    def flatten(given: Any) -> tuple[Any, Any, Any]:
        return tuple(given.values()), tuple(given.keys()), tuple(given.keys())

    def unflatten(names: Any, values: Any) -> Any:
        return make(dict(zip(names, values, strict=True)))

    optree.register_pytree_node(kind, flatten, unflatten, namespace="keras")


@functools.cache
def register_output(kind: type[ModelOutput]) -> None:
    """Register an output class with Keras' tree utilities."""
    register_structure(kind, kind)


class NoSaveSignature:
    """A model without Keras' default signature of a SavedModel, one float input, which no model here takes.

    `export` makes its own signature.
    """

    _default_save_signature = None


class WorkerModel:
    """A model that `fit` trains in several processes too, under `tf.distribute.MultiWorkerMirroredStrategy`.

    Keras fails there twice: it averages the first batches of the replicas as if they were one tensor, and averages the
    values of a step, which are scalars, over their first axis. There is no fallback.
    """

    def train_step(self, data: Any) -> Any:
        """One step of `fit`."""
        return self._with_axis(super().train_step(data))  # type: ignore[misc]

    def test_step(self, data: Any) -> Any:
        """One step of `evaluate`."""
        return self._with_axis(super().test_step(data))  # type: ignore[misc]

    def _with_axis(self, values: Any) -> Any:
        """The values of a step, with an axis to average over in several processes."""
        import tensorflow as tf

        if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            return values
        return keras.tree.map_structure(lambda value: ops.reshape(value, (1,)), values)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None and self._distribute_strategy is not None:  # type: ignore[attr-defined]
            local: Callable[[Any], Any] = self._distribute_strategy.experimental_local_results  # type: ignore[attr-defined]
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(lambda x: local(x)[0], next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)  # type: ignore[misc]


def packed_product(x: Any, kernel: Any, bias: Any, gelu: bool) -> Any:  # [B, in], [in, out], [out] -> [B, out]
    """x·kernel + bias, or GELU of it, in a graph that packs the kernel in its first run, and then keeps the copy.

    TensorFlow replaces products with constant kernels by this operator, but copies such constants several times.
    The fallback: `packing.can_pack` is False, and plain products are taken.
    """
    steps = [b"BiasAdd", b"GeluExact"] if gelu else [b"BiasAdd"]
    attributes = {"T": x.dtype, "num_args": 1, "fused_ops": steps, "is_filter_const": True}
    return _product("_MklNativeFusedMatMul", [x, kernel, bias], x.dtype, _kernel=b"MklNameChangeOp", **attributes)


def packed_sums(x: Any, kernel: Any) -> Any:  # [B, in], [in, out] int8 -> [B, out] float32
    """x·kernel, exact as integers and then rounded to float32, in such a graph; with the same fallback."""
    import tensorflow as tf

    given = [tf.bitcast(x, tf.qint8), tf.bitcast(kernel, tf.qint8), tf.zeros(kernel.shape[1])]
    ranges = [tf.constant(each) for each in (-127.0, 127.0, -127.0, 127.0)]  # so the scales are 1
    types = {"Tdevice_inputs": [each.dtype for each in given], "Thost_inputs": [tf.float32] * 4}
    others = {"T1": tf.qint8, "T2": tf.qint8, "Tdevice_outputs": [tf.float32], "fused_ops": [b"BiasAdd", b"Dequantize"]}
    return _product("_QuantizedMatMul", [*given, *ranges], tf.float32, is_weight_const=True, **types, **others)


def _product(operator: str, inputs: list[Any], dtype: Any, **attributes: Any) -> Any:
    """The output of a product that TensorFlow has for its own graphs only."""
    import tensorflow as tf

    fields, named = {bool: "b", bytes: "s", int: "i", tf.DType: "type"}, {}
    for name, given in attributes.items():
        named[name] = value = tf.compat.v1.AttrValue()
        for each in given if isinstance(given, list) else ():
            getattr(value.list, fields[type(each)]).append(getattr(each, "as_datatype_enum", each))
        if not isinstance(given, list):
            setattr(value, fields[type(given)], getattr(given, "as_datatype_enum", given))
    out = tf.compat.v1.get_default_graph().create_op(operator, inputs, [dtype], attrs=named, name="packed").outputs[0]
    out.set_shape((inputs[0].shape[0], inputs[1].shape[1]))
    return out


def variable_index(optimizer: Any, variable: Any) -> int:
    """The index of a variable in an optimizer. Fallback, on one device: by identity."""
    if not PUBLIC_ONLY:
        return optimizer._get_variable_index(variable)
    trained = enumerate(optimizer.trained.variables)
    return next(i for i, own in trained if variable is own or variable is own.value)


class _DistributedOptimizer(keras.optimizers.Optimizer):
    """An optimizer that makes the same steps on several devices as on one.

    - Gradients are clipped by `clip`, under `tf.distribute` after the replicas' gradients were added up. Keras clips
      those of each replica, which is not the step of one device.
    - Gradients are accumulated under `tf.distribute.MirroredStrategy` too, where Keras fails.
    """

    def clip(self, gradients: list[Any]) -> list[Any]:
        """Clip the gradients of all variables."""
        raise NotImplementedError

    def _clip_gradients(self, grads: Any) -> Any:
        return grads  # Keras calls `_all_reduce_sum_gradients` next

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        summed = super()._all_reduce_sum_gradients(grads_and_vars)
        return list(zip(self.clip([gradient for gradient, _ in summed]), [v for _, v in summed], strict=True))

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        if self.gradient_accumulation_steps:
            import tensorflow as tf

            if not tf.__internal__.distribute.strategy_supports_no_merge_call():
                # merge_call is not allowed in one branch of a condition, so the condition is inside of it.
                tf.distribute.get_replica_context().merge_call(self._accumulate, args=(grads, trainable_variables))
                return
        super()._backend_apply_gradients(grads, trainable_variables)

    def _accumulate(self, distribution: Any, gradients: Any, variables: Any) -> None:
        """Accumulate the gradients of all replicas, and apply them at the last batch of a step."""
        if self.use_ema:
            raise ValueError("use_ema is not supported with accumulated gradients under this strategy.")
        sums = [self._accumulated_gradients[variable_index(self, variable)].value for variable in variables]

        def add() -> None:
            for total, gradient in zip(sums, gradients, strict=True):
                distribution.extended.update(total, lambda x, more: x.assign(x + more), args=(gradient,), group=False)

        def step() -> None:
            distribution.extended.call_for_each_replica(self._apply_accumulated, args=(gradients, variables))
            for total in sums:
                distribution.extended.update(total, lambda x: x.assign(ops.zeros_like(x)), group=False)

        ops.cond(ops.equal((self._iterations + 1) % self.gradient_accumulation_steps, 0), step, add)

    def _apply_accumulated(self, gradients: Any, variables: Any) -> None:
        """Apply the accumulated gradients of one replica."""
        count = self.gradient_accumulation_steps
        sums = [self._accumulated_gradients[variable_index(self, variable)] for variable in variables]
        means = [(gradient + total) / count for gradient, total in zip(gradients, sums, strict=True)]
        self._backend_update_step(means, variables, self.learning_rate)


class _LocalOptimizer(keras.optimizers.Optimizer):
    """The fallback, on one device: gradients are clipped by `clip` before Keras sees them.

    Accumulated gradients and those of a scaled loss are clipped by Keras, whose coefficient differs by 1e-6 at most.
    """

    def clip(self, gradients: list[Any]) -> list[Any]:
        """Clip the gradients of all variables."""
        raise NotImplementedError

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Apply the gradients."""
        if not self.gradient_accumulation_steps and self.loss_scale_factor is None:
            clipped = iter(self.clip([gradient for gradient in grads if gradient is not None]))
            grads = [gradient if gradient is None else next(clipped) for gradient in grads]
        super().apply(grads, trainable_variables)


OptimizerBase: Any = _LocalOptimizer if PUBLIC_ONLY else _DistributedOptimizer
