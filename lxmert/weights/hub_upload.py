"""Uploads of saved models to the hub, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lxmert.hub import looks_like_hub_id
from lxmert.utils.hub_errors import first_line, library_errors
from lxmert.utils.paths import CONFIG_NAME

from .model_card import README_NAME


class Upload(NamedTuple):
    """Where to upload, and how: arguments of `push_to_hub`."""

    repo_id: str
    token: str | bool | None = None
    private: bool | None = None
    commit_message: str | None = None
    commit_description: str | None = None
    revision: str | None = None
    create_pr: bool = False


def upload(folder: Path, weights: Sequence[str], variant: str | None, where: Upload) -> str:
    """Upload the files of a saved model in one commit, and return its address.

    Args:
        folder: where they are.
        weights: the names of the weight files; their index is added.
        variant: of the weights.
        where: the repository and the commit. A model card in the repository stays as it is.

    Raises:
        ValueError: the repository's name is none.
        PermissionError: the hub refuses the token.
        ConnectionError: the hub cannot be reached, or answers with an error.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    if not looks_like_hub_id(where.repo_id):
        raise ValueError(f"repo_id must be 'owner/name' or a name; got {where.repo_id!r}.")
    api = HfApi(token=where.token)
    try:
        repo_id = api.create_repo(where.repo_id, private=where.private, exist_ok=True).repo_id
        if where.revision is not None and not where.revision.startswith("refs/pr"):
            api.create_branch(repo_id, branch=where.revision, exist_ok=True)
        names = [CONFIG_NAME, *weights]
        names += [path.name for path in folder.glob("*.json") if len(weights) > 1 and _is_index(path.name, variant)]
        if (folder / README_NAME).exists() and not api.file_exists(repo_id, README_NAME, revision=where.revision):
            names.append(README_NAME)
        done = api.create_commit(
            repo_id,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names],
            commit_message=where.commit_message or "Upload model",
            commit_description=where.commit_description,
            revision=where.revision,
            create_pr=where.create_pr,
        )
    except library_errors() as error:
        raise _failure(where.repo_id, error) from error
    return str(done.commit_url)


def _is_index(name: str, variant: str | None) -> bool:
    """Whether this is the index of sharded weights."""
    return name.endswith(f".index.{variant}.json" if variant else ".index.json")


def _failure(repo_id: str, error: Exception) -> OSError:
    """The error for an upload that the hub refused or that did not reach it."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else None
    if isinstance(error, LocalTokenNotFoundError) or status in (401, 403):
        return PermissionError(
            f"the hub {constants.ENDPOINT} does not let you write to {repo_id!r} ({first_line(error)}): log in with "
            "`hf auth login`, or pass a token with the right to write."
        )
    return ConnectionError(f"{repo_id!r} was not uploaded to the hub {constants.ENDPOINT}: {first_line(error)}.")
