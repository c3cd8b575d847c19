"""Tokenizers in folders and on the hub, and the layout of special tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Self

from lxmert.hub import folder_with, looks_like_hub_id
from lxmert.utils.atomic_files import write_text
from lxmert.utils.included_models import local_path
from lxmert.utils.messages import check_keywords, constructor_names, signature_names
from lxmert.utils.neutral_arguments import IGNORED, PUSHING, SHARED, drop_neutral
from lxmert.utils.paths import check_folder, check_subfolder

from .text_inputs import set_lengths
from .token_ids import TokenIds
from .vocabulary_files import (
    OPTIONAL_NAMES,
    SETTINGS,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
    VOCAB_NAME,
    VOCABULARY_NAMES,
    read_folder,
)
from .wordpiece import TokenizerSettings, as_settings

_NEUTRAL = SHARED | {"use_fast": IGNORED, "from_slow": IGNORED}


class SavedTokenizer(TokenIds):
    """Reading and writing folders, and the special tokens around a text."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        subfolder: str = "",
        **overrides: Any,
    ) -> Self:
        """Read a folder with vocab.txt or tokenizer.json, and tokenizer_config.json if it is there.

        Reads what `save_pretrained` of this class and of `transformers` (any version) writes.

        Args:
            pretrained_model_name_or_path: the folder, or a vocabulary file; a text that is no path may be a model on
                the hub, "owner/name".
            revision: of a model on the hub: a branch, a tag, a commit or refs/pr/NUMBER; the main branch by default.
            cache_dir: where files from the hub are kept; the folder of `huggingface_hub` by default.
            token: for the hub; True takes the saved one, False none. By default the saved one or HF_TOKEN, if any.
            local_files_only: whether to use only the cache, not the hub.
            force_download: whether to download files that are in the cache.
            subfolder: where the files are inside of the folder or repository.
            overrides: settings to override, such as `do_lower_case=False`; arguments that the constructor of a user's
                class has; `use_fast`, which has no effect.

        Raises:
            FileNotFoundError: no such folder or model, or no vocabulary in it.
            PermissionError, ConnectionError, OSError: the hub refuses it, cannot be reached, or a download failed.
            ValueError: a file is empty, malformed, or not that of a WordPiece tokenizer.
            TypeError: an override that is no setting.
        """
        owner = f"{cls.__name__}.from_pretrained"
        drop_neutral(owner, overrides, _NEUTRAL)
        check_subfolder(subfolder)
        inside = PurePosixPath(subfolder)
        users_class = not cls.__init__.__module__.startswith("lxmert.")
        known = constructor_names(cls) if users_class else ()
        own = {name: overrides.pop(name) for name in known if name in overrides and name not in SETTINGS}
        values, rules = as_settings(overrides)
        check_keywords(owner, values, (*signature_names(cls.from_pretrained), *sorted(SETTINGS), *known))
        source = pretrained_model_name_or_path
        folder = local_path(source) or source
        if not Path(folder).exists() and looks_like_hub_id(source):
            folder = folder_with(
                source,
                [str(inside / name) for name in VOCABULARY_NAMES],
                [str(inside / name) for name in OPTIONAL_NAMES],
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        files = read_folder(Path(folder) / inside)
        files.rules.extend(rules)
        settings = TokenizerSettings(**(files.settings | values))
        tokenizer = cls.__new__(cls)
        tokenizer._build(files, settings, str(source))
        if users_class:  # its constructor is called with what was read
            backend, given = tokenizer._backend, {name: getattr(settings, name) for name in sorted(SETTINGS)}
            tokenizer = cls(**{"vocab_file": None, "tokenizer_object": backend, **given, **own})
            tokenizer.__dict__.update(name_or_path=str(source), _extra=dict(files.extra))
        return tokenizer

    def save_vocabulary(self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None) -> tuple[str]:
        """Write vocab.txt, one word piece per line in the order of ids, without added tokens.

        Returns:
            The path of the file, alone in a tuple.

        Raises:
            NotADirectoryError: `save_directory` is a file.
        """
        path = _file_in(save_directory, filename_prefix, VOCAB_NAME)
        vocab = self._backend.get_vocab(with_added_tokens=False)
        write_text(path, "".join(f"{token}\n" for token in sorted(vocab, key=vocab.__getitem__)))
        return (str(path),)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """Write vocab.txt, tokenizer.json and tokenizer_config.json, which `transformers` reads too.

        Each is written under a temporary name and then renamed, so that no reader sees half a file.

        Args:
            save_directory: the folder.
            legacy_format: without effect: both formats, tokenizer.json and vocab.txt, are written.
            filename_prefix: begins the name of each file, with a hyphen.
            push_to_hub: must be False.
            kwargs: `repo_id`, `token` and the like, which only pushing reads.

        Returns:
            The paths of the files.

        Raises:
            NotADirectoryError: `save_directory` is a file.
            ValueError: `push_to_hub`.
        """
        check_keywords(f"{type(self).__name__}.save_pretrained", kwargs, PUSHING)
        if push_to_hub:
            raise ValueError("push_to_hub must be False: save the folder, then upload it with `hf upload`.")
        with self._lock:
            # Truncation and padding of the last call are not saved.
            set_lengths(self._backend, (None, None))
            backend = self._backend.to_str(pretty=True)
        config = self._extra | self.settings.to_dict() | {"tokenizer_class": "BertTokenizer"}
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        paths = list(self.save_vocabulary(save_directory, filename_prefix))
        for name, content in ((TOKENIZER_NAME, backend), (TOKENIZER_CONFIG_NAME, text)):
            path = _file_in(save_directory, filename_prefix, name)
            write_text(path, content)
            paths.append(str(path))
        return tuple(paths)

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
            return [int(int(number) in special) for number in token_ids_0]
        first = [1] + [0] * len(token_ids_0) + [1]
        return first if token_ids_1 is None else [*first, *([0] * len(token_ids_1)), 1]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """The number of special tokens that are added to a text, or to a pair."""
        return self._backend.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """`model_max_length` without the special tokens of a text."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    @property
    def max_len_sentences_pair(self) -> int:
        """`model_max_length` without the special tokens of a pair."""
        return self.model_max_length - self.num_special_tokens_to_add(True)


def _file_in(save_directory: str | os.PathLike[str], prefix: str | None, name: str) -> Path:
    folder = Path(save_directory)
    check_folder(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (f"{prefix}-{name}" if prefix else name)
