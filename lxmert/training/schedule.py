"""The learning rate of each step, computed once for both backends, so that they train with the same numbers."""

from __future__ import annotations

import numpy as np


def linear_warm_up(step: int, steps: int, warm_up: float) -> float:
    """The learning rate of a step as a part of the highest one: rising linearly, then falling linearly.

    As in the original: with x = step / steps it is x / warm_up while x < warm_up, then max((x - 1) / (warm_up - 1), 0).
    So the first step has rate 0 and changes no weight, and the last step still has a rate above 0.

    Args:
        step: counted from 0, in updates of the weights; gradient accumulation makes one of several batches.
        steps: how many updates the run has.
        warm_up: the part of the steps in which the rate rises, 0 … 1.

    Raises:
        ValueError: `step` below 0, `steps` below 1 or `warm_up` outside 0 … 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1; got {steps}.")
    if step < 0:
        raise ValueError(f"step must be at least 0; got {step}.")
    if not 0 <= warm_up <= 1:
        raise ValueError(f"warm_up is the part of the steps in which the rate rises, 0 to 1; got {warm_up}.")
    x = step / steps
    if x < warm_up:
        return x / warm_up
    return max((x - 1) / (warm_up - 1), 0.0) if warm_up < 1 else 0.0


def rate_of_step(rate: float, step: int, steps: int, warm_up: float) -> float:
    """The learning rate of a step, `rate` being the highest.

    It is rounded to a number that float32 holds, because Keras keeps rates in float32: both backends get the same.
    """
    return float(np.float32(rate * linear_warm_up(step, steps, warm_up)))
