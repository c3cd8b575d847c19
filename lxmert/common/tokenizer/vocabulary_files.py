"""Reads the files of a tokenizer: vocab.txt, tokenizer.json, tokenizer_config.json and those of older versions."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from lxmert.utils.foreign_files import InvalidFileError, read_small, reading
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.messages import first_few, shown

from .wordpiece import SPECIAL_NAMES, TokenizerSettings, as_added_token, as_settings

VOCAB_NAME = "vocab.txt"
TOKENIZER_NAME = "tokenizer.json"
TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
SPECIAL_TOKENS_NAME = "special_tokens_map.json"
ADDED_TOKENS_NAME = "added_tokens.json"
# What `read_folder` reads: the first of these that is there, and these if they are there.
VOCABULARY_NAMES = (TOKENIZER_NAME, VOCAB_NAME)
OPTIONAL_NAMES = (TOKENIZER_CONFIG_NAME, SPECIAL_TOKENS_NAME, ADDED_TOKENS_NAME)

SETTINGS = frozenset(field.name for field in dataclasses.fields(TokenizerSettings))
# Keys of tokenizer_config.json with paths on the writer's machine, or that we write ourselves.
_DROPPED = (
    "name_or_path",
    "vocab_file",
    "tokenizer_file",
    "special_tokens_map_file",
    "added_tokens_decoder",
    "is_local",
)


@dataclass(frozen=True)
class TokenizerSource:
    """The content of a tokenizer's files; `settings` has only those that the files name.

    `rules` are the special tokens that the files give with rules for matching them; `place` names the files.
    """

    vocab: dict[str, int]
    added: dict[int, AddedToken] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    rules: list[AddedToken] = field(default_factory=list)
    place: str = "the vocabulary"


def read_source(given: Mapping[str, Any]) -> TokenizerSource:
    """Read what a constructor was given: one of `vocab_file` (`vocab`), `tokenizer_file` and `tokenizer_object`.

    Raises:
        FileNotFoundError: no such file.
        TypeError: a value of the wrong kind.
        ValueError: a malformed file; none of them, or several.
    """
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) != 1:
        raise ValueError(
            "a tokenizer needs one of vocab_file (a vocab.txt, or a dict of tokens and ids), tokenizer_file (a "
            f"tokenizer.json) and tokenizer_object (a tokenizers.Tokenizer); got {' and '.join(found) or 'none'}."
        )
    [(name, value)] = found.items()
    if isinstance(value, Tokenizer):
        return _parse_tokenizer(value.to_str(), name)
    if isinstance(value, Mapping):
        if not all(isinstance(token, str) and type(number) is int for token, number in value.items()):
            raise TypeError(f"{name} must have tokens as keys and integers as values; not all are.")
        return TokenizerSource(dict(value))
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path; got {shown(value)}.")
    return read_tokenizer_json(value) if name == "tokenizer_file" else _vocab_source(value)


def read_vocab(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read a vocab.txt: one word piece per line, its id the line number from 0.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, not UTF-8, or has an empty or a repeated line.
    """
    vocab: dict[str, int] = {}
    for number, token in enumerate(_read_text(path, "a vocabulary").rstrip("\n").split("\n")):
        if token == "":
            raise InvalidFileError(f"{path}: line {number + 1} is empty; a vocabulary has one word piece on each line.")
        if token in vocab:
            raise InvalidFileError(
                f"{path}: line {number + 1} repeats line {vocab[token] + 1}, {shown(token)}; each word piece has one "
                "id."
            )
        vocab[token] = number
    return vocab


def read_tokenizer_json(path: str | os.PathLike[str]) -> TokenizerSource:
    """Read a tokenizer.json that holds a BERT WordPiece tokenizer.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no JSON, or holds a tokenizer of another kind.
    """
    return _parse_tokenizer(_read_text(path, "a JSON file"), path)


def _parse_tokenizer(text: str, path: str | os.PathLike[str]) -> TokenizerSource:
    content = parse_json(text, Path(path))
    model = content.get("model")
    has_vocab = isinstance(model, dict) and isinstance(model.get("vocab"), dict) and bool(model["vocab"])
    kind = model.get("type", "WordPiece" if has_vocab else None) if isinstance(model, dict) else None
    # Files of early versions leave the type out.
    if not has_vocab or kind != "WordPiece":
        raise InvalidFileError(
            f"{path}: expected a WordPiece tokenizer; the file holds "
            f"{f'a model of type {shown(kind)}' if kind else 'no model with a vocabulary'}. Pass the tokenizer of a "
            "BERT model."
        )
    if not all(type(number) is int for number in model["vocab"].values()):
        raise InvalidFileError(f"{path}: every entry of the vocabulary must have an integer as its id; not all do.")
    names = {"unk_token": "unk_token", "continuing_subword_prefix": "wordpieces_prefix"}
    names["max_input_chars_per_word"] = "max_input_chars_per_word"
    settings = {ours: model[theirs] for theirs, ours in names.items() if theirs in model}
    settings |= _text_settings(path, content.get("normalizer"), content.get("pre_tokenizer"))
    _check_settings(path, settings)
    with reading(str(path), _ADDED):
        added = _added_tokens((entry["id"], entry) for entry in content.get("added_tokens") or ())
    return TokenizerSource(model["vocab"], added, settings, place=str(path))


