"""What a tokenizer returns: named rows, as lists, arrays or tensors. A framework is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from lxmert.utils.messages import warn_caller

TENSOR_KINDS = ("np", "pt", "tf")


class CharSpan(NamedTuple):
    """Characters `start` to `end` - 1 of a text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens `start` to `end` - 1 of a row."""

    start: int
    end: int


class BatchEncoding(dict[str, Any]):
    """A dict whose entries are attributes too: `encoding["input_ids"]` is `encoding.input_ids`.

    Entries are lists of int for one text, lists of lists for several, or arrays [B, L] with `return_tensors`. From a
    tokenizer, it also tells which token belongs to which character and word of its text; `encoding[0]` is then the
    `tokenizers.Encoding` of the first row. Those methods take the row and the place in it, or the place in the only
    row; a word is None for special tokens.

    Args:
        data: the entries.
        encoding: the `tokenizers.Encoding` of each row, or of the only one.
        tensor_type: "np", "pt" or "tf" to convert the entries; None leaves them as they are.
        prepend_batch_axis: whether the conversion makes [1, L] of [L].
        n_sequences: number of texts in a row, 1 or 2; that of the encodings by default.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data or {})
        self._encodings = [encoding] if isinstance(encoding, Encoding) else encoding
        self.n_sequences = n_sequences
        if n_sequences is None and self._encodings:
            self.n_sequences = self._encodings[0].n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return super().__getitem__(item)
        if self._encodings is not None:
            return self._encodings[item]
        if isinstance(item, slice):
            return {name: value[item] for name, value in self.items()}
        raise KeyError(f"{item!r}: without encodings of a tokenizer, entries have names: {', '.join(self)}")

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"this BatchEncoding has no {name!r}; it has {', '.join(self)}")

    def copy(self) -> BatchEncoding:
        """A copy that shares the values."""
        return BatchEncoding(self, self._encodings, n_sequences=self.n_sequences)

    @property
    def data(self) -> dict[str, Any]:
        """The entries as a dict: this object."""
        return self

    @property
    def encodings(self) -> Sequence[Encoding] | None:
        """The `tokenizers.Encoding` of each row; None where the entries do not come from a tokenizer's call."""
        return self._encodings

    @property
    def is_fast(self) -> bool:
        """Whether there are `encodings`."""
        return self._encodings is not None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The number of each token's word in its text."""
        return self._row(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """The text of each token: 0 or 1, and None for special tokens."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The text of a token, 0 or 1."""
        return self._find("token_to_sequence", batch_or_token_index, token_index)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The number of a token's word."""
        return self._find("token_to_word", batch_or_token_index, token_index)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of a token; None for special tokens."""
        return self._find("token_to_chars", batch_or_token_index, token_index, span=CharSpan)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word; None where it was cut off."""
        return self._find("word_to_tokens", batch_or_word_index, word_index, sequence_index, span=TokenSpan)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word; None where it was cut off."""
        return self._find("word_to_chars", batch_or_word_index, word_index, sequence_index, span=CharSpan)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token of a character; None for a space."""
        return self._find("char_to_token", batch_or_char_index, char_index, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word of a character; None for a space."""
        return self._find("char_to_word", batch_or_char_index, char_index, sequence_index)

    def _row(self, index: int) -> Encoding:
        if not self._encodings:
            raise ValueError("places in a text need the encodings of a tokenizer's call; this BatchEncoding has none.")
        return self._encodings[index]

    def _find(self, method: str, first: int, second: int | None, *sequence: int, span: Any = None) -> Any:
        """Ask a row; a token below 0 counts from the end."""
        row, place = (self._row(0), first) if second is None else (self._row(first), second)
        found = getattr(row, method)(place + len(row) * (place < 0 and method.startswith("token")), *sequence)
        return found if span is None or found is None else span(*found)

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Make one array of every entry, in place: int64 in NumPy and PyTorch, int32 in TensorFlow.

        Args:
            tensor_type: "np", "pt" or "tf"; None changes nothing.
            prepend_batch_axis: whether to make [1, L] of [L].

        Raises:
            ValueError: rows of different lengths, values that are no numbers, or an unknown kind.
            ImportError: the framework is not installed.
        """
        kind = getattr(tensor_type, "value", tensor_type)
        if kind is None:
            return self
        if kind not in TENSOR_KINDS:
            raise ValueError(f'return_tensors must be "np", "pt", "tf" or None; got {kind!r}.')
        values = {name: [value] if prepend_batch_axis else value for name, value in self.items()}
        arrays = {name: _as_array(name, value, kind) for name, value in values.items() if not _is_tensor(value, kind)}
        self.update(as_framework_arrays(arrays, kind))
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Move the PyTorch tensors to `device`, in place, and return this object; other values stay."""
        if not isinstance(device, str | int) and type(device).__name__ != "device":
            warn_caller(f"BatchEncoding.to moves to a device, and ids stay integers; {device!r} changes nothing.")
            return self
        for name, value in self.items():
            if callable(getattr(value, "to", None)):
                self[name] = value.to(device, non_blocking=non_blocking)
        return self


def _is_tensor(value: Any, kind: str) -> bool:
    if kind == "np":
        return isinstance(value, np.ndarray)
    return hasattr(value, "detach" if kind == "pt" else "shape") and not isinstance(value, np.ndarray)


def _as_array(name: str, value: Any, kind: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        lengths = sorted({len(row) for row in value if hasattr(row, "__len__")})
        found = f"rows of {lengths[0]} to {lengths[-1]} values" if len(lengths) > 1 else "values of different kinds"
        padded = name in ("input_ids", "token_type_ids", "attention_mask", "special_tokens_mask")
        hint = (
            "Pass padding=True, and truncation=True with a max_length" if padded else "Pad it before, or leave it out"
        )
        raise ValueError(f"return_tensors={kind!r} needs rows of one length; {name} has {found}. {hint}.") from error
    if not array.size:
        return array.astype(np.int64)
    if kind != "np" and array.dtype.kind not in "biuf":
        raise ValueError(f"return_tensors={kind!r} needs numbers; {name!r} holds {array.dtype}. Leave that entry out.")
    from_python = array.dtype == np.float64 and isinstance(value, list | tuple) and not hasattr(value[0], "dtype")
    # Both frameworks make float32 of Python's numbers.
    return array.astype(np.float32) if from_python and kind != "np" else array


def as_framework_arrays(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, Any]:
    """Convert NumPy arrays to those of a framework; integers are int32 in TensorFlow (as `transformers` 4 does).

    Raises:
        ImportError: the framework is not installed.
    """
    if kind == "np":
        return dict(arrays)
    if kind == "pt":
        try:
            import torch
        except ImportError as error:
            raise _missing("pt", "PyTorch") from error
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        import tensorflow
    except ImportError as error:
        raise _missing("tf", "TensorFlow") from error
    return {
        name: tensorflow.constant(array, dtype=tensorflow.int32 if array.dtype.kind in "iu" else None)
        for name, array in arrays.items()
    }


def _missing(kind: str, framework: str) -> ImportError:
    return ImportError(f'return_tensors="{kind}" needs {framework}. Install it with: pip install "lxmert[{kind}]".')
