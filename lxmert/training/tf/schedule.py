"""The learning rates of a run as Keras takes them."""

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from lxmert.training.schedule import rate_of_step


@keras.saving.register_keras_serializable(package="lxmert")
class LinearWarmUp(LearningRateSchedule):
    """The rates of `lxmert.training.schedule`, for `compile` and `fit`.

    Keras counts batches; with gradient accumulation, `gradient_accumulation_steps` of them are one step.
    """

    def __init__(self, rate: float, steps: int, warm_up: float, gradient_accumulation_steps: int = 1):
        self.given = dict(
            rate=rate, steps=steps, warm_up=warm_up, gradient_accumulation_steps=gradient_accumulation_steps
        )
        self.rates = np.array([rate_of_step(rate, step, steps, warm_up) for step in range(steps)], "float32")

    def __call__(self, step: Any) -> Any:
        """The rate at a batch, counted from 0; after the last step it stays that of the last."""
        step = ops.cast(step, "int32") // self.given["gradient_accumulation_steps"]
        return ops.take(self.rates, ops.minimum(step, len(self.rates) - 1))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return self.given
