"""Training a question-answering model with `model.fit` on dict inputs."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.data.synthetic.recipe import Recipe
from lxmert.tf.pretrained import PreTrainedModel


class WarmUpAndDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The recipe's learning rate: rising linearly at first, then falling linearly to 0."""

    def __init__(self, recipe: Recipe, steps: int):
        self.rates = np.array([recipe.learning_rate_at(step, steps) for step in range(steps)], "float32")

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        return ops.take(self.rates, ops.minimum(ops.cast(step, "int32"), len(self.rates) - 1))

    def get_config(self) -> dict[str, Any]:
        """Nothing: the schedule belongs to one run."""
        return {}


def train_question_answering(
    model: PreTrainedModel,
    batches: Callable[[int], Iterable[Mapping[str, np.ndarray]]],
    steps_per_epoch: int,
    recipe: Recipe,
    progress: bool = True,
) -> list[float]:
    """Train with AdamW, warm-up and linear decay, and clipped gradients, as the recipe says.

    Args:
        model: a question-answering model; afterwards it stays compiled.
        batches: gives the batches of an epoch, counted from 0: inputs and `labels` by argument name.
        steps_per_epoch: how many there are.
        recipe: epochs, rates and norms.
        progress: whether to show a bar for each epoch.

    Returns:
        The mean loss of each epoch.
    """
    optimizer = keras.optimizers.AdamW(
        WarmUpAndDecay(recipe, recipe.epochs * steps_per_epoch),
        weight_decay=recipe.weight_decay,
        epsilon=recipe.epsilon,
        global_clipnorm=recipe.max_grad_norm,
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(optimizer)
    # One stream: `fit` takes the batches of an epoch from it, then those of the next.
    stream = itertools.chain.from_iterable(batches(epoch) for epoch in range(recipe.epochs))
    history = model.fit(
        ((batch,) for batch in stream),
        steps_per_epoch=steps_per_epoch,
        epochs=recipe.epochs,
        shuffle=False,
        verbose=1 if progress else 0,
    )
    return [float(loss) for loss in history.history["loss"]]
