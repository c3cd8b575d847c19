"""Every private part of Keras and TensorFlow that this package uses; no other file reaches for one.

Most entries have a fallback on public interfaces. It is taken with LXMERT_PUBLIC_ONLY=1 in the environment. Where none
can exist, pyproject.toml bounds the version: replacing layers of a built model (resizing and pruning), structures that
Keras looks into, and optimizers under `tf.distribute` with several replicas. All entries were checked with Keras 3.15.1
and TensorFlow 2.21.0.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import keras
import optree
from keras import ops

PUBLIC_ONLY = os.environ.get("LXMERT_PUBLIC_ONLY") == "1"


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer and all layers inside of it. Fallback: those that its attributes hold."""
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
    """The layers that the public attributes of a layer hold, by themselves or in lists."""
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            held = value if isinstance(value, (list, tuple)) else [value]
            yield from (each for each in held if isinstance(each, keras.layers.Layer))


def replace_layer(parent: keras.layers.Layer, name: str, layer: keras.layers.Layer, shape: Any = None) -> None:
    """Put another layer in place of `parent.name`, which Keras allows before building only. There is no fallback."""
    tracker = parent._tracker
    tracker.unlock()
    tracker.untrack(getattr(parent, name))
    setattr(parent, name, layer)
    if not layer.built:
        with parent._open_name_scope():
            layer.build(shape)
    tracker.lock()


def register_structure(kind: type, make: Callable[[dict[str, Any]], Any]) -> None:
    """Let Keras look into a structure as into a dict, so that `fit`, `predict` and functional models take it.

    There is no fallback: the namespace in which Keras keeps its structures is its own matter.
    """

    def flatten(given: Any) -> tuple[Any, Any, Any]:
        return tuple(given.values()), tuple(given.keys()), tuple(given.keys())

    def unflatten(names: Any, values: Any) -> Any:
        return make(dict(zip(names, values, strict=True)))

    optree.register_pytree_node(kind, flatten, unflatten, namespace="keras")


class NoSaveSignature:
    """A model without a signature for SavedModel, where Keras would offer one float input, which no model here takes.

    Without this part nothing else changes: `export` makes its own signature.
    """

    _default_save_signature = None


def variable_index(optimizer: Any, variable: Any) -> int:
    """The place of a variable among those that an optimizer trains. Fallback, on one device: by identity."""
    if not PUBLIC_ONLY:
        return optimizer._get_variable_index(variable)
    trained = enumerate(optimizer.trained.variables)
    return next(i for i, own in trained if variable is own or variable is own.value)


class _DistributedSteps(keras.optimizers.Optimizer):
    """An optimizer whose steps on several devices are those on one.

    - Gradients are clipped by `clip`, under `tf.distribute` after the replicas' gradients were added up. Keras clips
      those of each replica by themselves, which is another step than that of one device.
    - Gradients are accumulated under `tf.distribute.MirroredStrategy` too, where Keras fails.
    """

    def clip(self, gradients: list[Any]) -> list[Any]:
        """Scale the gradients of all variables down."""
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
                # Replicas must not meet in only one branch of a condition: they meet first, and it is asked then.
                tf.distribute.get_replica_context().merge_call(self._accumulate, args=(grads, trainable_variables))
                return
        super()._backend_apply_gradients(grads, trainable_variables)

    def _accumulate(self, distribution: Any, gradients: Any, variables: Any) -> None:
        """Add to what was accumulated, and at the last batch of a step make the step: for all replicas together."""
        if self.use_ema:
            raise ValueError("use_ema does not go together with accumulated gradients under this strategy.")
        sums = [self._accumulated_gradients[variable_index(self, variable)].value for variable in variables]

        def add() -> None:
            for total, gradient in zip(sums, gradients, strict=True):
                distribution.extended.update(total, lambda x, more: x.assign(x + more), args=(gradient,), group=False)

        def step() -> None:
            distribution.extended.call_for_each_replica(self._step_of_sums, args=(gradients, variables))
            for total in sums:
                distribution.extended.update(total, lambda x: x.assign(ops.zeros_like(x)), group=False)

        ops.cond(ops.equal((self._iterations + 1) % self.gradient_accumulation_steps, 0), step, add)

    def _step_of_sums(self, gradients: Any, variables: Any) -> None:
        """The step of one replica, after its last batch."""
        count = self.gradient_accumulation_steps
        sums = [self._accumulated_gradients[variable_index(self, variable)] for variable in variables]
        means = [(gradient + total) / count for gradient, total in zip(gradients, sums, strict=True)]
        self._backend_update_step(means, variables, self.learning_rate)


class _LocalSteps(keras.optimizers.Optimizer):
    """The fallback, on one device: gradients are clipped by `clip` before Keras sees them.

    Accumulated gradients and those of a scaled loss are clipped by Keras, whose coefficient differs by 1e-6 at most.
    """

    def clip(self, gradients: list[Any]) -> list[Any]:
        """Scale the gradients of all variables down."""
        raise NotImplementedError

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Change the variables."""
        if not self.gradient_accumulation_steps and self.loss_scale_factor is None:
            clipped = iter(self.clip([gradient for gradient in grads if gradient is not None]))
            grads = [gradient if gradient is None else next(clipped) for gradient in grads]
        super().apply(grads, trainable_variables)


Steps: Any = _LocalSteps if PUBLIC_ONLY else _DistributedSteps
