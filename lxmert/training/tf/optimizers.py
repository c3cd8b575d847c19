"""The optimizers of training: the original's BertAdam, and AdamW. Both backends make equal steps with them.

The rate of a step is set from outside (`set_rate`, or a schedule), because a schedule is decided by the run.
"""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.tf import _compat
from lxmert.tf.named_weights import to_torch_layout
from lxmert.tf.pretrained import PreTrainedModel
from lxmert.training.optimizer_states import OPTIMIZERS, check_optimizer, check_state, last_step, step_of


class _Adam(_compat.OptimizerBase):
    """Base class: m and v, and gradient clipping; without Keras' own weight decay."""

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        weight_decay: float,
        name: str,
        **others: Any,
    ):
        rate = learning_rate if isinstance(learning_rate, float) else 0.0
        check_optimizer(name, rate, weight_decay, (beta_1, beta_2), epsilon)
        super().__init__(learning_rate, name=name, **others)
        self.beta_1, self.beta_2, self.epsilon, self.decay = beta_1, beta_2, epsilon, weight_decay

    def build(self, variables: Any) -> None:
        """Make m and v."""
        if not self.built:
            super().build(variables)
            self.momenta, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
            # In an object, which Keras does not search for variables of the optimizer.
            self.trained = SimpleNamespace(variables=list(variables))

    def clip(self, gradients: list[Any]) -> list[Any]:
        """Clip the gradients of all variables, if `global_clipnorm` is set."""
        return clip_gradients(gradients, self.global_clipnorm) if self.global_clipnorm else gradients

    def update_moments(self, variable: Any, gradient: Any) -> tuple[Any, Any]:
        """Update m and v of a variable, and return them."""
        index = _compat.variable_index(self, variable)
        momentum, velocity = self.momenta[index], self.velocities[index]
        gradient = ops.cast(gradient, variable.dtype)
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        return momentum, velocity

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon")}
        return {**super().get_config(), **own, "weight_decay": self.decay}


@keras.saving.register_keras_serializable(package="lxmert")
class BertAdam(_Adam):
    """update = m / (√v + epsilon) + weight_decay · weight;  weight -= learning_rate · update.

    As in the original: Adam's m and v without bias correction, epsilon outside of the root, and a decay of everything,
    biases and norms too, inside the update that the rate scales.

    Args:
        learning_rate: the rate, or a schedule of it.
        beta_1: how much of m each step keeps.
        beta_2: how much of v each step keeps.
        epsilon: added to the root.
        weight_decay: the part of the weight in the update.
        name: of the optimizer.
        others: every other argument of a Keras optimizer.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 0.01,
        name: str = "bert_adam",
        **others: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, name, **others)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable."""
        momentum, velocity = self.update_moments(variable, gradient)
        update = momentum / (ops.sqrt(velocity) + self.epsilon)
        if self.decay:
            update = update + self.decay * variable
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * update)


