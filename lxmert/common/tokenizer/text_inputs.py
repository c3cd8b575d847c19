"""Checks of what users pass to a tokenizer: texts, lengths, ids, keywords."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from tokenizers import Tokenizer

from lxmert.utils.messages import check_keywords

from .wordpiece import NO_LIMIT, is_positive_integer

Pair = tuple[str, str]
Texts = str | Sequence[str] | Sequence[Pair]

P = ParamSpec("P")
T = TypeVar("T")

_PADDINGS: dict[Any, str | None] = {
    False: None,
    "do_not_pad": None,
    True: "longest",
    "longest": "longest",
    "max_length": "max_length",
}
_TRUNCATIONS: dict[Any, str | None] = {
    False: None,
    "do_not_truncate": None,
    True: "longest_first",
    "longest_first": "longest_first",
    "only_first": "only_first",
    "only_second": "only_second",
}
# Undoes how BERT's tokenization splits English punctuation and contractions; the order matters.
_JOINS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def checked_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Make a method name the nearest keyword in its error about an unknown one."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]
    allowed = frozenset(known)
    owner = function.__qualname__.removesuffix(".__init__").removesuffix(".__call__")

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not allowed.issuperset(kwargs):
            check_keywords(owner, kwargs, known)
        return function(*args, **kwargs)

    return checked


def as_batch(text: Any, text_pair: Any) -> tuple[list[str] | list[Pair], bool]:
    """The texts, or pairs of texts, as a list; and whether one was given outside a list.

    Raises:
        TypeError: a value that is not a str.
        ValueError: as many texts as pairs are expected.
    """
    if isinstance(text, str):
        if text_pair is not None and not isinstance(text_pair, str):
            raise TypeError(f"text_pair must be a str as text is; got {describe_value(text_pair)}.")
        # As in transformers: an empty second text next to a single text counts as none, but not in a list.
        return ([(text, text_pair)] if text_pair else [text]), True
    if not isinstance(text, list | tuple):
        hint = (
            " Decode it first." if isinstance(text, bytes) else " Pass list(text)." if hasattr(text, "__iter__") else ""
        )
        raise TypeError(f"text must be a str or a list of str; got {describe_value(text)}.{hint}")
    if text_pair is None and text and all(isinstance(item, list | tuple) for item in text):
        for index, item in enumerate(text):
            if len(item) != 2 or not all(isinstance(part, str) for part in item):
                raise TypeError(f"text[{index}] must be a str, or a pair of str; got {item!r}.")
        return [(first, second) for first, second in text], False
    _check_strings("text", text)
    if text_pair is None:
        return list(text), False
    if not isinstance(text_pair, list | tuple):
        raise TypeError(f"text_pair must be a list of str as text is; got {describe_value(text_pair)}.")
    _check_strings("text_pair", text_pair)
    if len(text) != len(text_pair):
        raise ValueError(f"text_pair must have one text for each of text; got {len(text)} and {len(text_pair)}.")
    return list(zip(text, text_pair, strict=True)), False


def _check_strings(name: str, texts: Sequence[Any]) -> None:
    for index, item in enumerate(texts):
        if not isinstance(item, str):
            raise TypeError(f"{name} must be a str or a list of str; {name}[{index}] is {describe_value(item)}.")


def describe_value(value: Any) -> str:
    """The type and the first characters of a value, for error messages."""
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:80]


@dataclass(frozen=True)
class Lengths:
    """How the Rust tokenizer truncates and pads rows: the keywords of its two methods, or None for not at all."""

    truncation: dict[str, Any] | None
    padding: dict[str, Any] | None

    def apply(self, backend: Tokenizer) -> None:
        """Set both in `backend`."""
        if self.truncation is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(**self.truncation)
        if self.padding is None:
            backend.no_padding()
        else:
            backend.enable_padding(**self.padding)


def plan_lengths(
    padding: Any,
    truncation: Any,
    max_length: Any,
    pad_to_multiple_of: Any,
    *,
    shortest: int,
    model_max_length: int,
    padding_side: str,
    truncation_side: str,
    pad_token: str,
    pad_id: int,
) -> Lengths:
    """Return how rows are truncated and padded, from the arguments of a call.

    Args:
        padding, truncation, max_length, pad_to_multiple_of: as the user gave them. A truncation of None is
            "longest_first" if only `max_length` is given, else no truncation.
        shortest: the least `max_length` that has room for the special tokens.
        model_max_length: the default of `max_length`.
        padding_side, truncation_side, pad_token, pad_id: those of the tokenizer.

    Raises:
        ValueError: a value that does not exist, or values that do not fit each other.
    """
    for name, count in (("max_length", max_length), ("pad_to_multiple_of", pad_to_multiple_of)):
        if count is not None and not (is_positive_integer(count) or (isinstance(count, np.integer) and count >= 1)):
            raise ValueError(f"{name} must be an integer of 1 or more, or None; got {count!r}.")
    fill = _choice("padding", padding, _PADDINGS)
    if truncation is None:
        truncation = max_length is not None and fill is None
    cut = _choice("truncation", truncation, _TRUNCATIONS)
    if pad_to_multiple_of is not None and fill is None:
        raise ValueError(
            f"pad_to_multiple_of={pad_to_multiple_of} needs padding; got padding=False. Pass padding=True."
        )
    length = model_max_length if max_length is None else int(max_length)
    if max_length is None and length >= NO_LIMIT:
        cut = None  # there is no limit to truncate to
    _check_length(cut, fill, length, pad_to_multiple_of, shortest)
    fixed = length if fill == "max_length" else None
    multiple = None if pad_to_multiple_of is None else int(pad_to_multiple_of)
    pad = {"direction": padding_side, "pad_id": pad_id, "pad_token": pad_token, "length": fixed}
    return Lengths(
        {"max_length": length, "strategy": cut, "direction": truncation_side} if cut else None,
        pad | {"pad_to_multiple_of": multiple} if fill else None,
    )


def _check_length(cut: str | None, fill: str | None, length: int, multiple: Any, shortest: int) -> None:
    """Refuse a length that rows cannot be truncated or padded to.

    Raises:
        ValueError: saying why.
    """
    if fill == "max_length" and length >= NO_LIMIT:
        # Differs from HF: there nothing is padded, silently.
        raise ValueError(
            'padding="max_length" needs a length; got max_length=None and no model_max_length. Pass max_length.'
        )
    if cut and length < shortest:
        # Differs from HF: there a max_length below the special tokens truncates nothing.
        raise ValueError(f"max_length must leave room for the {shortest} special tokens; got {length}.")
    if cut and fill and multiple and length < NO_LIMIT and length % multiple:
        raise ValueError(
            "max_length must be a multiple of pad_to_multiple_of when rows are truncated and padded; "
            f"got {length} and {multiple}."
        )


def _choice(name: str, value: Any, choices: dict[Any, str | None]) -> str | None:
    if not isinstance(value, bool | str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(repr(choice) for choice in choices)}; got {value!r}.")
    return choices[value]


def as_ids(ids: Any, size: int) -> list[int]:
    """Ids as a list, from a list, an array, a tensor on any device, or one int.

    Raises:
        TypeError: not integers.
        ValueError: several rows, or ids that are not 0 to `size` - 1.
    """
    if hasattr(ids, "detach"):
        ids = ids.detach().cpu()
    try:
        array = np.asarray(ids)
    except ValueError:
        # Rows of different lengths, which are no array.
        array = np.zeros((0, 0))
    if array.ndim > 1:
        raise ValueError(
            "ids must be one row of ids, [L]; got several rows. Use batch_decode, or pass them one by one."
        )
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers; got {describe_value(ids)}. Convert tokens with convert_tokens_to_ids.")
    row = [int(number) for number in array.reshape(-1)]
    for number in row:
        if not 0 <= number < size:
            raise ValueError(f"ids must be 0 to {size - 1}, the ids of the vocabulary; got {number}.")
    return row


def clean_up_spaces(text: str) -> str:
    """Remove the spaces that word splitting put before English punctuation and contractions."""
    for spaced, joined in _JOINS:
        text = text.replace(spaced, joined)
    return text
