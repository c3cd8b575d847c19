"""Counts that users give."""

from __future__ import annotations

import numbers
from typing import Any


def check_integer(name: str, value: Any) -> int:
    """Check a count, and return it as an int.

    Raises:
        TypeError: no integer.
        ValueError: below 1.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return int(value)
