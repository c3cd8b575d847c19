"""Results that are kept, bounded by the bytes of their arrays and not by their number: one may be as large as all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def held_bytes(value: object) -> int:
    """The bytes of the arrays in a value: an array, or tuples, lists, dictionaries and dataclasses of such values."""
    if isinstance(value, np.ndarray):
        while isinstance(value.base, np.ndarray):  # a view keeps all of the array that it is of
            value = value.base
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(held_bytes, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(held_bytes, value))
    if is_dataclass(value) and not isinstance(value, type):
        return sum(held_bytes(getattr(value, field.name)) for field in fields(value))
    return 0


def cached_within(
    most_bytes: int,
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a function of hashable arguments to keep the arrays that it returned last, up to so many bytes in all.

    A result that is larger by itself is not kept. Safe in several threads, which may compute the same result twice.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        kept: OrderedDict[object, Result] = OrderedDict()
        lock = Lock()
        held = 0

        @wraps(function)
        def cached(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            nonlocal held
            key = (args, *kwargs.items())
            with lock:
                if key in kept:
                    kept.move_to_end(key)
                    return kept[key]
            result = function(*args, **kwargs)
            with lock:
                if key not in kept:
                    kept[key] = result
                    held += held_bytes(result)
                    while held > most_bytes:
                        held -= held_bytes(kept.popitem(last=False)[1])
            return result

        return cached

    return decorate
