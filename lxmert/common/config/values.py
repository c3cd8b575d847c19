"""Checks of single values of a configuration, with the errors that its constructor and assignments raise."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from lxmert.utils.messages import shown

_KINDS = {
    bool: "true or false",
    int: "an integer",
    int | None: "an integer or null",
    float: "a number",
    str: "a string",
    tuple[float, ...]: "a list of numbers",
}

# No file can hold weights of larger sizes than these, and the numbers of indices and bytes stay within 64 bits.
MOST = 2**31 - 1
MOST_LAYERS = 256
MOST_HEADS = 4096
# The names of labels are made when they are asked for; a file may claim any number of them.
MOST_LABELS = 2**16
MOST_NUMBERS = 1000  # of a list of them
# Beside the labels and the pruned heads; published files have about a hundred, and some keep their answers.
MOST_VALUES = 20_000
_LONGEST_INDEX = 9  # digits; Python reads no text of more than 4,300
# A dtype of PyTorch, NumPy or TensorFlow by its name.
_DTYPE = re.compile(r"b?float\d{1,3}(_\w{1,20})?|u?int\d{1,3}|complex\d{1,3}|bool|half|float|double")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def checked_kind(name: str, kind: Any, value: Any) -> Any:
    """The value of a field as its declared type.

    Raises:
        TypeError: it is of another type.
    """
    if (kind is bool and isinstance(value, bool)) or (kind == int | None and value is None):
        return value
    if kind in (int, int | None) and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _as_float(name, value)
    if kind is str and isinstance(value, str):
        return value
    if kind == tuple[float, ...] and (isinstance(value, (list, tuple)) or hasattr(value, "tolist")):
        return _numbers(name, value)
    raise wrong_kind(name, _KINDS.get(kind, "a mapping of names"), value)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    """A list or an array of numbers as a tuple, or TypeError."""
    items = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, (list, tuple)) or not all(
        isinstance(item, numbers.Real) and not isinstance(item, bool) for item in items
    ):
        raise wrong_kind(name, "a list of numbers", value)
    require(len(items) <= MOST_NUMBERS, name, f"a list of at most {MOST_NUMBERS:,} numbers", value)
    return tuple(_as_float(name, item) for item in items)


def _as_float(name: str, value: numbers.Real) -> float:
    """A number as a float, or ValueError: JSON writes integers that are larger than any."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is larger than any float.") from None


def wrong_kind(name: str, expected: str, value: Any) -> TypeError:
    """The error for a value of the wrong type."""
    return TypeError(f"{name} must be {expected}; got {shown(value)} ({type(value).__name__}).")


def require(holds: bool, name: str, wanted: str, value: Any) -> None:
    """Raise ValueError unless the value of a field holds."""
    if not holds:
        raise ValueError(f"{name} must be {wanted}; got {shown(value)}.")


def check_values(values: Mapping[Any, Any]) -> None:
    """Check the keys of a configuration, and that what it holds beside labels and pruned heads can be kept and written.

    Raises:
        ValueError: a key that is no text, or more than `MOST_VALUES` values.
    """
    for key in values:
        if not isinstance(key, str):
            raise ValueError(f"the keys of a configuration are texts; got {shown(key)}.")
    parts = [value for key, value in values.items() if key not in ("id2label", "label2id", "pruned_heads")]
    count = 0
    while parts and count <= MOST_VALUES:
        count += len(parts)
        containers = [part for part in parts if isinstance(part, (Mapping, list, tuple))]
        parts = [inner for part in containers for inner in (part.values() if isinstance(part, Mapping) else part)]
    if count > MOST_VALUES:
        raise ValueError(f"a configuration holds at most {MOST_VALUES:,} values beside its labels; this one has more.")


def layer_number(text: str) -> int | None:
    """The number of a layer that a text is, or None."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_INDEX else None


def checked_pruned_heads(value: Any, path_of: Callable[[str | int], str]) -> dict[str, tuple[int, ...]]:
    """`pruned_heads` by the path of each attention, as `path_of` makes it of a key; attentions without any left out.

    Raises:
        TypeError: no mapping of lists of integers.
        ValueError: one attention under two names.
    """
    if not isinstance(value, Mapping):
        raise wrong_kind("pruned_heads", "a mapping of names", value)
    paths = {key: path_of(key) for key in value}
    if len(set(paths.values())) < len(paths):
        raise ValueError(f"pruned_heads must name each attention once; got {', '.join(map(shown, islice(paths, 8)))}.")
    return {paths[key]: heads for key, given in value.items() if (heads := head_numbers(paths[key], given))}


def head_numbers(path: str, heads: Any) -> tuple[int, ...]:
    """The indices of the heads pruned from one attention, sorted, or TypeError."""
    heads = heads.tolist() if hasattr(heads, "tolist") else heads  # an array
    if not isinstance(heads, (list, tuple, set, frozenset, range)) or not all(
        isinstance(head, numbers.Integral) and not isinstance(head, bool) for head in heads
    ):
        raise TypeError(f"pruned_heads[{shown(path)}] must be a list of integers; got {shown(heads)}.")
    return tuple(sorted({int(head) for head in heads}))


def checked_label_names(value: Any) -> dict[int, str] | None:
    """`id2label` with integers as keys, which JSON writes as strings; None for none or an empty one.

    Raises:
        TypeError: no mapping of numbers to names.
    """
    if value is None or (isinstance(value, Mapping) and not value):
        return None
    try:
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value.values()):
            return {int(number): name for number, name in value.items()}
    except (TypeError, ValueError, OverflowError):
        pass  # a key that is no number
    raise wrong_kind("id2label", "a mapping of numbers to names", value)


def checked_label_numbers(value: Any) -> dict[str, int] | None:
    """`label2id`; None for none or an empty one.

    Raises:
        TypeError: no mapping of names to numbers.
    """
    if value is None or (isinstance(value, Mapping) and not value):
        return None
    if isinstance(value, Mapping):
        checked_label_count(len(value))
    try:
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            return {name: int(number) for name, number in value.items()}
    except (TypeError, ValueError, OverflowError):
        pass  # a value that is no number, or an infinite one
    raise wrong_kind("label2id", "a mapping of names to numbers", value)


def checked_label_count(value: Any) -> int:
    """`num_labels` as an integer, or TypeError or ValueError."""
    count = checked_kind("num_labels", int, value)
    require(count >= 1, "num_labels", "at least 1", count)
    require(count <= MOST_LABELS, "num_labels", f"at most {MOST_LABELS}", count)
    return count


def dtype_name(value: Any) -> str | None:
    """The name of a dtype: "float16" for torch.float16, NumPy's float16, "torch.float16" and itself.

    Raises:
        TypeError: no dtype.
        ValueError: a text that names none.
    """
    if value is None:
        return None
    if isinstance(value, str) or type(value).__name__ == "dtype" or "DType" in type(value).__name__:
        name = str(getattr(value, "name", value)).removeprefix("torch.")
        require(_DTYPE.fullmatch(name) is not None, "dtype", 'the name of a dtype, such as "float16"', value)
        return name
    raise wrong_kind("dtype", 'a dtype or its name, such as "float16"', value)
