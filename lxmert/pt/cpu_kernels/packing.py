"""Weights that are packed once into oneDNN's memory format.

oneDNN reorders a plain weight for every product. That is a few percent of the work for a batch, and a quarter for a
single question; packing once is worth the memory.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from lxmert.pt import _compat


class PackedWeights:
    """Cache packed weights for products without gradients.

    ::

        packed = PackedWeights()
        with packed, torch.inference_mode():
            out = model(**inputs)  # the first call packs the weights

    A weight is packed when a product first needs it, and again after it has changed or a model has been trained.
    (Changes in place by `weight.data` outside of training are not seen: PyTorch does not count them.) All together take
    as much memory as the model's linear layers, until the object is gone. It may serve several threads and tasks at
    once. On other devices than CPUs it does nothing.
    """

    def __init__(self) -> None:
        self._known: Any = WeakTensorKeyDictionary()  # the state of each weight, and the packed weight
        self._lock = Lock()

    def of(self, weight: Tensor) -> Tensor:  # [out, in]
        """Return a weight for oneDNN's product, packed if it is a parameter."""
        if type(weight) is not nn.Parameter or weight.is_inference():  # whose changes PyTorch does not count
            return weight
        state = (_compat.version_of(weight), weight.data_ptr(), weight.dtype, _training)
        with self._lock:
            known = self._known.get(weight)
            if known is None or known[0] != state:
                with torch.no_grad():
                    known = self._known[weight] = (state, _compat.reorder_linear_weight(weight.detach()))
        return known[1]

    def __enter__(self) -> PackedWeights:
        _IN_USE.set((*_IN_USE.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        _IN_USE.set(_IN_USE.get()[:-1])

    def __reduce__(self) -> tuple[type[PackedWeights], tuple[()]]:
        return PackedWeights, ()  # a copy starts empty


def packed_weights() -> PackedWeights | None:
    """The cache of the innermost `with` block of this thread or task; None while a graph is compiled."""
    if torch.compiler.is_compiling():
        return None
    inside = _IN_USE.get()
    return inside[-1] if inside else None


def invalidate_packed_weights() -> None:
    """Mark all packed weights as stale: fused optimizers change weights without a new version."""
    global _training
    if not torch.compiler.is_compiling():
        _training = object()


_training = object()  # a new one whenever weights may have changed: threads need no lock, as they would to count
_IN_USE: ContextVar[tuple[PackedWeights, ...]] = ContextVar("packed_weights", default=())
