"""Initialize weights, and make a model without initializing weights that will be loaded.

Separate from the layers, because PyTorch has no counterpart, which uses its meta device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

_DRAWS = ContextVar("draws", default=True)


@contextmanager
def skip_init() -> Iterator[None]:
    """Skip initialization in this block; every weight is overwritten afterwards. (200 million numbers take seconds.)"""
    token = _DRAWS.set(False)
    try:
        yield
    finally:
        _DRAWS.reset(token)


def _empty(shape: Sequence[int], dtype: Any) -> Any:
    """An uninitialized tensor. (Keras' own `empty` writes zeros.)"""
    import tensorflow

    return tensorflow.raw_ops.Empty(shape=shape, dtype=keras.backend.standardize_dtype(dtype), init=False)


@keras.saving.register_keras_serializable(package="lxmert")
class NormalInitializer(keras.initializers.Initializer):
    """Normal numbers, with zeros in row `padding_idx`, as PyTorch initializes an embedding with that argument."""

    def __init__(self, stddev: float, padding_idx: int | None = None):
        self.stddev = stddev
        self.padding_idx = padding_idx

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Draw the weights."""
        if not _DRAWS.get():
            return _empty(shape, dtype)
        rows = keras.initializers.RandomNormal(stddev=self.stddev)(shape, dtype=dtype)
        if self.padding_idx is None:
            return rows
        padding = ops.arange(shape[0])[:, None] == self.padding_idx
        return ops.where(padding, ops.zeros_like(rows), rows)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"stddev": self.stddev, "padding_idx": self.padding_idx}
