"""Every private part of Keras and TensorFlow that this package uses; no other file uses any.

Most entries have a fallback on public interfaces. LXMERT_PUBLIC_ONLY=1 in the environment selects it. Where none
can exist, pyproject.toml bounds the version: replacing layers of a built model (resizing and pruning), pytree
nodes of Keras, and optimizers under `tf.distribute` with several replicas. All entries were checked with Keras 3.15.1
and TensorFlow 2.21.0.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import keras
import optree
from keras import ops

from lxmert.common.outputs import ModelOutput

PUBLIC_ONLY = os.environ.get("LXMERT_PUBLIC_ONLY") == "1"


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
    """The layers in the public attributes of a layer, also in lists."""
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            held = value if isinstance(value, (list, tuple)) else [value]
            yield from (each for each in held if isinstance(each, keras.layers.Layer))


def replace_layer(parent: keras.layers.Layer, name: str, layer: keras.layers.Layer, shape: Any = None) -> None:
    """Replace the layer `parent.name`, which Keras allows only before building. There is no fallback."""
    tracker = parent._tracker
    tracker.unlock()
    tracker.untrack(getattr(parent, name))
    setattr(parent, name, layer)
    if not layer.built:
        with parent._open_name_scope():
            layer.build(shape)
    tracker.lock()


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
        # On TensorFlow Keras calls `_all_reduce_sum_gradients` next.
        return grads if keras.backend.backend() == "tensorflow" else self.clip(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        summed = super()._all_reduce_sum_gradients(grads_and_vars)
        return list(zip(self.clip([gradient for gradient, _ in summed]), [v for _, v in summed], strict=True))

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        if self.gradient_accumulation_steps and keras.backend.backend() == "tensorflow":
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
