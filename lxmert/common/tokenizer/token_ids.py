"""The vocabulary and the special tokens of a tokenizer, and decoding: from ids to tokens and text."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .text_inputs import Lengths, as_ids, checked_keywords, clean_up_spaces, describe_value
from .vocabulary_files import TokenizerSource
from .wordpiece import SPECIAL_NAMES, TokenizerSettings, build_tokenizer

_SETTINGS = frozenset(field.name for field in dataclasses.fields(TokenizerSettings))
_CHANGEABLE = ("model_max_length", "padding_side", "truncation_side")


class TokenIds:
    """Vocabulary, special tokens and decoding.

    Every setting is readable as an attribute (`do_lower_case`, `cls_token`, ...), every special token's id under its
    name with `_id` (`cls_token_id`, ...).

    Attributes:
        settings: the settings that the tokenizer was made with.
        model_max_length: the length to which `truncation=True` cuts when no `max_length` is given; may be set.
        padding_side: "right" or "left"; may be set.
        truncation_side: the side that truncation cuts from, "right" or "left"; may be set.
    """

    settings: TokenizerSettings
    model_max_length: int
    padding_side: str
    truncation_side: str
    _backend: Tokenizer
    _vocab: dict[str, int]
    _extra: dict[str, Any]

    def _build(self, source: TokenizerSource, settings: TokenizerSettings) -> None:
        """Set up this tokenizer from a vocabulary and settings."""
        state = self.__dict__
        state["settings"] = settings
        state["_vocab"] = dict(source.vocab)
        state["_extra"] = dict(source.extra)
        state["_backend"] = build_tokenizer(source.vocab, source.added, settings)
        state["_lengths"] = Lengths(None, None)
        state["_lock"] = threading.Lock()
        state["_warned"] = False
        for name in _CHANGEABLE:
            state[name] = getattr(settings, name)

    @checked_keywords
    def decode(
        self, ids: Any, skip_special_tokens: bool = False, *, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        """Decode one row of ids to text.

        Args:
            ids: [L], a list, an array or a tensor of ids; or one id.
            skip_special_tokens: whether to leave [CLS], [SEP], [PAD], [UNK] and [MASK] out.
            clean_up_tokenization_spaces: whether to join English contractions over their apostrophe ("it's", not
                "it ' s"); the tokenizer's setting where it is None. Spaces before . , ? ! are removed either way, as
                `transformers` does.

        Raises:
            TypeError: ids that are not integers.
            ValueError: ids outside the vocabulary, or several rows.
        """
        text = self._backend.decode(as_ids(ids, len(self)), skip_special_tokens=skip_special_tokens)
        clean = clean_up_tokenization_spaces
        return clean_up_spaces(text) if (self.clean_up_tokenization_spaces if clean is None else clean) else text

    @checked_keywords
    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, *, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """The text of each row of `sequences`, [B, L] or a list of B rows; otherwise as `decode`.

        Raises:
            TypeError, ValueError: as `decode`, or `sequences` is a single row.
        """
        if any(isinstance(row, int | np.integer) or getattr(row, "ndim", 1) == 0 for row in sequences):
            raise TypeError("sequences must be rows of ids, [B, L]; got one row. Use decode.")
        return [
            self.decode(row, skip_special_tokens, clean_up_tokenization_spaces=clean_up_tokenization_spaces)
            for row in sequences
        ]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of a token, or the ids of several; a token that is not in the vocabulary has the unknown token's.

        Raises:
            TypeError: no str, and no several of them.
        """
        if isinstance(tokens, str):
            number = self._backend.token_to_id(tokens)
            return self.unk_token_id if number is None else number
        if not isinstance(tokens, Iterable):
            raise TypeError(
                f"tokens must be a str or several; got {describe_value(tokens)}. "
                "Convert ids with convert_ids_to_tokens."
            )
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of several ([L]).

        Raises:
            TypeError: ids that are not integers.
            ValueError: ids outside the vocabulary.
        """
        row = as_ids(ids, len(self))
        if isinstance(ids, int):
            return self._backend.id_to_token(row[0])
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._backend.id_to_token(number) for number in row if number not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join word pieces to a text."""
        return self._backend.decoder.decode(list(tokens))

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """`[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`, from the ids of A and B."""
        first = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return first if token_ids_1 is None else [*first, *token_ids_1, self.sep_token_id]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """The token types of the output of `build_inputs_with_special_tokens`: 0 for [CLS] A [SEP], 1 for B [SEP]."""
        first = [0] * (len(token_ids_0) + 2)
        return first if token_ids_1 is None else first + [1] * (len(token_ids_1) + 1)

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 where a special token is, 0 elsewhere, for the output of `build_inputs_with_special_tokens`.

        Args:
            token_ids_0: ids of the first text, without special tokens unless `already_has_special_tokens`.
            token_ids_1: ids of the second text.
            already_has_special_tokens: `token_ids_0` is a finished row; every special token in it counts.

        Raises:
            ValueError: a second text with a finished row.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise ValueError(
                    "already_has_special_tokens=True takes one finished row; got token_ids_1 as well. Leave it out."
                )
            special = set(self.all_special_ids)
            return [int(number in special) for number in token_ids_0]
        first = [1] + [0] * len(token_ids_0) + [1]
        return first if token_ids_1 is None else [*first, *([0] * len(token_ids_1)), 1]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """The number of special tokens that are added to a text, or to a pair."""
        return 3 if pair else 2

    @property
    def vocab_size(self) -> int:
        """Number of entries of the vocabulary, without tokens added to it."""
        return len(self._vocab)

    def __len__(self) -> int:
        """Number of ids, added tokens included: the rows that an embedding table needs."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id, added tokens included."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Every token and its id, added tokens included."""
        return self.get_vocab()

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Name and text of the special tokens."""
        return self.settings.special_tokens()

    @property
    def all_special_tokens(self) -> list[str]:
        """Text of the special tokens, those that a file added last; each once."""
        added = self._backend.get_added_tokens_decoder()
        special = [token.content for _, token in sorted(added.items()) if token.special]
        return list(dict.fromkeys([*self.special_tokens_map.values(), *special]))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def __getattr__(self, name: str) -> Any:
        settings = self.__dict__.get("settings")
        if settings is not None and name in _SETTINGS:
            return getattr(settings, name)
        if settings is not None and name.endswith("_id") and name.removesuffix("_id") in SPECIAL_NAMES:
            return self._backend.token_to_id(getattr(settings, name.removesuffix("_id")))
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CHANGEABLE:
            # Checked as when it is read from a file.
            dataclasses.replace(self.settings, **{name: value})
        elif name in _SETTINGS or name.removesuffix("_id") in SPECIAL_NAMES:
            raise AttributeError(f"{name} cannot be changed; make a new tokenizer with {name}={value!r}.")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        special = ", ".join(f"{name}={token!r}" for name, token in self.special_tokens_map.items())
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, do_lower_case={self.do_lower_case}, {special})"
