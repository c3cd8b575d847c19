"""Dropout that a recomputed layer can repeat, as PyTorch's gradient checkpointing does.

Separate from the layers, because PyTorch has no counterpart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


class ReplayedSeeds(keras.random.SeedGenerator):
    """A seed generator that records the seeds of another one, and replays them in order."""

    def __init__(self, generator: keras.random.SeedGenerator):
        self.generator = generator
        self.seeds: list[Any] = []
        self.position = 0

    def next(self, ordered: bool = True) -> Any:
        """The next recorded seed, or a new one."""
        if self.position == len(self.seeds):
            self.seeds.append(self.generator.next(ordered))
        self.position += 1
        return self.seeds[self.position - 1]


@keras.saving.register_keras_serializable(package="lxmert")
class Dropout(keras.layers.Dropout):
    """Dropout whose seeds can be replayed, so that a recomputed layer drops the same values."""

    @contextmanager
    def replaying(self, draws: ReplayedSeeds) -> Iterator[None]:
        """Take the seeds from `draws`, starting with its first."""
        generator, draws.position = self.seed_generator, 0
        # Keras' own __setattr__ would track the generator as new state of the layer.
        object.__setattr__(self, "seed_generator", draws)
        try:
            yield
        finally:
            object.__setattr__(self, "seed_generator", generator)
