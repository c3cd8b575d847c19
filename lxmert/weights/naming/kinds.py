"""The kinds of modules: which parameters each has, their names in both frameworks, and the order of their axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Leaf(NamedTuple):
    """One parameter of a module: its name in PyTorch and in Keras, and which of PyTorch's axes are Keras', in order.

    Without `axes` the two are alike. A module that is a tensor itself has neither name. A buffer is never trained. What
    is exact stays in float32, whatever the dtype of the model: coordinates, which 16 bits would round by pixels.
    """

    torch: str
    keras: str
    axes: tuple[int, ...] | None = None
    is_buffer: bool = False
    exact: bool = False

    def to_keras(self, values: np.ndarray) -> np.ndarray:
        """The values in Keras' layout: a view."""
        return values if self.axes is None else values.transpose(self.axes)

    def to_torch(self, values: np.ndarray) -> np.ndarray:
        """The values in PyTorch's layout, given those in Keras': a view."""
        return values if self.axes is None else values.transpose(self._inverse)

    def keras_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in Keras' layout."""
        return _ordered(shape, self.axes)

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in PyTorch's layout, given that in Keras'."""
        return _ordered(shape, self._inverse)

    @property
    def _inverse(self) -> tuple[int, ...] | None:
        return None if self.axes is None else tuple(sorted(range(len(self.axes)), key=self.axes.__getitem__))


def _ordered(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """A shape with its axes in another order; one of another number of axes, from a foreign file, stays as it is."""
    return tuple(shape[axis] for axis in axes) if axes is not None and len(axes) == len(shape) else shape


_MATRIX = Leaf("weight", "kernel", axes=(1, 0))  # [out, in]
_FILTERS = Leaf("weight", "kernel", axes=(2, 3, 1, 0))  # [out, in, height, width]
_BIAS = Leaf("bias", "bias")

KINDS: dict[str, tuple[Leaf, ...]] = {
    "dense": (_MATRIX, _BIAS),
    "norm": (Leaf("weight", "gamma"), Leaf("bias", "beta")),
    "embedding": (Leaf("weight", "embeddings"),),
    "vector": (Leaf("", ""),),
    "convolution": (_FILTERS, _BIAS),
    "convolution without bias": (_FILTERS,),
    "batch norm": (
        Leaf("weight", "gamma"),
        Leaf("bias", "beta"),
        Leaf("running_mean", "moving_mean", is_buffer=True),
        Leaf("running_var", "moving_variance", is_buffer=True),
    ),
    "buffer": (Leaf("", "", is_buffer=True, exact=True),),
}
