"""The WordPiece pipeline: settings, and the Rust tokenizer that is built from them and a vocabulary."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

# In the order of `transformers`: one that the vocabulary lacks gets the next free id.
SPECIAL_NAMES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# "No limit", as `transformers` writes it.
NO_LIMIT = int(1e30)


@dataclass(frozen=True)
class TokenizerSettings:
    """The settings of a tokenizer, without its vocabulary. Names are those of tokenizer_config.json.

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: values that do not fit each other.
    """

    do_lower_case: bool = True
    do_basic_tokenize: bool = True
    never_split: tuple[str, ...] = ()
    unk_token: str = "[UNK]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    cls_token: str = "[CLS]"
    mask_token: str = "[MASK]"
    clean_text: bool = True
    tokenize_chinese_chars: bool = True
    strip_accents: bool | None = None
    wordpieces_prefix: str = "##"
    max_input_chars_per_word: int = 100
    clean_up_tokenization_spaces: bool = True
    model_max_length: int = NO_LIMIT
    padding_side: str = "right"
    truncation_side: str = "right"

    def __post_init__(self) -> None:
        words = self.never_split
        if words is None:
            words = ()
        if isinstance(words, str) or not isinstance(words, Iterable):
            raise TypeError(f"never_split must be a list of str or None; got {words!r}. Pass never_split=[...].")
        object.__setattr__(self, "never_split", tuple(words))
        for name in ("do_lower_case", "do_basic_tokenize", "clean_text", "tokenize_chinese_chars"):
            self._require(name, isinstance(getattr(self, name), bool), "True or False")
        self._require(
            "clean_up_tokenization_spaces", isinstance(self.clean_up_tokenization_spaces, bool), "True or False"
        )
        self._require(
            "strip_accents", self.strip_accents is None or isinstance(self.strip_accents, bool), "True, False or None"
        )
        for name in (*SPECIAL_NAMES, "wordpieces_prefix"):
            value = getattr(self, name)
            self._require(name, isinstance(value, str) and value != "", "a str that is not empty")
        self._require(
            "never_split", all(isinstance(w, str) and w for w in self.never_split), "a list of words, or None"
        )
        self._require("model_max_length", is_positive_integer(self.model_max_length), "an integer of 1 or more")
        self._require(
            "max_input_chars_per_word", is_positive_integer(self.max_input_chars_per_word), "an integer of 1 or more"
        )
        for name in ("padding_side", "truncation_side"):
            self._require(name, getattr(self, name) in ("right", "left"), '"right" or "left"')
        self._check_basic_tokenize()

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise TypeError(f"{name} must be {wanted}; got {getattr(self, name)!r}.")

    def _check_basic_tokenize(self) -> None:
        if self.do_basic_tokenize:
            return
        for name, given in (("strip_accents", self.strip_accents is True), ("never_split", bool(self.never_split))):
            if given:
                raise ValueError(
                    f"{name} is part of the basic tokenization, which do_basic_tokenize=False leaves out; "
                    f"got {name}={getattr(self, name)!r}. Leave one of the two out."
                )

    def special_tokens(self) -> dict[str, str]:
        """Name and text of the special tokens, in the order in which missing ones get an id."""
        return {name: getattr(self, name) for name in SPECIAL_NAMES}

    def to_dict(self) -> dict[str, Any]:
        """The settings as tokenizer_config.json holds them."""
        return dataclasses.asdict(self) | {"never_split": list(self.never_split) or None}


def is_positive_integer(value: object) -> bool:
    """Whether `value` is an integer of at least 1 (and not a bool)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def as_integer(value: Any) -> Any:
    """Convert a float with an integer value, such as 1e+30 in JSON, to an int; return anything else unchanged."""
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
    return int(value) if is_whole else value


def build_tokenizer(
    vocab: Mapping[str, int], added: Mapping[int, AddedToken], settings: TokenizerSettings
) -> Tokenizer:
    """Build the Rust tokenizer: clean and lower-case, split, WordPiece, `[CLS] A [SEP] B [SEP]`.

    Args:
        vocab: word pieces and their ids, 0 to V-1.
        added: tokens that are matched before any splitting, by id; those that are not in `vocab` continue its ids.
        settings: the options.

    Raises:
        ValueError: the vocabulary lacks the unknown token or a `never_split` word, or its ids have gaps.

    Source: Devlin et al. 2018, and the tokenization.py published with it.
    """
    if settings.unk_token not in vocab:
        raise ValueError(
            f"the vocabulary must contain unk_token {settings.unk_token!r}; its {len(vocab)} entries do not. "
            "Pass the vocabulary of a BERT model, or the unk_token that it uses."
        )
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError(
            f"the {len(vocab)} ids of the vocabulary must be 0 to {len(vocab) - 1}, each once; they are not."
        )
    model = models.WordPiece(
        dict(vocab),
        unk_token=settings.unk_token,
        max_input_chars_per_word=settings.max_input_chars_per_word,
        continuing_subword_prefix=settings.wordpieces_prefix,
    )
    tokenizer = Tokenizer(model)
    if settings.do_basic_tokenize:
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=settings.clean_text,
            handle_chinese_chars=settings.tokenize_chinese_chars,
            strip_accents=settings.strip_accents,
            lowercase=settings.do_lower_case,
        )
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix=settings.wordpieces_prefix)
    _add_tokens(tokenizer, vocab, added, settings)
    cls, sep = settings.cls_token, settings.sep_token
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(cls, tokenizer.token_to_id(cls)), (sep, tokenizer.token_to_id(sep))],
    )
    return tokenizer


def _add_tokens(
    tokenizer: Tokenizer, vocab: Mapping[str, int], added: Mapping[int, AddedToken], settings: TokenizerSettings
) -> None:
    """Add `added`, the special tokens and the `never_split` words as tokens that are never split."""
    for number, token in sorted(added.items()):
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        if tokenizer.token_to_id(token.content) != number:
            raise ValueError(
                f"the added token {token.content!r} must have id {tokenizer.token_to_id(token.content)}, the next free "
                f"one after a vocabulary of {len(vocab)}; the file has {number}."
            )
    known = {token.content for token in added.values()}
    tokenizer.add_special_tokens([token for token in settings.special_tokens().values() if token not in known])
    for word in settings.never_split:
        # A new id would be outside the model's embedding table, and [UNK] would lose the word.
        if tokenizer.token_to_id(word) is None:
            raise ValueError(f"never_split words must be in the vocabulary; {word!r} is not. Leave it out.")
        # Differs from HF: a word is not split even next to punctuation ("Foo," is Foo and a comma), not only
        # between spaces. transformers 5 ignores never_split.
        if word not in known and word not in settings.special_tokens().values():
            tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False)])
