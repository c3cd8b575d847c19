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

from lxmert.utils.messages import shown

from .text_inputs import checked_keywords
from .vocabulary_files import SETTINGS, read_source
from .wordpiece import TokenizerSettings, as_settings
from .wordpiece_tokenizer import WordPieceTokenizer

Vocabulary = str | os.PathLike[str] | Mapping[str, int]
Token = str | AddedToken


class TokenizerOptions(TypedDict, total=False):
    """The arguments that both constructors take by keyword.

    Attributes:
        vocab: another name of `vocab_file`.
        tokenizer_object: a tokenizer of `tokenizers`, with which the other arguments must agree.
        unk_token: "[UNK]", replaces a word that the vocabulary cannot spell. Must be in the vocabulary.
        sep_token: "[SEP]", ends each text.
        pad_token: "[PAD]", fills rows to equal length.
        cls_token: "[CLS]", starts each row.
        mask_token: "[MASK]", replaces a masked word.
        bos_token, eos_token: not used by these models; None.
        extra_special_tokens, additional_special_tokens: more tokens that are never split and that `decode` may skip.
        clean_text: whether to drop control characters and make every whitespace a space; True.
        tokenize_chinese_chars: whether each Chinese character is a word; True.
        strip_accents: whether to remove accents; None does so where text is lower-cased.
        wordpieces_prefix: "##", marks a word piece that continues a word.
        max_input_chars_per_word: a longer word is unknown; 100.
        split_special_tokens: whether special tokens in a text are split as other words; False.
        model_max_length, max_len: the length to which `truncation=True` cuts; None is no limit.
        padding_side, truncation_side: "right" or "left"; "right".
        model_input_names: what a call returns by default.
        name_or_path: a name for `name_or_path`.
    """

    vocab: Vocabulary | None
    tokenizer_object: Tokenizer | None
    unk_token: Token
    sep_token: Token
    pad_token: Token
    cls_token: Token
    mask_token: Token
    bos_token: Token | None
    eos_token: Token | None
    extra_special_tokens: Iterable[Token] | None
    additional_special_tokens: Iterable[Token] | None
    clean_text: bool
    tokenize_chinese_chars: bool
    strip_accents: bool | None
    wordpieces_prefix: str
    max_input_chars_per_word: int
    split_special_tokens: bool
    model_max_length: int | None
    max_len: int | None
    padding_side: str
    truncation_side: str
    model_input_names: Iterable[str]
    name_or_path: str


_checked = partial(checked_keywords, more=TokenizerOptions.__annotations__)


class LxmertTokenizer(WordPieceTokenizer):
    """The tokenizer of LXMERT, made from a vocab.txt.

    Args:
        vocab_file: a vocab.txt: one word piece per line, its id the line number from 0. Or a dict of tokens and ids.
        do_lower_case: whether to lower-case the text.
        do_basic_tokenize: False splits at whitespace only before WordPiece: no cleaning, lower-casing or punctuation.
        never_split: words of the vocabulary that are neither split nor lower-cased; part of the basic tokenization.
        clean_up_tokenization_spaces: whether `decode` joins English contractions.
        tokenizer_file: a tokenizer.json instead of `vocab_file`; the other arguments must agree with it.
        options: see `TokenizerOptions`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a malformed file, one without `unk_token`, or arguments that do not fit each other or the file.
        TypeError: a value of the wrong kind, or a keyword that does not exist.
    """

    @_checked
    def __init__(
        self,
        vocab_file: Vocabulary | None = None,
        do_lower_case: bool = True,
        do_basic_tokenize: bool = True,
        never_split: Iterable[str] | None = None,
        *,
        clean_up_tokenization_spaces: bool = True,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **options: Unpack[TokenizerOptions],
    ) -> None:
        _open(self, locals())


class LxmertTokenizerFast(WordPieceTokenizer):
    """The same tokenizer with the defaults of `transformers` 5: `decode` does not join English contractions.

    Args and errors are those of `LxmertTokenizer`.
    """

    @_checked
    def __init__(
        self,
        vocab_file: Vocabulary | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        *,
        do_basic_tokenize: bool = True,
        never_split: Iterable[str] | None = None,
        clean_up_tokenization_spaces: bool = False,
        **options: Unpack[TokenizerOptions],
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
            place = repr(str(values["tokenizer_file"])) if values["tokenizer_file"] else "tokenizer_object"
            raise ValueError(
                f"{name} must agree with {place}, which has {shown(wanted)}; got {shown(settings[name])}. "
                f"Pass {name}={wanted!r}, or override a folder's settings with from_pretrained(folder, {name}=...)."
            )
    source.rules.extend(rules)
    tokenizer._build(source, TokenizerSettings(**(source.settings | settings)), values.get("name_or_path", ""))
