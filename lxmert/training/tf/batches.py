"""The batches of a run as `fit` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from lxmert.training.steps import Steps

from .strategy import place_of_process


def micro_batches(
    steps: Steps,
    numbers: range,
    strategy: Any,
    labels: tuple[str, ...],
    cast: Callable[[Any], Any],
    failures: list[BaseException],
) -> Any:
    """A data set of micro-batches. With several processes each one makes only its own part of them.

    Args:
        steps: the steps of the run.
        numbers: of the micro-batches, counted from 0 over all steps.
        strategy: of the run.
        labels: the inputs that are labels.
        cast: changes the dtype of an array.
        failures: gets an error that making a batch raised: TensorFlow keeps only its text.
    """
    rank, world = place_of_process(strategy)
    devices = int(strategy.num_replicas_in_sync)
    here = devices // world

    def part(number: int, device: int | None) -> tuple[Any, ...]:
        inputs, weights = steps.micro_batch(*divmod(number, steps.gradient_accumulation_steps), devices, device)
        targets = {name: inputs.pop(name) for name in labels if name in inputs}
        return keras.tree.map_structure(cast, (inputs, targets, weights) if weights else (inputs, targets))

    # One process makes whole micro-batches, which TensorFlow divides.
    own = [None] if world == 1 else list(range(rank * here, (rank + 1) * here))

    def parts() -> Iterator[tuple[Any, ...]]:
        try:
            yield from (part(number, device) for number in numbers for device in own)
        except Exception as error:
            failures.append(error)
            raise

    signature = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), part(numbers[0], own[0]))
    dataset = tf.data.Dataset.from_generator(parts, output_signature=signature).prefetch(2)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = dataset.with_options(options)
    return dataset if world == 1 else strategy.distribute_datasets_from_function(lambda _: dataset)
