"""Saving of models of both backends: folders that every library reads, and uploads to the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.utils.atomic_files import write_text
from lxmert.utils.temporary_files import system_folder

from .formats.safetensors import NamedArray
from .hub_upload import Upload, upload
from .model_card import README_NAME, model_card
from .named_model import NamedModel
from .save_folder import SAFETENSORS, FileKind, LazyTensor, write_folder


class Saved(NamedTuple):
    """What a model writes: the parameters of the name table, and its user's own tensors under their own names."""

    parameters: Sequence[LazyTensor]
    own: Sequence[NamedArray] = ()


class SaveableModel(NamedModel):
    """A model that is saved by `save_pretrained`, and uploaded by `push_to_hub`."""

    model_tags: list[str] | None = None

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Any] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str | None = None,
        variant: str | None = None,
        token: str | bool | None = None,
        save_peft_format: bool = True,
        save_original_format: bool = True,
        distributed_checkpoint: bool = False,
        *,
        safe_serialization: bool = True,
        save_function: Callable[..., Any] | None = None,
        repo_id: str | None = None,
        private: bool | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Write config.json and model.safetensors with Hugging Face's names; `transformers` reads the folder too.

        What a user's class adds is written under its own names, which `from_pretrained` of that class reads. Matrices
        in int8 are written with their scales, and described in config.json as by the library compressed-tensors, which
        `transformers` needs to read them.

        Args:
            save_directory: made if it is missing.
            is_main_process: whether this process writes; others do nothing.
            state_dict: tensors to write instead of the model's (PyTorch), under the names of its `state_dict()` or
                Hugging Face's: gathered from several processes, for example.
            push_to_hub: whether to upload the files too, with a model card; see `push_to_hub`.
            max_shard_size: the largest size of a file ("2GB"); larger weights are split. None writes one file.
            variant: a part of the names: "fp16" writes model.fp16.safetensors.
            token: for the hub.
            save_peft_format, save_original_format, distributed_checkpoint: must have these values.
            safe_serialization: False writes pytorch_model.bin by `torch.save` (PyTorch).
            save_function: writes pytorch_model.bin in place of `torch.save`: called with the tensors by name, and a
                path.
            repo_id, private, commit_message, commit_description, revision, create_pr, tags: of `push_to_hub`; the
                repository has the folder's name by default.

        Raises:
            ValueError: the model has adapters that are not merged, tensors that another library quantized, or layers
                that were replaced by others; the message names them.
            NotADirectoryError: `save_directory` is a file.
        """
        if not isinstance(is_main_process, bool):
            raise TypeError(
                f"is_main_process must be True or False; got {is_main_process!r}. Pass max_shard_size by its name."
            )
        if not (save_peft_format and save_original_format) or distributed_checkpoint:
            raise ValueError(
                "save_peft_format and save_original_format must be True and distributed_checkpoint False: weights are "
                "written with Hugging Face's names, and adapters by peft."
            )
        if not is_main_process:
            return
        self.check_config_is_current()
        folder, where = Path(save_directory), None
        if push_to_hub:
            name = repo_id or folder.resolve().name
            where = Upload(name, token, private, commit_message, commit_description, revision, create_pr)
        kind = SAFETENSORS if safe_serialization else self._pickle_kind(save_function)
        self._write(folder, self._saved(state_dict), kind, max_shard_size, variant, where, tags)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str | None = None,
        tags: Sequence[str] | None = None,
        variant: str | None = None,
        safe_serialization: bool = True,
    ) -> str:
        """Upload config.json, the weights and a model card; the repository is made if it is missing.

        A model card that is there stays as it is.

        Args:
            repo_id: "owner/name", or a name in the user's own namespace.
            commit_message, commit_description: of the commit.
            private: whether a new repository is private; the hub's default by default.
            token: an access token; the saved one or HF_TOKEN by default.
            revision: the branch, which is made if it is missing; the main branch by default.
            create_pr: whether to open a pull request instead.
            max_shard_size, variant, safe_serialization: see `save_pretrained`.
            tags: of the model card.

        Returns:
            The address of the commit.

        Raises:
            PermissionError: the hub refuses the token.
            ConnectionError: the hub cannot be reached, or answers with an error.
        """
        self.check_config_is_current()
        kind = SAFETENSORS if safe_serialization else self._pickle_kind(None)
        where = Upload(repo_id, token, private, commit_message, commit_description, revision, create_pr)
        with system_folder("pushing to the hub") as folder:
            return self._write(folder, self._saved(None), kind, max_shard_size, variant, where, tags)

    def _write(
        self,
        folder: Path,
        saved: Saved,
        kind: FileKind,
        max_shard_size: int | str | None,
        variant: str | None,
        where: Upload | None,
        tags: Sequence[str] | None,
    ) -> str:
        """Write a folder, and upload its files with a model card to `where`, if given; returns the commit's address."""
        card = None if where is None else self.model_card(where.repo_id, tags)
        _, names = write_folder(
            folder,
            self.config,
            self.written_architecture(),
            saved.parameters,
            max_shard_size,
            None if card is None else lambda new: _write_card(new, folder, card),
            nested=self.nested,
            own=saved.own,
            kind=kind,
            variant=variant,
        )
        return "" if where is None else upload(folder, names, variant, where)

    def add_model_tags(self, tags: Sequence[str] | str) -> None:
        """Add tags to the model card that `push_to_hub` writes."""
        new = [tags] if isinstance(tags, str) else list(tags)
        self.model_tags = list(dict.fromkeys([*(self.model_tags or []), *new]))

    def model_card(self, repo_id: str, tags: Sequence[str] | None = None) -> str:
        """The text of a model card: what the model is, its sizes, how to load it."""
        every = list(dict.fromkeys([*(self.model_tags or []), *(tags or [])]))
        return model_card(self.config, self.architecture(), self.written_architecture(), repo_id, every)

    # What each backend does

    def _saved(self, state_dict: Mapping[str, Any] | None) -> Saved:
        """What this model writes."""
        raise NotImplementedError

    def _pickle_kind(self, save_function: Callable[..., Any] | None) -> FileKind:
        """Pickles as weight files."""
        raise NotImplementedError


def _write_card(new: Path, folder: Path, card: str) -> None:
    """Write a model card next to new weights, unless the folder has one."""
    if not (folder / README_NAME).exists():
        write_text(new / README_NAME, card)
