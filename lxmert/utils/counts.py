"""Counts that users give."""

from __future__ import annotations

import numbers
from typing import Any


def check_integer(name: str, value: Any, least: int = 1) -> int:
    """Check a count, or another number that has a least one, and return it as an int.

    Raises:
        TypeError: no integer.
        ValueError: below the least.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")
    return int(value)
