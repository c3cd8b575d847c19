"""Checks of what users pass to a tokenizer: texts, lengths, ids, keywords."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from tokenizers import Tokenizer

from lxmert.utils.messages import check_keywords, shown
from lxmert.utils.text_length import LONGEST_TEXT

from .wordpiece import NO_LIMIT, is_positive_integer

Pair = tuple[str, str]
Words = Sequence[str]
Texts = str | Words | Sequence[Pair] | Sequence[Words] | Sequence[tuple[Words, Words]]

_UNLIMITED = 2**31  # tokens: no row is so long
_LONGEST_PADDED = 2**20  # tokens to which a setting of a file may pad rows

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


def checked_keywords(function: Callable[P, T], more: Collection[str] = ()) -> Callable[P, T]:
    """Make a method name the nearest keyword in its error about an unknown one; `more` are those of its `**options`."""
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD] + list(more)
    allowed = frozenset(known)
    suffix = "" if function.__name__ in ("__init__", "__call__") else f".{function.__name__}"

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not allowed.issuperset(kwargs):
            check_keywords(f"{type(args[0]).__name__}{suffix}", kwargs, known)
        return function(*args, **kwargs)

    return checked


def as_batch(text: Any, text_pair: Any, words: bool = False) -> tuple[list[Any], bool]:
    """The texts, or pairs of texts, as a list; and whether one was given outside a list.

    Args:
        text: a text, several, or pairs of them. A text is a str, or a list of str with `words`.
        text_pair: the second text of each.
        words: whether texts are split into words.

    Raises:
        TypeError: a value that is no text.
        ValueError: as many texts as pairs are expected.
    """
    kind = "list of words" if words else "str"

    def is_text(value: Any) -> bool:
        if words:
            return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        return isinstance(value, str)

    def check(name: str, texts: Sequence[Any]) -> None:
        for index, item in enumerate(texts):
            if not is_text(item):
                raise TypeError(
                    f"{name} must be a {kind} or a list of {kind}; {name}[{index}] is {describe_value(item)}."
                )

    if is_text(text):
        if text_pair is not None and not is_text(text_pair):
            raise TypeError(f"text_pair must be a {kind} as text is; got {describe_value(text_pair)}.")
        # As in transformers: an empty second text next to a single text counts as none, but not in a list.
        return ([(text, text_pair)] if text_pair else [text]), True
    if not isinstance(text, list | tuple):
        hint = " Decode it first." if isinstance(text, bytes) else " Pass list(text)." * hasattr(text, "__iter__")
        hint = " Leave is_split_into_words out, or pass text.split()." if isinstance(text, str) else hint
        raise TypeError(f"text must be a {kind} or a list of {kind}; got {describe_value(text)}.{hint}")
    if text_pair is None and text and all(isinstance(item, list | tuple) and not is_text(item) for item in text):
        for index, item in enumerate(text):
            if len(item) != 2 or not all(map(is_text, item)):
                raise TypeError(f"text[{index}] must be a {kind}, or a pair of {kind}; got {shown(item)}.")
        return [(first, second) for first, second in text], False
    check("text", text)
    if text_pair is None:
        return list(text), False
    if not isinstance(text_pair, list | tuple):
        raise TypeError(f"text_pair must be a list of {kind} as text is; got {describe_value(text_pair)}.")
    check("text_pair", text_pair)
    if len(text) != len(text_pair):
        raise ValueError(f"text_pair must have one text for each of text; got {len(text)} and {len(text_pair)}.")
    return list(zip(text, text_pair, strict=True)), False


def check_sizes(batch: Sequence[Any]) -> None:
    """Refuse a text, or pair of texts, that is longer than any question, before work is done on it.

    Raises:
        ValueError: saying which.
    """
    for index, item in enumerate(batch):
        if (size := _size(item)) > LONGEST_TEXT:
            raise ValueError(
                f"a text must have at most {LONGEST_TEXT:,} characters; text {index} has {size:,}. Cut it before."
            )


def _size(item: Any) -> int:
    return len(item) if isinstance(item, str) else len(item) + sum(map(_size, item))


def describe_value(value: Any) -> str:
    """The type and the first characters of a value, for error messages."""
    return "None" if value is None else f"{type(value).__name__} {shown(value)}"[:80]


# Keywords of `enable_truncation` and `enable_padding` of the Rust tokenizer; None for not at all.
Lengths = tuple[dict[str, Any] | None, dict[str, Any] | None]


def set_lengths(backend: Tokenizer, lengths: Lengths) -> None:
    """Set how `backend` truncates and pads rows, where it does not do so already."""
    truncation, padding = lengths
    if backend.truncation != truncation:
        backend.no_truncation() if truncation is None else backend.enable_truncation(**truncation)
    if backend.padding != padding:
        backend.no_padding() if padding is None else backend.enable_padding(**padding)


def plan_lengths(
    padding: Any,
    truncation: Any,
    max_length: Any,
    pad_to_multiple_of: Any,
    stride: int,
    *,
    special: int,
    model_max_length: int,
    truncation_side: str,
    **fill: Any,
) -> Lengths:
    """Return how rows are truncated and padded, from the arguments of a call.

    Args:
        padding, truncation, max_length, pad_to_multiple_of, stride: as the user gave them. A truncation of None is
            "longest_first" if only `max_length` is given, else no truncation.
        special: how many special tokens are added to a row.
        model_max_length: the default of `max_length`.
        truncation_side: the side that is cut.
        fill: the other keywords of `enable_padding`: `direction`, `pad_id`, `pad_type_id`, `pad_token`.

    Raises:
        ValueError: a value that does not exist, or values that do not fit each other.
    """
    for name, count in (("max_length", max_length), ("pad_to_multiple_of", pad_to_multiple_of)):
        if count is not None and not is_positive_integer(count):
            raise ValueError(f"{name} must be an integer of 1 or more, or None; got {count!r}.")
    filled = _choice("padding", padding, _PADDINGS)
    if truncation is None:
        truncation = max_length is not None and filled is None
    cut = _choice("truncation", truncation, _TRUNCATIONS)
    if pad_to_multiple_of is not None and filled is None:
        raise ValueError(
            f"pad_to_multiple_of={pad_to_multiple_of} needs padding; got padding=False. Pass padding=True."
        )
    length = model_max_length if max_length is None else int(max_length)
    if length >= _UNLIMITED:
        cut = None  # there is no limit to truncate to
    if filled == "max_length" and length > (_UNLIMITED if max_length else _LONGEST_PADDED):
        # Differs from HF: there nothing is padded, silently.
        limit = "no model_max_length" if length >= NO_LIMIT else f"a model_max_length of {shown(length)}"
        raise ValueError(
            f'padding="max_length" needs a length; got max_length={shown(max_length)} and {limit}. Pass a length.'
        )
    _check_length(cut, filled, length, pad_to_multiple_of, special, stride)
    fill |= {
        "length": length if filled == "max_length" else None,
        "pad_to_multiple_of": None if pad_to_multiple_of is None else int(pad_to_multiple_of),
    }
    cutting = {"max_length": length, "stride": int(stride), "strategy": cut, "direction": truncation_side}
    return cutting if cut else None, fill if filled else None


def _check_length(cut: str | None, fill: str | None, length: int, multiple: Any, special: int, stride: Any) -> None:
    """Refuse a length that rows cannot be truncated or padded to.

    Raises:
        ValueError: saying why.
    """
    if cut and length < max(special, 1):
        # Differs from HF: there a max_length below the special tokens truncates nothing.
        raise ValueError(f"max_length must leave room for the {special} special tokens; got {length}.")
    if not (stride == 0 or is_positive_integer(stride)) or (cut and stride and stride >= length - special):
        raise ValueError(
            f"stride must be an integer of 0 or more, and below the {length - special} tokens of text in a row; "
            f"got {stride!r}."
        )
    if cut and fill and multiple and length % multiple:
        raise ValueError(
            "max_length must be a multiple of pad_to_multiple_of when rows are truncated and padded; "
            f"got {length} and {multiple}."
        )


def _choice(name: str, value: Any, choices: dict[Any, str | None]) -> str | None:
    value = getattr(value, "value", value)  # of the enumerations of transformers
    if not isinstance(value, bool | str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(repr(choice) for choice in choices)}; got {value!r}.")
    return choices[value]


def as_id_rows(ids: Any, size: int) -> tuple[list[list[int]], bool]:
    """Rows of ids as lists, from a list, an array or a tensor, [L] or [B, L]; and whether it was one row or id."""
    axes = getattr(ids, "ndim", 0)
    if isinstance(ids, list | tuple) and ids:
        axes = 1 + (1 if isinstance(ids[0], list | tuple) else getattr(ids[0], "ndim", 0))
    return ([as_ids(row, size) for row in ids], False) if axes > 1 else ([as_ids(ids, size)], True)


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
        raise ValueError("ids must be one row of ids, [L], here; got several rows. Pass them one by one.")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers; got {describe_value(ids)}. Convert tokens with convert_tokens_to_ids.")
    row = [int(number) for number in array.reshape(-1)]
    for number in row:
        if not 0 <= number < size:
            raise ValueError(f"ids must be 0 to {size - 1}, the ids of the vocabulary; got {number}.")
    return row