@keras.saving.register_keras_serializable(package="lxmert")
class AdamW(_Adam):
    """PyTorch's AdamW: weight -= learning_rate · (m̂ / (√v̂ + epsilon) + weight_decay · weight).

    Keras' adds epsilon to the root of v before it is corrected. Biases and norms, which have fewer than two dimensions,
    do not decay. The arguments are those of `BertAdam`.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        name: str = "adamw",
        **others: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, name, **others)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        momentum, velocity = self.update_moments(variable, gradient)
        step = self.iterations + 1
        first, second = (_one_minus_power(beta, step, variable.dtype) for beta in (self.beta_1, self.beta_2))
        if self.decay and len(variable.shape) >= 2:
            self.assign_sub(variable, rate * self.decay * variable)
        roots = ops.sqrt(velocity) / ops.sqrt(second)
        self.assign_sub(variable, rate / first * momentum / (roots + self.epsilon))


def make_optimizer(
    model: PreTrainedModel,
    name: str = "bert_adam",
    rate: Any = 1e-4,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float | None = None,
    max_grad_norm: float | None = None,
    gradient_accumulation_steps: int = 1,
) -> keras.optimizers.Optimizer:
    """An optimizer of the model's trainable variables, for `compile`.

    Args:
        model: what is trained.
        name: "bert_adam", the original's, which decays everything; or "adamw", which does not decay biases and norms.
        rate: the learning rate, until `set_rate` changes it; or a schedule such as `LinearWarmUp`.
        weight_decay: the weight decay, times the rate.
        betas: the decay rates of the mean of the gradients and of their squares.
        epsilon: added to the root; 1e-6 for BertAdam, and 1e-8 for AdamW, by default.
        max_grad_norm: a step first scales all gradients down to this norm, if theirs is larger; None leaves them alone.
        gradient_accumulation_steps: the batches of a step; the mean of their gradients is the step's.

    Raises:
        ValueError: an unknown name, or a number out of range.
    """
    epsilon = OPTIMIZERS.get(name, 0.0) if epsilon is None else epsilon
    check_optimizer(name, rate if isinstance(rate, float) else 0.0, weight_decay, betas, epsilon, max_grad_norm)
    rate = float(rate) if isinstance(rate, int) else rate
    if gradient_accumulation_steps < 1:
        raise ValueError(f"gradient_accumulation_steps must be at least 1; got {gradient_accumulation_steps}.")
    kind = BertAdam if name == "bert_adam" else AdamW
    optimizer = kind(
        rate,
        beta_1=betas[0],
        beta_2=betas[1],
        epsilon=epsilon,
        weight_decay=weight_decay,
        global_clipnorm=max_grad_norm,
        gradient_accumulation_steps=gradient_accumulation_steps if gradient_accumulation_steps > 1 else None,
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    _unwrapped(optimizer).learning_rate = rate


def clip_gradients(gradients: list[Any], norm: float) -> list[Any]:
    """Multiply gradients by min(1, norm / (the norm of all + 1e-6))."""
    wide = [ops.cast(g, "float32") if _is_16_bit(g) else g for g in gradients]
    total = ops.sqrt(sum(ops.sum(ops.square(g)) for g in wide))
    coefficient = ops.minimum(norm / (total + 1e-6), 1.0)
    return [g * ops.cast(coefficient, g.dtype) for g in gradients]


def optimizer_state(model: PreTrainedModel, optimizer: Any) -> dict[str, np.ndarray]:
    """The state of an optimizer, by the names of the parameters, the same in both backends.

    "momentum.<name>" and "velocity.<name>" have the shape of the parameter in PyTorch's layout; "step" is the count of
    steps.

    Args:
        model: the model whose names are used.
        optimizer: made by `make_optimizer`, wrapped for a scaled loss or not.

    Raises:
        ValueError: gradients are being accumulated; a state is that of a finished step.
    """
    bare, state = _unwrapped(optimizer), {}
    steps, batches = divmod(int(ops.convert_to_numpy(_batches(bare))), bare.gradient_accumulation_steps or 1)
    if batches:
        raise ValueError(
            f"The state of an optimizer is that of a finished step; {batches} of {bare.gradient_accumulation_steps} "
            "batches of the next one are accumulated. Take it after the last."
        )
    for parameter, index in _trained_parameters(model, optimizer).items():
        for kind, own in (("momentum", bare.momenta), ("velocity", bare.velocities)):
            values = to_torch_layout(parameter, ops.convert_to_numpy(own[index]))
            state[f"{kind}.{parameter.name}"] = np.array(values, order="C")
    return {**state, **last_step({"": steps})}


def load_optimizer_state(model: PreTrainedModel, optimizer: Any, state: Mapping[str, np.ndarray]) -> None:
    """Restore what `optimizer_state` of either backend returned.

    Raises:
        ValueError: names or shapes that are not those of this model's trained parameters, or parameters that have made
            different numbers of steps, which Keras does not support; nothing is changed then.
    """
    held, bare = _trained_parameters(model, optimizer), _unwrapped(optimizer)
    shapes = {parameter.name: tuple(parameter.shape) for parameter in held}
    check_state(state, shapes)
    step = int(state["step"])
    own = [name for name in shapes if step_of(state, name) not in (0, step)]
    if own:
        raise ValueError(
            f"{own[0]} has made {step_of(state, own[0])} steps and other parameters {step}: a Keras optimizer counts "
            "the same steps for all. Continue in PyTorch, where this state comes from."
        )
    for parameter, index in held.items():
        for kind, variables in (("momentum", bare.momenta), ("velocity", bare.velocities)):
            values = to_torch_layout(parameter, np.asarray(state[f"{kind}.{parameter.name}"]))
            variables[index].assign(values.astype(variables[index].dtype))
    _batches(bare).assign(step * (bare.gradient_accumulation_steps or 1))


def _trained_parameters(model: PreTrainedModel, optimizer: Any) -> dict[Any, int]:
    """The trained parameters, each with its index in the optimizer."""
    bare = _unwrapped(optimizer)
    trained = {id(variable): index for index, variable in enumerate(bare.trained.variables)}
    held = {parameter: trained[id(v)] for parameter, v in model.weights_by_name() if id(v) in trained}
    if len(held) != len(trained):
        raise ValueError(
            f"The optimizer trains {len(trained)} parameters, of which {len(held)} are this model's. Pass the model "
            "that the optimizer was made for."
        )
    return held


def _unwrapped(optimizer: Any) -> Any:
    """The optimizer that Keras' wrapper for a scaled loss holds."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _batches(optimizer: Any) -> keras.Variable:
    """How many batches an optimizer has seen; `iterations` counts its steps, of several batches each."""
    return next(variable for variable in optimizer.variables if variable.name == "iteration")


def _one_minus_power(beta: float, step: Any, dtype: Any) -> Any:
    """1 - beta ** step, without the rounding of beta and of the difference."""
    if not beta:
        return ops.ones((), dtype)
    return -ops.expm1(ops.cast(step, dtype) * math.log(beta))


def _is_16_bit(values: Any) -> bool:
    """Whether a tensor's dtype is narrower than float32."""
    return keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
