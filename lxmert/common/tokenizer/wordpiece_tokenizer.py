"""From text to ids: the base class of both tokenizers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
from tokenizers import Encoding

from .batch_encoding import BatchEncoding
from .padding import as_columns, pad_columns
from .saved_tokenizer import SavedTokenizer
from .text_inputs import Lengths, Texts, as_batch, check_sizes, checked_keywords, plan_lengths, set_lengths

logger = logging.getLogger(__name__)

# How an entry is read from an encoding of the Rust tokenizer.
_ENTRIES: dict[str, Callable[[Encoding], Any]] = {
    "input_ids": attrgetter("ids"),
    "token_type_ids": attrgetter("type_ids"),
    "attention_mask": attrgetter("attention_mask"),
    "special_tokens_mask": attrgetter("special_tokens_mask"),
    "offset_mapping": attrgetter("offsets"),
    "length": len,
}


class WordPieceTokenizer(SavedTokenizer):
    """Base class of `LxmertTokenizer` and `LxmertTokenizerFast`, which differ in the arguments of their constructors.

    A text becomes `[CLS] A [SEP]`, a pair `[CLS] A [SEP] B [SEP]`, with token types 0 for `[CLS] A [SEP]` and 1 for
    `B [SEP]`. Ids, masks and offsets equal those of `BertTokenizerFast` in `transformers`.
    """

    model_input_names: ClassVar[list[str]] = ["input_ids", "token_type_ids", "attention_mask"]
    is_fast: ClassVar[bool] = True

    @checked_keywords
    def __call__(
        self,
        text: Texts | None = None,
        text_pair: Texts | None = None,
        text_target: Texts | None = None,
        text_pair_target: Texts | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn a text, a list of texts, or pairs of them into ids.

        Args:
            text: a str, a list of str, or a list of pairs of str. With `is_split_into_words`, a list of words in place
                of each str.
            text_pair: the second text of each: a str with a str, a list of equal length with a list.
            text_target, text_pair_target: likewise; their ids become `labels`, or all if there is no `text`.
            add_special_tokens: whether to add [CLS] and [SEP].
            padding: True or "longest" pads to the longest row, "max_length" to `max_length`, False not at all.
            truncation: True or "longest_first" truncates the longer text of a pair first, "only_first" and
                "only_second" one of them. None is "longest_first" if `max_length` is given without padding, else False.
            max_length: number of tokens, special ones included; `model_max_length` by default.
            stride: with truncation, number of tokens that a row of the rest repeats of the row before.
            is_split_into_words: whether texts are lists of words.
            pad_to_multiple_of: pads further to a multiple of this.
            padding_side: "right" or "left"; that of the tokenizer by default.
            return_tensors: "np" (int64), "pt" (int64), "tf" (int32), or None for lists.
            return_token_type_ids: adds `token_type_ids`: 0 in the first text, 1 in the second. By default as
                `model_input_names` has it.
            return_attention_mask: adds `attention_mask`: 1 for tokens, 0 for padding. By default likewise.
            return_overflowing_tokens: makes more rows of what is cut off, and adds `overflow_to_sample_mapping`: the
                number of each row's text.
            return_special_tokens_mask: adds `special_tokens_mask`: 1 for special tokens and padding.
            return_offsets_mapping: adds `offset_mapping`: first and end character of each token in its text.
            return_length: adds `length`: the number of tokens of each row, padding included.
            verbose: whether to log a text that is too long for the model.
            split_special_tokens: whether special tokens in a text are split as other words; by default as the setting.

        Returns:
            Rows of length L for one text, a list of B of them for several; arrays [B, L] with `return_tensors`, B = 1
            for one text ([B, L, 2] for offsets, [B] for lengths).

        Raises:
            TypeError: a text that is no str, or a keyword that does not exist.
            ValueError: lengths that do not fit each other, rows of different lengths with `return_tensors`, or a text
                of more than 100,000 characters.
            ImportError: the framework of `return_tensors` is not installed.
        """
        if text_target is not None:
            options = {name: value for name, value in locals().items() if name not in ("self", *_TEXTS)}
            target = self(text_target, text_pair_target, **options)
            if text is None:
                return target
            encoding = self(text, text_pair, **options)
            encoding["labels"] = target["input_ids"]
            return encoding
        batch, single = as_batch(text, text_pair, is_split_into_words)
        check_sizes(batch)
        pair = any(isinstance(item, tuple) for item in batch)
        lengths = self._lengths(
            padding,
            truncation,
            max_length,
            pad_to_multiple_of,
            stride,
            special=self.num_special_tokens_to_add(pair) if add_special_tokens else 0,
            side=padding_side,
        )
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        encodings = self._encode(batch, lengths, split, add_special_tokens, is_split_into_words)
        samples = list(range(len(encodings)))
        if return_overflowing_tokens:
            parts = [[encoding, *encoding.overflowing] for encoding in encodings]
            samples = [number for number, rows in enumerate(parts) for _ in rows]
            encodings = [encoding for rows in parts for encoding in rows]
        if max_length is None and verbose:
            self._warn_if_long(encodings)
        names = self.model_input_names
        returned = {
            "input_ids": True,
            "token_type_ids": "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids,
            "attention_mask": "attention_mask" in names if return_attention_mask is None else return_attention_mask,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        rows: dict[str, Any] = {n: list(map(_ENTRIES[n], encodings)) for n, wanted in returned.items() if wanted}
        if return_overflowing_tokens:
            rows["overflow_to_sample_mapping"] = samples
        elif single and return_tensors is None:
            # `length` stays a list of one, as in transformers.
            rows = {name: value if name == "length" else value[0] for name, value in rows.items()}
        if not encodings and return_tensors is not None:
            # Without texts the arrays are empty, but have the expected axes.
            axes = {"length": (0,), "overflow_to_sample_mapping": (0,), "offset_mapping": (0, 0, 2)}
            rows = {name: np.zeros(axes.get(name, (0, 0)), np.int64) for name in rows}
        return BatchEncoding(rows, encodings, return_tensors)

    encode_plus = batch_encode_plus = __call__  # of transformers 4

    def _lengths(self, *arguments: Any, special: int, side: str | None) -> Lengths:
        """The arguments of a call as `plan_lengths` makes them, with the settings of this tokenizer."""
        if side not in ("right", "left", None):
            raise ValueError(f'padding_side must be "right", "left" or None; got {side!r}.')
        return plan_lengths(
            *arguments,
            special=special,
            model_max_length=self.model_max_length,
            truncation_side=self.truncation_side,
            direction=self.padding_side if side is None else side,
            pad_token=self.pad_token,
            pad_id=self.pad_token_id,
            pad_type_id=self.pad_token_type_id,
        )

    def _encode(
        self, batch: Sequence[Any], lengths: Lengths, split: bool, add_special_tokens: bool, words: bool
    ) -> list[Encoding]:
        # The Rust object holds truncation and padding as state, so threads take turns.
        with self._lock:
            set_lengths(self._backend, lengths)
            if self._backend.encode_special_tokens != split:
                self._backend.encode_special_tokens = split
            try:
                return self._backend.encode_batch(batch, bool(words), bool(add_special_tokens))
            except TypeError as error:
                # The texts are str, so only one that UTF-8 cannot encode is refused.
                raise ValueError(
                    "text must be valid Unicode; one text has a lone surrogate. "
                    'Clean it with text.encode("utf-8", "replace").decode("utf-8").'
                ) from error
            except BaseException as error:
                cut, reason = lengths[0] or {}, str(error).lower()
                if cut and type(error).__name__ == "PanicException" and "stride" in reason:
                    raise ValueError(
                        "stride must be below the number of tokens that truncation leaves of each text; got "
                        f'{cut["stride"]}. Pass a smaller one, or truncation="only_second" for pairs.'
                    ) from error
                if not cut or not isinstance(error, Exception) or "truncat" not in reason:
                    raise
                raise ValueError(
                    f'truncation="{cut["strategy"]}" must be able to reach max_length {cut["max_length"]}; that text '
                    'is absent or too short to be cut so far. Use truncation="longest_first".'
                ) from error

    def _warn_if_long(self, encodings: Sequence[Encoding]) -> None:
        longest = max((len(encoding) for encoding in encodings), default=0)
        if longest > self.model_max_length and not self.deprecation_warnings.get(_TOO_LONG):
            self.deprecation_warnings[_TOO_LONG] = True
            logger.warning(
                "a text has %d tokens and the model takes %d (model_max_length); pass truncation=True to cut it.",
                longest,
                self.model_max_length,
            )

    def encode(
        self, text: Texts, text_pair: Texts | None = None, add_special_tokens: bool = True, **options: Any
    ) -> Any:
        """The `input_ids` of `self(text, text_pair, **options)`.

        Raises:
            As `__call__`.
        """
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def tokenize(
        self, text: str | Sequence[str], pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The word pieces of a text, those of `pair` after them; `options` as those of a call.

        Raises:
            TypeError: several texts.
        """
        if isinstance(text, list | tuple) and not options.get("is_split_into_words"):
            raise TypeError("text must be a str; got list. Call tokenize once for each text.")
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    @checked_keywords
    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad encodings to one length, as a data collator does.

        Args:
            encoded_inputs: one encoding with rows [L], one with several rows, or a list of encodings. The ids, masks
                and types in it are padded; other entries, such as labels, stay as they are.
            padding: True or "longest" pads to the longest row, "max_length" to `max_length`, False not at all.
            max_length: by default `model_max_length`.
            pad_to_multiple_of: pads further to a multiple of this.
            padding_side: "right" or "left"; that of the tokenizer by default.
            return_attention_mask: whether to add an `attention_mask`; by default if it is in `model_input_names`.
            return_tensors: "np", "pt", "tf" or None; by default what the ids are.
            verbose: without effect.

        Raises:
            TypeError, ValueError: encodings that do not fit each other, or options that do not.
        """
        main = self.model_input_names[0]
        columns, kind = as_columns(encoded_inputs, main)
        if not len(columns[main]):
            return BatchEncoding(columns | ({"attention_mask": []} if return_attention_mask else {}))
        mask = "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        _, fill = self._lengths(padding, False, max_length, pad_to_multiple_of, 0, special=0, side=padding_side)
        return BatchEncoding(pad_columns(columns, main, fill, mask), tensor_type=return_tensors or kind)


# As `transformers` names it; people set it to True to silence the warning.
_TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"
_TEXTS = ("text", "text_pair", "text_target", "text_pair_target")
