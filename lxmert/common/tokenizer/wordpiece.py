"""The WordPiece pipeline: settings, and the Rust tokenizer that is built from them and a vocabulary."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from lxmert.utils.messages import shown

# In the order of `transformers`: one that the vocabulary lacks gets the next free id.
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# "No limit", as `transformers` writes it.
NO_LIMIT = int(1e30)

LONGEST_TOKEN = 200  # characters of a word in the settings; rows repeat the padding, the prefix is before each piece
LONGEST_SPELLED = 256  # characters of a word that is spelled, which takes the cube of their number; BERT has 100


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
    bos_token: str | None = None
    eos_token: str | None = None
    unk_token: str = "[UNK]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    cls_token: str = "[CLS]"
    mask_token: str = "[MASK]"
    extra_special_tokens: tuple[str, ...] = ()
    clean_text: bool = True
    tokenize_chinese_chars: bool = True
    strip_accents: bool | None = None
    wordpieces_prefix: str = "##"
    max_input_chars_per_word: int = 100
    clean_up_tokenization_spaces: bool = False
    split_special_tokens: bool = False
    model_max_length: int = NO_LIMIT
    padding_side: str = "right"
    truncation_side: str = "right"
    model_input_names: tuple[str, ...] = ("input_ids", "token_type_ids", "attention_mask")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if kind.startswith("tuple"):
                value = () if value is None else value
                if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
                    raise TypeError(
                        f"{field.name} must be a list of str or None; got {shown(value)}. Pass {field.name}=[...]."
                    )
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            wanted, holds = _KINDS[_SIDES if field.name.endswith("_side") else kind]
            if not holds(value):
                raise TypeError(f"{field.name} must be {wanted}; got {shown(value)}.")
            if kind == "int":
                object.__setattr__(self, field.name, int(value))
        if self.max_input_chars_per_word > LONGEST_SPELLED:
            raise ValueError(
                f"max_input_chars_per_word must be at most {LONGEST_SPELLED}; "
                f"got {shown(self.max_input_chars_per_word)}."
            )
        if self.strip_accents and not self.do_basic_tokenize:
            raise ValueError(
                "strip_accents is part of the basic tokenization, which do_basic_tokenize=False leaves out; "
                "got strip_accents=True. Leave one of the two out."
            )

    def special_tokens(self) -> dict[str, str]:
        """Name and text of the special tokens, in the order in which missing ones get an id."""
        return {name: getattr(self, name) for name in SPECIAL_NAMES if getattr(self, name) is not None}

    def to_dict(self) -> dict[str, Any]:
        """The settings as tokenizer_config.json holds them."""
        values = dataclasses.asdict(self) | {"never_split": list(self.never_split) or None}
        if extra := values.pop("extra_special_tokens"):
            values["additional_special_tokens"] = list(extra)  # the name that transformers 4 and 5 both read
        return {name: value for name, value in values.items() if value is not None or name not in SPECIAL_NAMES}


def is_positive_integer(value: object) -> bool:
    """Whether `value` is an integer of at least 1, of Python or NumPy (and not a bool)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TOKEN


_SIDES = "side"
_WORD = f"a str of 1 to {LONGEST_TOKEN} characters"
# What a setting must be, by the type of its field: in words, and as a check.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "bool | None": ("True, False or None", lambda value: value is None or isinstance(value, bool)),
    "str": (_WORD, _is_word),
    "str | None": (f"{_WORD}, or None", lambda value: value is None or _is_word(value)),
    "int": ("an integer of 1 or more", is_positive_integer),
    "tuple[str, ...]": (f"a list of words, each {_WORD}, or None", lambda value: all(map(_is_word, value))),
    _SIDES: ('"right" or "left"', lambda value: value in ("right", "left")),
}


def as_added_token(entry: Mapping[str, Any]) -> AddedToken:
    """A token with its matching rules, as JSON files hold it."""
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(entry["content"], **{flag: entry[flag] for flag in flags if flag in entry})


