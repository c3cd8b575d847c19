"""The optimizers of training: the original's BertAdam, and AdamW. Both backends make equal steps with them.

The rate of a step is set from outside (`set_rate`), because a schedule is decided by the run.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import AdamW, Optimizer

from lxmert.pt._compat import for_each
from lxmert.pt.named_weights import array_of, tensor_of
from lxmert.pt.pretrained import PreTrainedModel
from lxmert.training.optimizer_states import OPTIMIZERS, check_optimizer, check_state, last_step, step_of

_GROUP_SIZE = 2**19  # numbers per call: few calls, and intermediate values stay in the cache


class BertAdam(Optimizer):
    """update = m / (√v + eps) + weight_decay · weight;  weight -= lr · update.

    As in the original: Adam's m and v without bias correction, eps outside of the root, and a decay of everything,
    biases and norms too, inside the update that the rate scales.

    Args:
        params: the parameters, or groups of them, as every PyTorch optimizer takes them.
        lr: the rate, to be set before every step.
        betas: how much of m and of v each step keeps.
        eps: added to the root.
        weight_decay: the part of the weight in the update.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ):
        check_optimizer("bert_adam", lr, weight_decay, betas, eps)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            for some in _group_parameters(trained):
                self._update(group, some)
        return loss

    def _update(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        """Change some of the parameters of a group."""
        for weight in weights:
            if not self.state[weight]:
                # The names of PyTorch's own Adam, which tools know.
                self.state[weight] |= _moments(torch.zeros_like(weight), torch.zeros_like(weight), 0, "cpu")
        gradients = [weight.grad for weight in weights]
        steps, momenta, velocities = (
            [self.state[weight][name] for weight in weights] for name in ("step", "exp_avg", "exp_avg_sq")
        )
        beta_1, beta_2 = group["betas"]
        for_each("add_", steps, 1)
        for_each("lerp_", momenta, gradients, 1 - beta_1)
        for_each("mul_", velocities, beta_2)
        for_each("addcmul_", velocities, gradients, gradients, value=1 - beta_2)
        roots = for_each("sqrt", velocities)
        for_each("add_", roots, group["eps"])
        if group["weight_decay"]:  # of what the weight was before the step
            for_each("mul_", weights, 1 - group["lr"] * group["weight_decay"])
        for_each("addcdiv_", weights, momenta, roots, value=-group["lr"])


def _group_parameters(weights: list[Tensor]) -> Iterator[list[Tensor]]:
    """Group weights up to `_GROUP_SIZE` numbers; a larger weight is a group of its own."""
    some: list[Tensor] = []
    count = 0
    for weight in weights:
        if some and count + weight.numel() > _GROUP_SIZE:
            yield some
            some, count = [], 0
        some.append(weight)
        count += weight.numel()
    if some:
        yield some


def make_optimizer(
    model: PreTrainedModel,
    name: str = "bert_adam",
    rate: float = 1e-4,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float | None = None,
    max_grad_norm: float | None = None,
) -> Optimizer:
    """An optimizer of the model's trainable parameters.

    Args:
        model: what is trained; with FSDP2, after it was sharded.
        name: "bert_adam", the original's, which decays everything; or "adamw", which does not decay biases and norms.
        rate: the learning rate, until `set_rate` changes it.
        weight_decay: the weight decay, times the rate.
        betas: the decay rates of the mean of the gradients and of their squares.
        epsilon: added to the root; 1e-6 for BertAdam, and 1e-8 for AdamW, by default.
        max_grad_norm: `step` first scales all gradients down to this norm, if theirs is larger; None does not
            clip.

    Raises:
        ValueError: an unknown name, or a number out of range.
    """
    epsilon = OPTIMIZERS.get(name, 0.0) if epsilon is None else epsilon
    check_optimizer(name, rate, weight_decay, betas, epsilon, max_grad_norm)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer: Optimizer
    if name == "bert_adam":
        optimizer = BertAdam(trained, rate, betas, epsilon, weight_decay)
    else:
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        # One pass over the memory instead of nine; it does not support sharded parameters.
        fused = all(not isinstance(p, DTensor) and p.device.type in ("cpu", "cuda") for p in trained)
        optimizer = AdamW(groups, lr=rate, betas=betas, eps=epsilon, fused=fused)
    if max_grad_norm is not None:
        optimizer.register_step_pre_hook(lambda *_: clip_gradients(trained, max_grad_norm))
    return optimizer


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate of the next steps."""
    for group in _unwrapped(optimizer).param_groups:
        group["lr"] = rate


def clip_gradients(parameters: list[Tensor], norm: float) -> None:
    """Multiply gradients by min(1, norm / (the norm of all + 1e-6))."""
    torch.nn.utils.clip_grad_norm_(parameters, norm)


def optimizer_state(model: PreTrainedModel, optimizer: Any) -> dict[str, np.ndarray]:
    """The state of an optimizer, by the names of the parameters, the same in both backends.

    "momentum.<name>" and "velocity.<name>" have the shape of the parameter in PyTorch's layout; "step" is the count of
    steps. A parameter that got no gradient in some of them has its own "step.<name>". With FSDP2, where
    the state is sharded, all processes have to call this, and each gets the full state.

    Args:
        model: the model whose names are used; not wrapped by an engine.
        optimizer: made by `make_optimizer`, wrapped by an engine or not.
    """
    held, state = _trained_parameters(model, optimizer), {}
    steps = {name: int(_unwrapped(optimizer).state.get(weight, {}).get("step", 0)) for name, weight in held.items()}
    for name, weight in held.items():
        moments = _unwrapped(optimizer).state.get(weight, {})
        for kind, own in (("momentum", "exp_avg"), ("velocity", "exp_avg_sq")):
            values = moments[own] if steps[name] else torch.zeros_like(weight)
            full = values.full_tensor() if isinstance(values, DTensor) else values
            state[f"{kind}.{name}"] = array_of(full).copy()
    return {**state, **last_step(steps)}


def load_optimizer_state(model: PreTrainedModel, optimizer: Any, state: Mapping[str, np.ndarray]) -> None:
    """Restore what `optimizer_state` of either backend returned.

    Raises:
        ValueError: names or shapes that are not those of this model's trained parameters; nothing is changed then.
    """
    held = _trained_parameters(model, optimizer)
    check_state(state, {name: tuple(weight.shape) for name, weight in held.items()})
    bare = _unwrapped(optimizer)
    for name, weight in held.items():
        step = step_of(state, name)
        bare.state.pop(weight, None)
        if not step:
            continue
        momentum, velocity = (
            _match_layout(weight, np.array(state[f"{kind}.{name}"], order="C")) for kind in ("momentum", "velocity")
        )
        # A fused optimizer keeps the count on the weight's device.
        bare.state[weight] = _moments(momentum, velocity, step, weight.device if bare.defaults.get("fused") else "cpu")


def _trained_parameters(model: PreTrainedModel, optimizer: Any) -> dict[str, Tensor]:
    """The parameters that an optimizer trains, by name."""
    trained = {id(p) for group in _unwrapped(optimizer).param_groups for p in group["params"]}
    held = {parameter.name: weight for parameter, weight in model.weights_by_name() if id(weight) in trained}
    if len(held) != len(trained):
        raise ValueError(
            f"The optimizer trains {len(trained)} parameters, of which {len(held)} are this model's. Pass the model "
            "that the optimizer was made for, without the wrapper of an engine."
        )
    return held


def _unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer that an engine's wrapper holds."""
    return optimizer if isinstance(optimizer, Optimizer) else optimizer.optimizer


def _moments(momentum: Tensor, velocity: Tensor, step: int, device: torch.device | str) -> dict[str, Tensor]:
    """The state of PyTorch's Adam and of BertAdam for one parameter; the step count is float32 on `device`."""
    count = torch.tensor(float(step), dtype=torch.float32, device=device)
    return {"step": count, "exp_avg": momentum, "exp_avg_sq": velocity}


def _match_layout(weight: Tensor, values: np.ndarray) -> Tensor:
    """Convert values to the dtype, device and sharding of a parameter."""
    full = tensor_of(values).to(device=weight.device, dtype=weight.dtype)
    if isinstance(weight, DTensor):
        return distribute_tensor(full, weight.device_mesh, weight.placements)
    return full
