"""The vocabulary and the special tokens of a tokenizer, and decoding: from ids to tokens and text."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import Decoder

from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import check_keywords, shown, warn_caller

from .text_inputs import as_id_rows, as_ids, checked_keywords, describe_value
from .vocabulary_files import SETTINGS, TokenizerSource
from .wordpiece import SPECIAL_NAMES, TokenizerSettings, as_settings, build_tokenizer

# Settings that are read at each call; the others are built into the Rust tokenizer.
_READ_LATE = {"model_max_length", "padding_side", "truncation_side", "model_input_names"}
_READ_LATE |= {"clean_up_tokenization_spaces", "split_special_tokens"}
# Undoes how BERT's tokenization splits English punctuation and contractions; the order matters.
_JOINS = {f" {end}": end for end in (".", "?", "!", ",")} | {" ' ": "'"}
_JOINS |= {f" {end}": end for end in ("n't", "'m", "'s", "'ve", "'re")}


class TokenIds:
    """Vocabulary, special tokens and decoding.

    Every setting is an attribute (`do_lower_case`, `cls_token`, `model_max_length`, ...) that may be set: the next call
    follows it. A special token must be in the vocabulary to be set; `add_special_tokens` adds it. Its id has its name
    with `_id` (`cls_token_id`, ...).

    Attributes:
        name_or_path: where `from_pretrained` read the tokenizer.
        pad_token_type_id: the token type of padding.
        chat_template: None; these models do not chat.
        deprecation_warnings: which warnings were logged; True prevents one.
    """

    pad_token_type_id = 0
    chat_template = None
    name_or_path: str
    deprecation_warnings: dict[str, bool]
    _backend: Tokenizer
    _extra: dict[str, Any]

    def _build(self, source: TokenizerSource, settings: TokenizerSettings, name: str = "") -> None:
        """Set up this tokenizer from a vocabulary and settings."""
        with reading(source.place, "makes no tokenizer"):
            backend = build_tokenizer(source.vocab, source.added, settings, source.rules)
        extra = dict(source.extra)
        self.__dict__.update(name_or_path=name, _extra=extra, deprecation_warnings={}, _lock=threading.Lock())
        self._store(settings, backend)

    def _store(self, settings: TokenizerSettings, backend: Tokenizer) -> None:
        values = {name: getattr(settings, name) for name in SETTINGS}
        self.__dict__.update({n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}, _backend=backend)

    @property
    def settings(self) -> TokenizerSettings:
        """All settings."""
        return TokenizerSettings(**{name: self.__dict__[name] for name in SETTINGS})

    def _change(self, values: Mapping[str, Any]) -> None:
        """Change settings; a special token must have an id.

        Raises:
            TypeError, ValueError: a value that does not fit.
        """
        with self._lock:  # another thread may add tokens meanwhile
            old, backend = self.settings, self._backend
            new = dataclasses.replace(old, **values)
            for token in (*new.special_tokens().values(), *new.extra_special_tokens):
                if backend.token_to_id(token) is None:
                    raise ValueError(
                        f"a special token must be in the vocabulary; {shown(token)} is not. Add it with "
                        "add_special_tokens, and resize the model's token embeddings."
                    )
            if not _READ_LATE.issuperset(values):
                unsplit = set(old.never_split)
                kept = {
                    number: token
                    for number, token in backend.get_added_tokens_decoder().items()
                    if token.special or number >= self.vocab_size or token.content not in unsplit
                }
                backend = build_tokenizer(backend.get_vocab(with_added_tokens=False), kept, new)
            self._store(new, backend)

    def __setattr__(self, name: str, value: Any) -> None:
        base = name.removesuffix("_id")
        if base != name and base in SPECIAL_NAMES:
            name, value = base, None if value is None else self.convert_ids_to_tokens(value)
        values, _ = as_settings({name: value})
        if SETTINGS.issuperset(values):
            self._change(values)
            return
        nearest = get_close_matches(name, SETTINGS, n=1, cutoff=0.85)
        if nearest and name not in self.__dict__:
            warn_caller(
                f"a tokenizer has no setting {name!r}; the attribute has no effect. Did you mean {nearest[0]!r}?"
            )
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        base = name.removesuffix("_ids").removesuffix("_id").replace("additional_special", "extra_special")
        if base != name and base in (*SPECIAL_NAMES, "extra_special_tokens") and base in self.__dict__:
            token = self.__dict__[base]
            return token if name == "additional_special_tokens" or token is None else self.convert_tokens_to_ids(token)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are never split. Resize the model's token embeddings to `len(tokenizer)` then.

        Args:
            new_tokens: one or several; a `tokenizers.AddedToken` has rules for matching it.
            special_tokens: whether `decode` may skip them.

        Returns:
            How many tokens were not added before; one that is in the vocabulary keeps its id.

        Raises:
            TypeError: a token that is no str.
        """
        tokens = list(new_tokens) if isinstance(new_tokens, list | tuple) else [new_tokens]
        for token in tokens:
            if not isinstance(token, str | AddedToken):
                raise TypeError(f"new_tokens must be str or AddedToken; got {shown(token)}.")
        with self._lock:
            return (self._backend.add_special_tokens if special_tokens else self._backend.add_tokens)(tokens)

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_extra_special_tokens: bool = True
    ) -> int:
        """Set special tokens, and add those that the vocabulary lacks. Resize the model's token embeddings then.

        Args:
            special_tokens_dict: for `pad_token`, `cls_token`, ... a str or `tokenizers.AddedToken`; for
                `extra_special_tokens` (`additional_special_tokens`) a list of them.
            replace_extra_special_tokens: whether the list, unless empty, replaces the former one, or is appended to it.

        Returns:
            As `add_tokens`.

        Raises:
            TypeError: a token that is no str, or an unknown name.
        """
        values, rules = as_settings(special_tokens_dict)
        check_keywords("add_special_tokens", values, (*SPECIAL_NAMES, "extra_special_tokens"))
        settings, by_text = dataclasses.replace(self.settings, **values), {token.content: token for token in rules}
        if self._backend.model.token_to_id(settings.unk_token) is None:
            raise ValueError(f"unk_token must be a word of the vocabulary; {shown(settings.unk_token)} is not.")
        former = [] if replace_extra_special_tokens else self.extra_special_tokens
        extra = [token for token in values.get("extra_special_tokens") or () if token not in former]
        tokens = [token for name in values for token in (extra if name == "extra_special_tokens" else [values[name]])]
        count = self.add_tokens([by_text.get(token, token) for token in tokens], special_tokens=True)
        values["extra_special_tokens"] = [*former, *extra] if extra else self.extra_special_tokens
        self._change(values)
        return count

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that are never split, special ones included, by id."""
        return self._backend.get_added_tokens_decoder()

    def get_added_vocab(self) -> dict[str, int]:
        """The ids of the tokens that are never split, special ones included."""
        return {token.content: number for number, token in sorted(self.added_tokens_decoder.items())}

    added_tokens_encoder = property(get_added_vocab)

    @checked_keywords
    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """Decode ids to text.

        Args:
            token_ids: [L] or [B, L], lists, an array or a tensor of ids; one id; or an encoding.
            skip_special_tokens: whether to leave [CLS], [SEP], [PAD], [UNK] and [MASK] out.
            clean_up_tokenization_spaces: whether to join English contractions over their apostrophe ("it's", not
                "it ' s"); the tokenizer's setting where it is None. Spaces before . , ? ! are removed either way, as
                `transformers` does.

        Returns:
            The text of one row, a list of texts for several.

        Raises:
            TypeError: ids that are not integers.
            ValueError: ids outside the vocabulary.
        """
        ids = token_ids["input_ids"] if isinstance(token_ids, Mapping) else token_ids
        rows, single = as_id_rows(ids, len(self))
        texts = self._backend.decode_batch(rows, skip_special_tokens=skip_special_tokens)
        clean = clean_up_tokenization_spaces
        if self.clean_up_tokenization_spaces if clean is None else clean:
            texts = [self.clean_up_tokenization(text) for text in texts]
        return texts[0] if single else texts

    @checked_keywords
    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """As `decode`, with a list of one text for one row."""
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """Remove the spaces that word splitting put before English punctuation and contractions."""
        for spaced, joined in _JOINS.items():
            text = text.replace(spaced, joined)
        return text

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of a token, or the ids of several; a token that is not in the vocabulary has the unknown token's.

        Raises:
            TypeError: no str, and no several of them.
        """
        if isinstance(tokens, str):
            number = self._backend.token_to_id(tokens)
            return self._backend.token_to_id(self.unk_token) if number is None else number
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
        if isinstance(ids, int) or getattr(ids, "ndim", 1) == 0:
            return self._backend.id_to_token(row[0])
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._backend.id_to_token(number) for number in row if number not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join word pieces to a text."""
        return self._backend.decoder.decode(list(tokens))

    @property
    def vocab_size(self) -> int:
        """Number of entries of the vocabulary, without tokens added to it."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        """Number of ids, added tokens included: the rows that an embedding table needs."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id, added tokens included."""
        return self._backend.get_vocab(with_added_tokens=True)

    vocab = property(get_vocab)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer of the library `tokenizers`; changing a setting of this object makes another one."""
        return self._backend

    @property
    def decoder(self) -> Decoder:
        """The decoder of `backend_tokenizer`."""
        return self._backend.decoder

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Name and text of the special tokens, without `extra_special_tokens`."""
        return self.settings.special_tokens()

    @property
    def all_special_tokens(self) -> list[str]:
        """Text of the special tokens, `extra_special_tokens` last; each once."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        special = ", ".join(f"{name}={token!r}" for name, token in self.special_tokens_map.items())
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, do_lower_case={self.do_lower_case}, {special})"
