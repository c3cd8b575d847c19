"""From text to ids: the base class of both tokenizers, and its folder on disk."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import Encoding

from lxmert.hub import folder_with, looks_like_hub_id
from lxmert.utils.atomic_files import write_text
from lxmert.utils.messages import check_keywords, signature_names

from .batch_encoding import BatchEncoding, as_tensors
from .text_inputs import Lengths, Pair, Texts, as_batch, checked_keywords, plan_lengths
from .token_ids import TokenIds
from .vocabulary_files import (
    OPTIONAL_NAMES,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
    VOCAB_NAME,
    VOCABULARY_NAMES,
    read_folder,
)
from .wordpiece import TokenizerSettings

logger = logging.getLogger(__name__)

# The attribute of a Rust encoding that holds an entry.
_ENCODING_ATTRIBUTES = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}


class WordPieceTokenizer(TokenIds):
    """Base class of `LxmertTokenizer` and `LxmertTokenizerFast`, which differ in the arguments of their constructors.

    A text becomes `[CLS] A [SEP]`, a pair `[CLS] A [SEP] B [SEP]`, with token types 0 for `[CLS] A [SEP]` and 1 for
    `B [SEP]`. Ids, masks and offsets equal those of `BertTokenizerFast` in `transformers`.
    """

    model_input_names: ClassVar[tuple[str, ...]] = ("input_ids", "token_type_ids", "attention_mask")
    is_fast: ClassVar[bool] = True
    _clean_up_default: ClassVar[bool] = True

    @checked_keywords
    def __call__(
        self,
        text: Texts,
        text_pair: str | Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool = True,
        return_attention_mask: bool = True,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Turn a text, a list of texts, or pairs of them into ids.

        Args:
            text: a str, a list of str, or a list of pairs of str.
            text_pair: the second text of each: a str with a str, a list of equal length with a list.
            add_special_tokens: whether to add [CLS] and [SEP].
            padding: True or "longest" pads to the longest row, "max_length" to `max_length`, False not at all.
            truncation: True or "longest_first" truncates the longer text of a pair first, "only_first" and
                "only_second" one of them. None is "longest_first" if `max_length` is given without padding, else False.
            max_length: number of tokens, special ones included; `model_max_length` by default.
            pad_to_multiple_of: pads further to a multiple of this.
            return_tensors: "np" (int64), "pt" (int64), "tf" (int32), or None for lists.
            return_token_type_ids: adds `token_type_ids`: 0 in the first text, 1 in the second.
            return_attention_mask: adds `attention_mask`: 1 for tokens, 0 for padding.
            return_special_tokens_mask: adds `special_tokens_mask`: 1 for special tokens and padding.
            return_offsets_mapping: adds `offset_mapping`: first and end character of each token in its text.
            return_length: adds `length`: the number of tokens of each row, padding included.

        Returns:
            Rows of length L for one text, a list of B of them for several; arrays [B, L] with `return_tensors`, B = 1
            for one text ([B, L, 2] for offsets, [B] for lengths).

        Raises:
            TypeError: a text that is no str, or a keyword that does not exist.
            ValueError: lengths that do not fit each other, or rows of different lengths with `return_tensors`.
            ImportError: the framework of `return_tensors` is not installed.
        """
        batch, single = as_batch(text, text_pair)
        pair = any(isinstance(item, tuple) for item in batch)
        lengths = plan_lengths(
            padding,
            truncation,
            max_length,
            pad_to_multiple_of,
            shortest=self.num_special_tokens_to_add(pair) if add_special_tokens else 1,
            model_max_length=self.model_max_length,
            padding_side=self.padding_side,
            truncation_side=self.truncation_side,
            pad_token=self.settings.pad_token,
            pad_id=self.pad_token_id,
        )
        encodings = self._encode(batch, add_special_tokens, lengths)
        if max_length is None:
            self._warn_if_long(encodings)
        returned = {
            "input_ids": True,
            "token_type_ids": return_token_type_ids,
            "attention_mask": return_attention_mask,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
        }
        rows: dict[str, list[Any]] = {
            name: [getattr(encoding, _ENCODING_ATTRIBUTES[name]) for encoding in encodings]
            for name, wanted in returned.items()
            if wanted
        }
        if return_length:
            rows["length"] = [len(encoding) for encoding in encodings]
        if return_tensors is not None:
            return BatchEncoding(as_tensors(rows, return_tensors, padded=lengths.padding is not None))
        if single:
            # `length` stays a list of one, as in transformers.
            return BatchEncoding({name: value if name == "length" else value[0] for name, value in rows.items()})
        return BatchEncoding(rows)

    def _encode(self, batch: Sequence[str | Pair], add_special_tokens: bool, lengths: Lengths) -> list[Encoding]:
        # The Rust object holds truncation and padding as state, so threads take turns.
        with self._lock:
            if lengths != self._lengths:
                lengths.apply(self._backend)
                self.__dict__["_lengths"] = lengths
            try:
                return self._backend.encode_batch(list(batch), add_special_tokens=add_special_tokens)
            except TypeError as error:
                # The texts are str, so only one that UTF-8 cannot encode is refused.
                raise ValueError(
                    "text must be valid Unicode; one text has a lone surrogate. "
                    'Clean it with text.encode("utf-8", "replace").decode("utf-8").'
                ) from error
            except Exception as error:
                if lengths.truncation is None or "truncat" not in str(error).lower():
                    raise
                raise ValueError(
                    f'truncation="{lengths.truncation["strategy"]}" must be able to reach max_length '
                    f"{lengths.truncation['max_length']}; that text is absent or too short to be cut so far. "
                    'Use truncation="longest_first".'
                ) from error

    def _warn_if_long(self, encodings: Sequence[Encoding]) -> None:
        longest = max((len(encoding) for encoding in encodings), default=0)
        if longest > self.model_max_length and not self._warned:
            self.__dict__["_warned"] = True
            logger.warning(
                "a text has %d tokens and the model takes %d (model_max_length); pass truncation=True to cut it.",
                longest,
                self.model_max_length,
            )

    def encode(self, text: Texts, text_pair: str | Sequence[str] | None = None, **options: Any) -> Any:
        """The `input_ids` of `self(text, text_pair, **options)`.

        Raises:
            As `__call__`.
        """
        return self(text, text_pair, **options)["input_ids"]

    @checked_keywords
    def tokenize(self, text: str, pair: str | None = None, *, add_special_tokens: bool = False) -> list[str]:
        """The word pieces of a text, those of `pair` after them.

        Raises:
            TypeError: `text` or `pair` is no str.
        """
        for name, value in (("text", text), ("pair", pair or "")):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str; got {type(value).__name__}. Call tokenize once for each text.")
        batch, _ = as_batch(text, pair)
        return self._encode(batch, add_special_tokens, Lengths(None, None))[0].tokens

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Read a folder with vocab.txt or tokenizer.json, and tokenizer_config.json if it is there.

        Reads what `save_pretrained` of this class and of `transformers` (any version) writes.

        Args:
            source: the folder; a text that is no path may be a model on the hub, "owner/name".
            revision: of a model on the hub: a branch, a tag, a commit or refs/pr/NUMBER; the main branch by default.
            cache_dir: where files from the hub are kept; the folder of `huggingface_hub` by default.
            token: for the hub; True takes the saved one, False none. By default the saved one or HF_TOKEN, if any.
            local_files_only: whether to use only the cache, not the hub.
            overrides: settings to override, such as `do_lower_case=False`.

        Raises:
            FileNotFoundError: no such folder or model, or no vocabulary in it.
            PermissionError, ConnectionError, OSError: the hub refuses it, cannot be reached, or a download failed.
            ValueError: a file is empty, malformed, or not that of a WordPiece tokenizer.
            TypeError: an override that is no setting.
        """
        known = [f.name for f in dataclasses.fields(TokenizerSettings)]
        options = signature_names(cls.from_pretrained)
        check_keywords(f"{cls.__name__}.from_pretrained", overrides, (*options, *known))
        folder = source
        if not Path(source).exists() and looks_like_hub_id(source):
            folder = folder_with(
                source,
                VOCABULARY_NAMES,
                OPTIONAL_NAMES,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
            )
        files = read_folder(folder)
        values = {"clean_up_tokenization_spaces": cls._clean_up_default} | files.settings | overrides
        tokenizer = cls.__new__(cls)
        tokenizer._build(files, TokenizerSettings(**values))
        return tokenizer

    def save_vocabulary(self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None) -> tuple[str]:
        """Write vocab.txt, one word piece per line in the order of ids, without added tokens.

        Returns:
            The path of the file, alone in a tuple.

        Raises:
            NotADirectoryError: `save_directory` is a file.
        """
        path = _folder(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}{VOCAB_NAME}"
        write_text(path, "".join(f"{token}\n" for token in sorted(self._vocab, key=self._vocab.__getitem__)))
        return (str(path),)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write vocab.txt, tokenizer.json and tokenizer_config.json, which `transformers` reads too.

        Each is written under a temporary name and then renamed, so that no reader sees half a file.

        Returns:
            The paths of the files.

        Raises:
            NotADirectoryError: `save_directory` is a file.
        """
        folder = _folder(save_directory)
        with self._lock:
            # Truncation and padding of the last call are not saved.
            Lengths(None, None).apply(self._backend)
            self.__dict__["_lengths"] = Lengths(None, None)
            backend = self._backend.to_str(pretty=True)
        config = self._extra | self.settings.to_dict() | {"tokenizer_class": "BertTokenizer"}
        config |= {name: getattr(self, name) for name in ("model_max_length", "padding_side", "truncation_side")}
        paths = self.save_vocabulary(folder)
        write_text(folder / TOKENIZER_NAME, backend)
        write_text(
            folder / TOKENIZER_CONFIG_NAME, json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        )
        return (*paths, str(folder / TOKENIZER_NAME), str(folder / TOKENIZER_CONFIG_NAME))


def _folder(path: str | os.PathLike[str]) -> Path:
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"save_directory must be a folder; {str(folder)!r} is a file.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
