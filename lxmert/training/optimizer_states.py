"""What both backends' optimizers share: the checks of their arguments, and the names in their states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few

OPTIMIZERS = {"bert_adam": 1e-6, "adamw": 1e-8}
"""The optimizers, and the default epsilon of each."""


def check_optimizer(
    name: str,
    rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
    max_grad_norm: float | None = None,
) -> None:
    """Refuse an unknown name and numbers out of range.

    Raises:
        ValueError: the message names the argument.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"The optimizers are {' and '.join(OPTIMIZERS)}; got {name!r}.")
    for argument, value in (("rate", rate), ("weight_decay", weight_decay), ("epsilon", epsilon)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{argument} must be a finite number, at least 0; got {value}.")
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers, at least 0 and less than 1; got {betas}.")
    if max_grad_norm is not None and not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm must be greater than 0, or None for no clipping; got {max_grad_norm}.")


def last_step(steps: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The counts of steps in a state: "step", and "step.<name>" for a parameter with another count."""
    last = max(steps.values(), default=0)
    own = {f"step.{name}": np.array(step, "int64") for name, step in steps.items() if step != last}
    return {"step": np.array(last, "int64"), **own}


def step_of(state: Mapping[str, Any], name: str) -> int:
    """The count of steps of a parameter."""
    return int(state.get(f"step.{name}", state["step"]))


def check_state(state: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a state that does not fit.

    Args:
        state: the output of `optimizer_state`.
        shapes: of the trained parameters by name, in PyTorch's layout.

    Raises:
        ValueError: missing or unexpected names, or wrong shapes; it names the first of each.
    """
    wanted: dict[str, tuple[int, ...]] = {"step": ()}
    wanted |= {f"{kind}.{name}": shape for kind in ("momentum", "velocity") for name, shape in shapes.items()}
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted and name.removeprefix("step.") not in shapes]
    wrong = [name for name, shape in wanted.items() if name in state and tuple(state[name].shape) != shape]
    if not missing and not unexpected and not wrong:
        return
    lines = ["The state of the optimizer does not fit the trained parameters of this model:"]
    if missing:
        lines.append(f"  missing     {len(missing)}: {first_few(missing, 3)}")
    if unexpected:
        lines.append(f"  unexpected  {len(unexpected)}: {first_few(unexpected, 3)}")
    if wrong:
        name = wrong[0]
        lines.append(f"  wrong shape {len(wrong)}: {name} must be {list(wanted[name])}; got {list(state[name].shape)}")
    raise ValueError("\n".join([*lines, "Nothing was loaded. Take the model and the state from one checkpoint."]))
