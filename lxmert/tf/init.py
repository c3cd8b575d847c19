"""How weights start, and how a model is made whose weights are about to be loaded.

Separate from the layers, because nothing here has a sibling in PyTorch, which makes such a model on its meta device.
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
    """Draw nothing in this block, where every weight is overwritten afterwards: 200 million numbers take seconds."""
    token = _DRAWS.set(False)
    try:
        yield
    finally:
        _DRAWS.reset(token)


def _memory(shape: Sequence[int], dtype: Any) -> Any:
    """A tensor whose memory is not even touched, where the engine can do that; Keras' own `empty` writes zeros."""
    if keras.backend.backend() != "tensorflow":
        return ops.zeros(shape, dtype)
    import tensorflow

    return tensorflow.raw_ops.Empty(shape=shape, dtype=keras.backend.standardize_dtype(dtype), init=False)


@keras.saving.register_keras_serializable(package="lxmert")
class NormalInitializer(keras.initializers.Initializer):
    """Normal numbers, zeros in row `padding_idx`: how a layer starts, and a table with that setting in PyTorch."""

    def __init__(self, stddev: float, padding_idx: int | None = None):
        self.stddev = stddev
        self.padding_idx = padding_idx

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Draw the weights."""
        if not _DRAWS.get():
            return _memory(shape, dtype)
        rows = keras.initializers.RandomNormal(stddev=self.stddev)(shape, dtype=dtype)
        if self.padding_idx is None:
            return rows
        padding = ops.arange(shape[0])[:, None] == self.padding_idx
        return ops.where(padding, ops.zeros_like(rows), rows)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {"stddev": self.stddev, "padding_idx": self.padding_idx}
