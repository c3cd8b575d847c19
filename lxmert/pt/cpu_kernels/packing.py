"""Weights that are packed once into oneDNN's memory format.

oneDNN reorders a plain weight for every product. That is a few percent of the work for a batch, and a quarter for a
single question; packing once is worth the memory. So it is done by default, up to a limit.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor, nn

from lxmert.pt import _compat


class PackedWeights:
    """Cache packed weights for products without gradients, in place of the default cache (`use_packed_weights`).

    ::

        packed = PackedWeights()
        with packed, torch.inference_mode():
            out = model(**inputs)  # the first call packs the weights

    A weight is packed when a product first needs it, and again after it has changed or a model has been trained. All
    together take as much memory as the model's linear layers, until the weights or this object are gone. It may serve
    several threads and tasks at once. On other devices than CPUs it does nothing.

    Args:
        limit: the most bytes that packed weights take; what does not fit stays as it is. By default no limit.
    """

    def __init__(self, limit: int | None = None):
        self.limit = _check_limit("PackedWeights", limit)
        self._uses = 1  # at which use a weight is packed
        self._known: dict[tuple[int, ...], _Known] = {}  # by the ids of the weights
        self._lock = Lock()
        self._freed = 0  # changes when there may be more room

    def of(self, *weights: Tensor) -> Tensor | None:  # [out, in] of each -> [sum of out, in]
        """A packed weight for oneDNN's product: of one weight, or of several with one input, concatenated.

        None where the weights are to be used as they are: there is no room; they were not used often enough; or they
        are no parameters, or made in inference mode, where PyTorch does not count changes.
        """
        key = tuple(map(id, weights))
        known = self._known.get(key)
        if known is None or not known.is_current(weights):
            if not all(type(weight) is nn.Parameter and not weight.is_inference() for weight in weights):
                return None
            self._freed += known is not None
            known = self._known[key] = _Known(weights, self._forgetting(key))
        if known.packed is None and known.refused != self._freed:
            known.uses += 1
            if known.uses >= self._uses:
                self._pack(known, weights)
        return known.packed

    def _pack(self, known: _Known, weights: Sequence[Tensor]) -> None:
        """Pack weights if there is room, unless another thread is packing: none waits, also not in a forked process."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            # oneDNN pads the rows to blocks of up to 64.
            size = sum(-(-len(weight) // 64) * 64 * weight.shape[1] * weight.itemsize for weight in weights)
            if not (self._has_room(size) or self._has_room(size, drop_stale=True)):
                known.refused = self._freed
            elif known.packed is None:
                with torch.inference_mode(False), torch.no_grad():
                    plain = [weight.detach() for weight in weights]
                    packed = _compat.reorder_linear_weight(torch.cat(plain) if len(plain) > 1 else plain[0])
                known.size = size
                known.packed = packed
        finally:
            self._lock.release()

    def _has_room(self, size: int, drop_stale: bool = False) -> bool:
        if self.limit is None:
            return True
        if drop_stale:  # such as those of a model that was trained
            for key, known in self._known.copy().items():
                if known.trained is not _training:
                    self._known.pop(key, None)
        return size + sum(known.size for known in self._known.copy().values()) <= self.limit

    def _forgetting(self, key: tuple[int, ...]) -> Callable[[object], None]:
        """A function that forgets weights when one of them is gone; it keeps no cache alive, and needs no lock."""
        this = weakref.ref(self)

        def forget(_: object) -> None:
            cache = this()
            if cache is not None:
                cache._known.pop(key, None)
                cache._freed += 1

        return forget

    def clear(self) -> None:
        """Free the packed weights."""
        self._known.clear()
        self._freed += 1

    def __enter__(self) -> PackedWeights:
        _IN_USE.set((*_IN_USE.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        _IN_USE.set(_IN_USE.get()[:-1])

    def __reduce__(self) -> tuple[type[PackedWeights], tuple[int | None]]:
        return PackedWeights, (self.limit,)  # a copy starts empty


class _Known:
    """What is known about weights: their state, and how they are packed, if they are."""

    def __init__(self, weights: Sequence[Tensor], forget: Callable[[object], None]):
        self.trained = _training
        self.parts = tuple(WeightState(weight, forget) for weight in weights)
        self.uses = 0  # until it is packed
        self.packed: Tensor | None = None
        self.size = 0  # the bytes of `packed`
        self.refused: int | None = None  # `_freed` of the cache when there was no room

    def is_current(self, weights: Sequence[Tensor]) -> bool:
        """Whether these are the same weights in the same state."""
        if self.trained is not _training:
            return False
        return all(part.is_of(weight) for part, weight in zip(self.parts, weights, strict=True))


class WeightState:
    """The state of a weight [out, in], and some of its values.

    Args:
        weight: the weight, which is not kept alive.
        forget: called when its memory is freed.
    """

    def __init__(self, weight: Tensor, forget: Callable[[object], None] | None = None):
        # Not the weight itself: `torch.utils.swap_tensors` refuses a tensor that has weak references.
        self.storage = weakref.ref(weight.untyped_storage(), forget)
        self.state = _state(weight)
        rows, columns = weight.shape
        count = min(rows, columns, _VALUES)
        steps = (rows // count, columns // count) if count else (0, 0)
        # Some values of each block of rows and of columns; sizes and strides as `torch.as_strided` takes them.
        self.diagonal = (count,), (steps[0] * weight.stride(0) + steps[1] * weight.stride(1),)
        self.values = torch.as_strided(weight, *self.diagonal).detach().clone()

    def is_of(self, weight: Tensor) -> bool:
        """Whether a weight is this one, in this state."""
        if self.storage() is not weight.untyped_storage() or self.state != _state(weight):
            return False
        return torch.equal(torch.as_strided(weight, *self.diagonal), self.values)


class use_packed_weights:
    """Set the limit of the packed weights that the models of this process share, in all threads.

    ::

        lxmert.pt.use_packed_weights(2**31)  # up to 2 GiB, from here on
        with lxmert.pt.use_packed_weights(0): ...  # none in this block

    On CPUs, oneDNN reorders a weight for every product. Therefore the weight of a linear layer is packed when it is
    used without gradients for the third time, and the packed copy is used from then on. The results were the same to
    the bit where that was tried (AVX-512). The copies are freed with the model, and when a model is trained. By default
    they take at most 1 GiB, and at most a quarter of the machine's memory. What does not fit stays as it is.
    LXMERT_PACKED_WEIGHTS in the environment sets another number of bytes; 0 switches packing off.

    Weights that change are packed again. Changes are counted by PyTorch, except those through `weight.data` and by
    fused optimizers. Those are seen by the values on a diagonal of the weight, of which up to 96 are compared at every
    use, and after a product with gradients all weights count as changed. So a change of all values is seen, of a
    tenth of them, or of all rows or columns of an attention head. A change of a few values by `weight.data[i, j] = x`
    may not be; `with torch.no_grad(): weight[i, j] = x` is.

    Args:
        limit: the most bytes; 0 for no packed weights, None for no limit.
    """

    def __init__(self, limit: int | None):
        self._before = _DEFAULT.limit
        self._set(_check_limit("use_packed_weights", limit))

    def _set(self, limit: int | None) -> None:
        if limit is not None and (_DEFAULT.limit is None or limit < _DEFAULT.limit):
            _DEFAULT.clear()  # what fits is packed again
        _DEFAULT.limit = limit

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._set(self._before)


def packed_weights() -> PackedWeights | None:
    """The cache of the innermost `with` block of this thread or task, or else the default one.

    None if that is switched off, and while a graph is compiled.
    """
    if torch.compiler.is_compiling():
        return None
    inside = _IN_USE.get()
    cache = inside[-1] if inside else _DEFAULT
    return None if cache.limit == 0 else cache


def invalidate_packed_weights() -> None:
    """Mark all packed weights as stale: fused optimizers change weights without a new version."""
    global _training
    if not torch.compiler.is_compiling():
        _training = object()
        if _DEFAULT._known:
            _DEFAULT.clear()  # training needs the memory


def _state(weight: Tensor) -> tuple[object, ...]:
    """What changes with a weight's values or layout, where PyTorch counts it."""
    return _compat.version_of(weight), weight.data_ptr(), weight.dtype, weight.shape, weight.stride()


def _check_limit(name: str, limit: int | None) -> int | None:
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ValueError(f"{name} expects a number of bytes as its limit, 0 or more, or None; got {limit!r}.")
    return limit


def _default_limit() -> int:
    """The limit in bytes from the environment; by default 1 GiB, and at most a quarter of the memory."""
    setting = os.environ.get("LXMERT_PACKED_WEIGHTS", "")
    if setting:
        if not (setting.isascii() and setting.isdigit()):
            raise ValueError(
                "the environment variable LXMERT_PACKED_WEIGHTS must be a number of bytes, the most that packed "
                f"weights take, or 0 for none; got {setting!r}."
            )
        return int(setting)
    return min(2**30, _machine_memory() // 4)


def _machine_memory() -> int:
    """The bytes of memory of this machine or container."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):  # Windows
        return 2**32
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            memory = min(memory, int(Path(limit).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return memory


_VALUES = 96
_training = object()  # a new one whenever weights may have changed: threads need no lock, as they would to count
_IN_USE: ContextVar[tuple[PackedWeights, ...]] = ContextVar("packed_weights", default=())
_DEFAULT = PackedWeights(_default_limit())
# Packing costs as much as it saves in about ten calls. A single call, which may use a weight twice, must not cost more.
_DEFAULT._uses = 3