def read_folder(folder: str | os.PathLike[str]) -> TokenizerSource:
    """Read a tokenizer's folder, or one of its vocabulary files; tokenizer_config.json overrides tokenizer.json.

    Raises:
        FileNotFoundError: no such folder, or neither tokenizer.json nor vocab.txt in it.
        ValueError: a file is empty or malformed, or a setting of the wrong kind.
    """
    folder = Path(folder)
    if folder.is_file():
        return read_source({"tokenizer_file" if folder.suffix == ".json" else "vocab_file": folder})
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no file or folder {str(folder)!r}; pass a folder with {VOCAB_NAME} or {TOKENIZER_NAME}, or one "
            "of these files."
        )
    if (folder / TOKENIZER_NAME).is_file():
        source = read_tokenizer_json(folder / TOKENIZER_NAME)
    elif (folder / VOCAB_NAME).is_file():
        source = _vocab_source(folder / VOCAB_NAME)
    else:
        found = first_few(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise FileNotFoundError(f"{str(folder)!r} must hold {VOCAB_NAME} or {TOKENIZER_NAME}; it holds {found}.")
    # Differs from HF: tokenizer.json decides what tokenizer_config.json does not set, instead of the constructor's
    # defaults: a cased tokenizer.json alone stays cased.
    config = _optional_json(folder / SPECIAL_TOKENS_NAME) | _optional_json(folder / TOKENIZER_CONFIG_NAME)
    path = folder / TOKENIZER_CONFIG_NAME
    with reading(path, "or special_tokens_map.json holds a token of the wrong kind"):
        values, rules = as_settings(config)
    settings = source.settings | {name: value for name, value in values.items() if name in SETTINGS}
    _check_settings(path, settings)
    special = {*(values.get("extra_special_tokens") or ()), *(values.get(name) for name in SPECIAL_NAMES)}
    added = source.added or _added_tokens_of_folder(folder, config, special)
    extra = {name: value for name, value in values.items() if name not in SETTINGS and name not in _DROPPED}
    with reading(path, "holds texts that cannot be saved"):
        json.dumps(settings | extra, ensure_ascii=False).encode()
    return TokenizerSource(source.vocab, added, settings, extra, rules, str(folder))


def _vocab_source(path: str | os.PathLike[str]) -> TokenizerSource:
    return TokenizerSource(read_vocab(path), place=str(path))


def _check_settings(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
    with reading(str(path), "holds a setting that cannot be used"):
        TokenizerSettings(**settings)


_ADDED = "holds added tokens, each of which must have an id and a content"


def _added_tokens_of_folder(folder: Path, config: Mapping[str, Any], special: set[Any]) -> dict[int, AddedToken]:
    """Added tokens of a folder without tokenizer.json: in its config, or in the added_tokens.json of older versions."""
    decoder = config.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        with reading(folder / TOKENIZER_CONFIG_NAME, _ADDED):
            return _added_tokens(decoder.items())
    path = folder / ADDED_TOKENS_NAME
    tokens = _optional_json(path)
    with reading(path, _ADDED):
        return _added_tokens((n, {"content": token, "special": token in special}) for token, n in tokens.items())


def _added_tokens(entries: Iterable[tuple[Any, Any]]) -> dict[int, AddedToken]:
    return {int(number): as_added_token(entry) for number, entry in entries}


def _text_settings(path: str | os.PathLike[str], normalizer: Any, pre_tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer.json does to the text before WordPiece, in our settings."""
    kinds = [part.get("type") if isinstance(part, dict) else part for part in (normalizer, pre_tokenizer)]
    if kinds == [None, "WhitespaceSplit"]:
        return {"do_basic_tokenize": False}
    if kinds not in (["BertNormalizer", "BertPreTokenizer"], [None, "BertPreTokenizer"]):
        raise InvalidFileError(
            f"{path}: expected BertNormalizer and BertPreTokenizer; the file has {shown(kinds[0])} and "
            f"{shown(kinds[1])}, whose ids would differ from ours. Pass the tokenizer of a BERT model."
        )
    names = {"clean_text": "clean_text", "handle_chinese_chars": "tokenize_chinese_chars", "lowercase": "do_lower_case"}
    if normalizer is None:
        return dict.fromkeys((*names.values(), "strip_accents"), False)
    return {
        ours: normalizer[theirs]
        for theirs, ours in (names | {"strip_accents": "strip_accents"}).items()
        if theirs in normalizer
    }


def _read_text(path: str | os.PathLike[str], what: str) -> str:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"expected {what} at {str(path)!r}; there is {'a folder' if path.is_dir() else 'no file'}."
        )
    content = read_small(path, LARGEST_JSON, what)
    with reading(path, "is not a text in UTF-8"):
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InvalidFileError(f"{path}: expected {what}; the file is empty.")
    return text


def _optional_json(path: Path) -> dict[str, Any]:
    return parse_json(_read_text(path, "a JSON file"), path) if path.is_file() else {}
