"""Padding of rows that were tokenized before, as data collators ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def as_columns(encoded: Any, main: str) -> tuple[dict[str, Any], str | None]:
    """Encodings as named lists, and the kind of tensor that their ids were ("np", "pt", "tf"; None for lists).

    Args:
        encoded: names and rows, or a list of encodings.
        main: the name of the ids.

    Raises:
        TypeError: no encodings.
        ValueError: encodings without ids, or with other entries than the first has.
    """
    if isinstance(encoded, list | tuple) and encoded and all(isinstance(one, Mapping) for one in encoded):
        names = list(encoded[0])
        for number, one in enumerate(encoded):
            if missing := [name for name in names if name not in one]:
                raise ValueError(
                    f"encodings must have the same entries; number {number} has no {', '.join(missing)}. "
                    "Remove what only some have."
                )
        encoded = {name: [one[name] for one in encoded] for name in names}
    if not isinstance(encoded, Mapping):
        raise TypeError(f"encoded_inputs must be an encoding or a list of them; got {type(encoded).__name__}.")
    if encoded.get(main) is None:
        raise ValueError(f"encodings must have {main}; got {', '.join(map(str, encoded)) or 'none'}.")
    rows = encoded[main]
    kind = _kind_of(rows) or (_kind_of(rows[0]) if len(rows) else None)
    return {name: _as_lists(value) if kind else value for name, value in encoded.items()}, kind


def pad_columns(
    columns: dict[str, Any], main: str, padding: Mapping[str, Any] | None, attention_mask: bool
) -> dict[str, Any]:
    """Pad the rows of ids, and the masks and types beside them; other entries stay as they are.

    Args:
        columns: for every name one row, or a list of rows.
        main: the name of the ids.
        padding: keywords of `enable_padding` of the Rust tokenizer; None pads nothing.
        attention_mask: whether to add a missing `attention_mask`.

    Raises:
        ValueError: numbers of rows, or of tokens in them, that do not agree.
    """
    single = not isinstance(columns[main][0], list | tuple)
    if single:
        columns = {name: [row] for name, row in columns.items()}
    lengths = [len(row) for row in columns[main]]
    if attention_mask and "attention_mask" not in columns:
        columns = columns | {"attention_mask": [[1] * length for length in lengths]}
    for name, rows in columns.items():
        if len(rows) != len(lengths):
            raise ValueError(f"{name} must have a value for each of the {len(lengths)} rows; got {len(rows)}.")
    if padding is not None:
        multiple = padding["pad_to_multiple_of"] or 1
        wanted = -(-(padding["length"] or max(lengths)) // multiple) * multiple
        fill = {
            main: padding["pad_id"],
            "token_type_ids": padding["pad_type_id"],
            "attention_mask": 0,
            "special_tokens_mask": 1,
        }
        for name in fill.keys() & columns.keys():
            found = [len(row) for row in columns[name]]
            if found != lengths:
                raise ValueError(f"{name} must have as many values in a row as {main}, {lengths}; got {found}.")
            padded = [[fill[name]] * (wanted - length) for length in lengths]
            left = padding["direction"] == "left"
            columns = columns | {
                name: [[*pad, *row] if left else [*row, *pad] for row, pad in zip(columns[name], padded, strict=True)]
            }
    return {name: rows[0] for name, rows in columns.items()} if single else columns


def _kind_of(value: Any) -> str | None:
    if isinstance(value, np.ndarray | np.generic):
        return "np"
    return "pt" if hasattr(value, "detach") else "tf" if hasattr(value, "numpy") else None


def _as_lists(value: Any) -> Any:
    """A value with lists instead of the arrays and tensors in it."""
    if isinstance(value, list | tuple):
        return [_as_lists(part) for part in value]
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(value).tolist() if _kind_of(value) else value