def as_settings(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[AddedToken]]:
    """Settings as `TokenizerSettings` takes them, from the arguments of `transformers` or its tokenizer_config.json.

    Other names stay as they are. Older names are translated; a special token with matching rules becomes its text.

    Returns:
        The settings, and the special tokens that came with matching rules.
    """
    values, rules = dict(values), []

    def text_of(token: Any) -> Any:
        if isinstance(token, dict) and "content" in token:
            token = as_added_token(token)
        if not isinstance(token, AddedToken):
            return token
        rules.append(token)
        return token.content

    for old, new in (("additional_special_tokens", "extra_special_tokens"), ("max_len", "model_max_length")):
        if (given := values.pop(old, None)) is not None and values.get(new) in (None, [], ()):
            values[new] = given
    for name in (*SPECIAL_NAMES, "extra_special_tokens"):
        if name in values:
            given = values[name]
            values[name] = [text_of(token) for token in given] if isinstance(given, list | tuple) else text_of(given)
    length = values.get("model_max_length", 0)
    if length is None:
        del values["model_max_length"]
    elif isinstance(length, float) and math.isfinite(length) and length.is_integer():
        values["model_max_length"] = int(length)  # 1e+30 in JSON
    return values, rules


def build_tokenizer(
    vocab: Mapping[str, int],
    added: Mapping[int, AddedToken],
    settings: TokenizerSettings,
    rules: Iterable[AddedToken] = (),
) -> Tokenizer:
    """Build the Rust tokenizer: clean and lower-case, split, WordPiece, `[CLS] A [SEP] B [SEP]`.

    Args:
        vocab: word pieces and their ids, 0 to V-1.
        added: tokens that are matched before any splitting, by id; those that are not in `vocab` continue its ids.
        settings: the options.
        rules: special tokens of `settings` with rules for matching them.

    Raises:
        ValueError: the vocabulary lacks the unknown token or a `never_split` word, its ids have gaps, or the tokens at
            the ends of a row cannot be written into a template.

    Source: Devlin et al. 2018, and the tokenization.py published with it.
    """
    if settings.unk_token not in vocab:
        raise ValueError(
            f"the vocabulary must contain unk_token {shown(settings.unk_token)}; its {len(vocab)} entries do not. "
            "Pass the vocabulary of a BERT model, or the unk_token that it uses."
        )
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError(
            f"the {len(vocab)} ids of the vocabulary must be 0 to {len(vocab) - 1}, each once; they are not."
        )
    cls, sep = settings.cls_token, settings.sep_token
    for name, token in (("cls_token", cls), ("sep_token", sep)):
        if token.startswith("$") or ":" in token:  # they would mean something else in the template below
            raise ValueError(f"{name} must not begin with $ or contain a colon; got {shown(token)}.")
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
    _add_tokens(tokenizer, added, settings, {token.content: token for token in rules})
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(cls, tokenizer.token_to_id(cls)), (sep, tokenizer.token_to_id(sep))],
    )
    return tokenizer


def _add_tokens(
    tokenizer: Tokenizer,
    added: Mapping[int, AddedToken],
    settings: TokenizerSettings,
    rules: Mapping[str, AddedToken],
) -> None:
    """Add `added`, the special tokens and the `never_split` words as tokens that are never split.

    Each kind at once: the library makes the table that it matches them by anew at every call, even for none.
    """
    size = tokenizer.get_vocab_size()
    if added:
        tokenizer.add_tokens([token for _, token in sorted(added.items())])
    for number, token in sorted(added.items()):
        if tokenizer.token_to_id(token.content) != number:
            raise ValueError(
                f"the added token {shown(token.content)} must have id {tokenizer.token_to_id(token.content)}, the next "
                f"free one after a vocabulary of {size}; the file has {shown(number)}."
            )
    known = {token.content for token in added.values()}
    special = dict.fromkeys((*settings.special_tokens().values(), *settings.extra_special_tokens))
    tokenizer.add_special_tokens([rules.get(token, token) for token in special if token not in known])
    if not settings.do_basic_tokenize:
        return  # never_split belongs to the basic tokenization
    for word in settings.never_split:
        # A new id would be outside the model's embedding table, and [UNK] would lose the word.
        if tokenizer.token_to_id(word) is None:
            raise ValueError(f"never_split words must be in the vocabulary; {shown(word)} is not. Leave it out.")
    # Differs from HF: a word is not split even next to punctuation ("Foo," is Foo and a comma), not only
    # between spaces. transformers 5 ignores never_split.
    words = [word for word in dict.fromkeys(settings.never_split) if word not in special and word not in known]
    if words:
        tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in words])
