"""The tokenizers of LXMERT and VisualBERT, with the names and arguments of `transformers`.

The Rust library `tokenizers` does the work. Text to ids is in wordpiece_tokenizer.py, ids to text in token_ids.py, the
pipeline in wordpiece.py, files in vocabulary_files.py and saved_tokenizer.py, tensors in batch_encoding.py, checks in
text_inputs.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

from tokenizers import AddedToken, Tokenizer

from .text_inputs import checked_keywords
from .vocabulary_files import SETTINGS, read_source
from .wordpiece import TokenizerSettings, as_settings
from .wordpiece_tokenizer import WordPieceTokenizer

Vocabulary = str | os.PathLike[str] | Mapping[str, int]
Token = str | AddedToken


class TokenizerOptions(TypedDict, total=False):
    """More arguments of the constructors.

    `vocab` is another name of `vocab_file`; `tokenizer_file` is a tokenizer.json and `tokenizer_object` a tokenizer of
    `tokenizers`, with whose settings the arguments must agree. `extra_special_tokens` (or `additional_special_tokens`)
    are special too, and get the next free ids. `truncation=True` cuts to `model_max_length` (or `max_len`) tokens.
    """

    vocab: Vocabulary | None
    tokenizer_object: Tokenizer | None
    bos_token: Token | None
    eos_token: Token | None
    extra_special_tokens: Iterable[Token] | None
    additional_special_tokens: Iterable[Token] | None
    max_input_chars_per_word: int
    split_special_tokens: bool
    model_max_length: int | None
    max_len: int | None
    padding_side: str
    truncation_side: str
    model_input_names: Iterable[str]
    name_or_path: str


class SlowTokenizerOptions(TokenizerOptions, total=False):
    """More arguments of `LxmertTokenizer`: see `LxmertTokenizerFast`."""

    tokenizer_file: str | os.PathLike[str] | None
    clean_text: bool
    wordpieces_prefix: str


class FastTokenizerOptions(TokenizerOptions, total=False):
    """More arguments of `LxmertTokenizerFast`: see `LxmertTokenizer`."""

    clean_up_tokenization_spaces: bool


class LxmertTokenizer(WordPieceTokenizer):
    """The tokenizer of LXMERT, made from a vocab.txt.

    Args:
        vocab_file: a vocab.txt: one word piece per line, its id the line number from 0. Or a dict of tokens and ids.
        do_lower_case: whether to lower-case the text.
        do_basic_tokenize: False splits at whitespace only before WordPiece: no cleaning, lower-casing or punctuation.
        never_split: words of the vocabulary that are neither split nor lower-cased; part of the basic tokenization.
        unk_token: replaces a word that the vocabulary cannot spell. Must be in the vocabulary.
        sep_token: ends each text.
        pad_token: fills rows to equal length.
        cls_token: starts each row.
        mask_token: replaces a masked word.
        tokenize_chinese_chars: whether each Chinese character is a word.
        strip_accents: whether to remove accents; None does so where text is lower-cased.
        clean_up_tokenization_spaces: whether `decode` joins English contractions.
        options: see `TokenizerOptions`.

    Raises:
        FileNotFoundError: no such vocabulary.
        ValueError: a malformed vocabulary, one without `unk_token`, or arguments that do not fit each other.
        TypeError: a value of the wrong kind, or a keyword that does not exist.
    """

    @partial(checked_keywords, more=SlowTokenizerOptions.__annotations__)
    def __init__(
        self,
        vocab_file: Vocabulary | None = None,
        do_lower_case: bool = True,
        do_basic_tokenize: bool = True,
        never_split: Iterable[str] | None = None,
        unk_token: Token = "[UNK]",
        sep_token: Token = "[SEP]",
        pad_token: Token = "[PAD]",
        cls_token: Token = "[CLS]",
        mask_token: Token = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        clean_up_tokenization_spaces: bool = True,
        **options: Unpack[SlowTokenizerOptions],
    ) -> None:
        _open(self, locals())


class LxmertTokenizerFast(WordPieceTokenizer):
    """The same tokenizer with the arguments of `LxmertTokenizerFast` in `transformers`.

    `decode` does not join English contractions by default, as in `transformers` 5.

    Args:
        vocab_file: a vocab.txt, or a dict of tokens and ids. Pass it or `tokenizer_file`.
        tokenizer_file: a tokenizer.json; the other arguments must agree with it.
        do_lower_case, unk_token, sep_token, pad_token, cls_token, mask_token: as in `LxmertTokenizer`.
        clean_text: whether to drop control characters and make every whitespace a space.
        tokenize_chinese_chars, strip_accents: as in `LxmertTokenizer`.
        wordpieces_prefix: marks a word piece that continues a word.
        options: see `TokenizerOptions`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a malformed file, one without `unk_token`, or arguments that do not fit each other or the file.
        TypeError: a value of the wrong kind, or a keyword that does not exist.
    """

    @partial(checked_keywords, more=FastTokenizerOptions.__annotations__)
    def __init__(
        self,
        vocab_file: Vocabulary | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        unk_token: Token = "[UNK]",
        sep_token: Token = "[SEP]",
        pad_token: Token = "[PAD]",
        cls_token: Token = "[CLS]",
        mask_token: Token = "[MASK]",
        clean_text: bool = True,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        wordpieces_prefix: str = "##",
        **options: Unpack[FastTokenizerOptions],
    ) -> None:
        _open(self, locals())


def _open(tokenizer: WordPieceTokenizer, arguments: Mapping[str, Any]) -> None:
    """Set up a tokenizer from the arguments of its constructor."""
    values, rules = as_settings({**arguments, **arguments["options"]})
    files = ("vocab_file", "vocab", "tokenizer_file", "tokenizer_object")
    source = read_source({name: values.get(name) for name in files})
    settings = {name: value for name, value in values.items() if name in SETTINGS}
    # Differs from HF: there the arguments, defaults included, silently override the file, and a cased tokenizer
    # lower-cases its text.
    for name, wanted in source.settings.items():
        if settings.get(name, wanted) != wanted:
            raise ValueError(
                f"{name} must agree with {str(values['tokenizer_file'])!r}, which has {wanted!r}; got "
                f"{settings[name]!r}. Pass {name}={wanted!r}, or override a folder's settings with "
                f"from_pretrained(folder, {name}=...)."
            )
    source.rules.extend(rules)
    tokenizer._build(source, TokenizerSettings(**(source.settings | settings)), values.get("name_or_path", ""))
