"""The tokenizers of LXMERT and VisualBERT, with the names and arguments of `transformers`.

The Rust library `tokenizers` does the work. Text to ids is in wordpiece_tokenizer.py, ids to text in token_ids.py, the
pipeline in wordpiece.py, files in vocabulary_files.py, tensors in batch_encoding.py, checks in text_inputs.py.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .batch_encoding import BatchEncoding
from .text_inputs import checked_keywords
from .vocabulary_files import TokenizerSource, read_tokenizer_json, read_vocab
from .wordpiece import TokenizerSettings
from .wordpiece_tokenizer import WordPieceTokenizer

__all__ = ["BatchEncoding", "LxmertTokenizer", "LxmertTokenizerFast"]


class LxmertTokenizer(WordPieceTokenizer):
    """The tokenizer of LXMERT, made from a vocab.txt.

    Args:
        vocab_file: a vocab.txt: one word piece per line, its id the line number from 0.
        do_lower_case: whether to lower-case the text.
        do_basic_tokenize: False splits at whitespace only before WordPiece: no cleaning, lower-casing or punctuation.
        never_split: words of the vocabulary that are neither split nor lower-cased.
        unk_token: replaces a word that the vocabulary cannot spell. Must be in the vocabulary.
        sep_token: ends each text.
        pad_token: fills rows to equal length.
        cls_token: starts each row.
        mask_token: replaces a masked word.
        tokenize_chinese_chars: whether each Chinese character is a word.
        strip_accents: whether to remove accents; None does so where text is lower-cased.
        clean_up_tokenization_spaces: whether `decode` joins English contractions.

    Raises:
        FileNotFoundError: no such vocabulary.
        ValueError: a malformed vocabulary, one without `unk_token`, or arguments that do not fit each other.
        TypeError: a value of the wrong kind, or a keyword that does not exist.
    """

    @checked_keywords
    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        do_lower_case: bool = True,
        do_basic_tokenize: bool = True,
        never_split: Iterable[str] | None = None,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        clean_up_tokenization_spaces: bool = True,
    ) -> None:
        options = _settings_in(locals())
        self._build(TokenizerSource(read_vocab(vocab_file)), TokenizerSettings(**options))


class LxmertTokenizerFast(WordPieceTokenizer):
    """The same tokenizer with the arguments of `LxmertTokenizerFast` in `transformers`.

    `decode` does not join English contractions by default, as in `transformers`.

    Args:
        vocab_file: a vocab.txt. Pass it or `tokenizer_file`.
        tokenizer_file: a tokenizer.json; the other arguments must agree with it.
        do_lower_case: whether to lower-case the text.
        unk_token: replaces a word that the vocabulary cannot spell. Must be in the vocabulary.
        sep_token: ends each text.
        pad_token: fills rows to equal length.
        cls_token: starts each row.
        mask_token: replaces a masked word.
        clean_text: whether to drop control characters and make every whitespace a space.
        tokenize_chinese_chars: whether each Chinese character is a word.
        strip_accents: whether to remove accents; None does so where text is lower-cased.
        wordpieces_prefix: marks a word piece that continues a word.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a malformed file, one without `unk_token`, or arguments that do not fit each other or the file.
        TypeError: a value of the wrong kind, or a keyword that does not exist.
    """

    _clean_up_default: ClassVar[bool] = False

    @checked_keywords
    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        clean_text: bool = True,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        wordpieces_prefix: str = "##",
    ) -> None:
        options = _settings_in(locals())
        if vocab_file is not None and tokenizer_file is not None:
            raise ValueError("LxmertTokenizerFast takes vocab_file or tokenizer_file; got both. Leave one out.")
        if tokenizer_file is not None:
            source = read_tokenizer_json(tokenizer_file)
        elif vocab_file is not None:
            source = TokenizerSource(read_vocab(vocab_file))
        else:
            raise ValueError(
                "LxmertTokenizerFast needs vocab_file (a vocab.txt) or tokenizer_file (a tokenizer.json); got none."
            )
        # Differs from HF: there the arguments, defaults included, silently override the file, and a cased
        # tokenizer lower-cases its text.
        for name, value in options.items():
            wanted = source.settings.get(name, value)
            if value != wanted:
                raise ValueError(
                    f"{name} must agree with {str(tokenizer_file)!r}, which has {wanted!r}; got {value!r}. "
                    f"Pass {name}={wanted!r}, or override a folder's settings with from_pretrained(folder, {name}=...)."
                )
        self._build(source, TokenizerSettings(**(source.settings | options), clean_up_tokenization_spaces=False))


def _settings_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor that are settings."""
    names = {field.name for field in dataclasses.fields(TokenizerSettings)}
    return {name: value for name, value in arguments.items() if name in names}
