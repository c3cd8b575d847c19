"""Dropout that a recomputed layer can repeat, as PyTorch's gradient checkpointing does by itself.

Separate from the layers, because nothing here has a sibling in PyTorch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


class ReplayedSeeds(keras.random.SeedGenerator):
    """The seeds of another generator, recorded, to be given out again in their order."""

    def __init__(self, generator: keras.random.SeedGenerator):
        self.generator = generator
        self.kept: list[Any] = []
        self.place = 0

    def next(self, ordered: bool = True) -> Any:
        """The next kept draw, or a new one."""
        if self.place == len(self.kept):
            self.kept.append(self.generator.next(ordered))
        self.place += 1
        return self.kept[self.place - 1]


@keras.saving.register_keras_serializable(package="lxmert")
class Dropout(keras.layers.Dropout):
    """Dropout whose seeds can be replayed, so that a recomputed layer drops the same again."""

    @contextmanager
    def replaying(self, draws: ReplayedSeeds) -> Iterator[None]:
        """Take the seeds from `draws`, from its first one on."""
        generator, draws.place = self.seed_generator, 0
        # Not by Keras' own way to set an attribute, which takes a generator for new state of a layer.
        object.__setattr__(self, "seed_generator", draws)
        try:
            yield
        finally:
            object.__setattr__(self, "seed_generator", generator)
