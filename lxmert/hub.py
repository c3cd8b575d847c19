"""Models on a model hub: which files of a repository are needed, and sentences for what can go wrong.

Separate, because only a source that is no local path needs it. The library `huggingface_hub` finds, downloads and keeps
the files, with its cache, tokens, progress bars and environment variables (HF_HOME, HF_TOKEN, HF_ENDPOINT,
HF_HUB_OFFLINE); it is imported when it is first needed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeGuard, Unpack

from lxmert.utils.json_files import read_json
from lxmert.utils.messages import first_few
from lxmert.utils.paths import CONFIG_NAME, check_path

logger = logging.getLogger(__name__)

# A name, or an owner and a name, as the hub allows them. Each begins and ends with a letter, a digit or an underscore.
_PART = r"\w(?:[\w.-]{0,94}\w)?"
_HUB_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
# What looks like a file that is not there, rather than like a repository.
_FILE_ENDINGS = (".safetensors", ".h5", ".keras", ".bin", ".pth", ".pt", ".th", ".pkl", ".json", ".txt", ".git")
_SHARD_ENDINGS = (".safetensors", ".bin")
_NOT_LOCAL = "There is no local file or folder of that name either."


class HubOptions(TypedDict, total=False):
    """What is passed on to the library.

    `revision` is a branch, a tag, a commit or refs/pr/NUMBER, by default the main branch. `cache_dir` is the folder of
    the cache, by default the library's. `token` is an access token, True for the saved one, False for none; by default
    the saved one or that of HF_TOKEN, if there is one. `local_files_only` looks into the cache only.
    """

    revision: str | None
    cache_dir: str | Path | None
    token: str | bool | None
    local_files_only: bool


def looks_like_hub_id(source: object) -> TypeGuard[str]:
    """Whether a source that is no local path can be a repository: a text such as "name" or "owner/name".

    A `Path` is a local path, and so is what ends like a file of weights, "model.safetensors" say.
    """
    return (
        isinstance(source, str)
        and _HUB_ID.fullmatch(source) is not None
        and ".." not in source
        and "--" not in source  # the cache writes it for the slash
        and not source.lower().endswith(_FILE_ENDINGS)
    )


def weights_folder(source: str | Path, **options: Unpack[HubOptions]) -> Path:
    """Fetch the best set of weights of a repository, and its config.json if it has one.

    Args:
        source: the repository, "owner/name"; what cannot be one is taken for a local path that does not exist.
        options: see `HubOptions`.

    Returns:
        The folder in the cache. Other programs may have put more files of the repository there.

    Raises:
        FileNotFoundError: no such repository, revision or weights; or offline, and not in the cache.
        PermissionError: the repository is gated, or the hub refuses the token.
        ConnectionError: the hub cannot be reached, or answers with an error.
        OSError: a download failed.
        ValueError: options of wrong values, or a malformed index of weights in parts.
    """
    from lxmert.weights.formats import choose_weights

    repository = _Repository(source, **options)
    files = repository.look_up()
    weights = choose_weights(files.beside_each_other)
    if weights is None:
        raise repository.lacks(
            "model.safetensors, pytorch_model.bin or tf_model.h5, and no single other weight file", files
        )
    folder = repository.fetch([name for name in (CONFIG_NAME,) if name in files.names] + [weights], files)
    if weights.endswith(".index.json"):
        shards = repository.shards(folder / weights)
        missing = [name for name in shards if name not in files.names]
        if missing and files.folder is None:
            raise repository.lacks(f"{_listed(missing)}, which its {weights} names", files)
        repository.fetch(shards, files, by_commit=True)
    return folder


def folder_with(
    source: str | Path, one_of: Sequence[str], also: Collection[str] = (), **options: Unpack[HubOptions]
) -> Path:
    """Fetch small files of a repository.

    Args:
        source: the repository, "owner/name".
        one_of: names of files, best first; the first that is there is fetched.
        also: names of files that are fetched if they are there.
        options: see `HubOptions`.

    Returns:
        The folder in the cache. Other programs may have put more files of the repository there.

    Raises:
        As `weights_folder`; FileNotFoundError if none of `one_of` is there.
    """
    repository = _Repository(source, **options)
    files = repository.look_up()
    best = next((name for name in one_of if name in files.names), None)
    if best is None:
        raise repository.lacks(" or ".join(one_of), files)
    return repository.fetch([best, *(name for name in also if name in files.names)], files)


@dataclass(frozen=True)
class _Files:
    """The files of one commit: on the hub, or in the cache alone, which `folder` then is.

    `cause` says why the cache has to do: the error that the hub gave, None where it was not to be asked.
    """

    names: tuple[str, ...]
    commit: str
    folder: Path | None = None
    cause: Exception | None = None

    @property
    def beside_each_other(self) -> list[str]:
        """The names without those in folders, where a model's files do not lie."""
        return [name for name in self.names if "/" not in name and "\\" not in name]


@dataclass(frozen=True)
class _Repository:
    """A repository as the user named it. The methods whose name is no verb make errors."""

    source: Any
    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False

    def __post_init__(self) -> None:
        if not looks_like_hub_id(self.source):
            raise FileNotFoundError(
                f"there is no file or folder {self.source}; and a model on the hub is named 'owner/name', as a text."
            )
        if self.revision is not None and (not isinstance(self.revision, str) or not self.revision):
            raise ValueError(f"revision must be a branch, a tag, a commit or refs/pr/NUMBER; got {self.revision!r}.")
        if self.token is not None and (not isinstance(self.token, (str, bool)) or self.token == ""):
            raise ValueError("token must be an access token, True for the saved one, or False for none.")  # never shown
        if self.cache_dir is not None:
            check_path("cache_dir", self.cache_dir)

    # Files

    def look_up(self) -> _Files:
        """Ask the hub what the revision holds; if it cannot say, look into the cache."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import LocalTokenNotFoundError, RevisionNotFoundError

        if self.local_files_only:
            return self._look_into_cache(None)
        try:
            info = HfApi().model_info(
                self.source, revision=self.revision, timeout=constants.HF_HUB_ETAG_TIMEOUT, token=self.token
            )
            names = tuple(sorted(file.rfilename for file in info.siblings or ()))
            return _Files(names, str(info.sha))
        except LocalTokenNotFoundError as error:
            raise ValueError(
                "token=True stands for the saved token, and none is saved; log in with `hf auth login`, or pass the "
                "token itself."
            ) from error
        except RevisionNotFoundError as error:
            raise self.failure(error) from error
        except Exception as error:
            # Any other: the network, the hub, the account. The library has no common class for them.
            return self._look_into_cache(error)

    def _look_into_cache(self, cause: Exception | None) -> _Files:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

        try:
            # Asked for no files, it only says where the cache keeps the revision.
            folder = Path(
                snapshot_download(
                    self.source,
                    revision=self.revision,
                    cache_dir=self.cache_dir,
                    local_files_only=True,
                    allow_patterns=[],
                )
            )
        except LocalEntryNotFoundError:
            raise self.failure(cause) from cause
        names = tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
        if not names:  # a first download that was cut off
            raise self.failure(cause) from cause
        if cause is not None and not isinstance(cause, OfflineModeIsEnabled):
            logger.warning(
                "the model hub does not give %r (%s); the copy in the cache is used.", self.source, _first_line(cause)
            )
        return _Files(names, folder.name, folder, cause)

    def fetch(self, names: Sequence[str], files: _Files, by_commit: bool = False) -> Path:
        """Bring files of one commit into the cache, those that are there excepted, and say in which folder.

        The first is asked for by the revision's name, unless `by_commit`, so that the cache learns which commit that
        is; what is asked for by the commit costs no request if it is there.
        """
        if files.folder is not None:
            missing = [name for name in names if name not in files.names]
            if missing:
                raise self.failure(files.cause, _listed(missing), files.names) from files.cause
            return files.folder
        from huggingface_hub import hf_hub_download

        folder = None
        for name in names:
            revision = files.commit if by_commit or folder is not None else self.revision
            try:
                path = hf_hub_download(self.source, name, revision=revision, cache_dir=self.cache_dir, token=self.token)
            except Exception as error:  # from the network, the hub, the disk: the library has no common class
                raise self._download_failure(name, error) from error
            folder = Path(path).parent
            if folder.name != files.commit:
                raise OSError(f"{self.source!r} changed on the hub while it was read; run this again.")
        assert folder is not None
        return folder

    def shards(self, index: Path) -> list[str]:
        """The files that an index of weights names, each once."""
        from lxmert.weights.formats.sharded import shard_names

        place = f"{index.name} of {self.source!r} on the hub"
        try:
            values = read_json(index)
        except ValueError as error:
            raise ValueError(f"{place} cannot be read: {error}") from None
        names = sorted(set(shard_names(values, place).values()))
        for name in names:
            if name.startswith(".") or not name.endswith(_SHARD_ENDINGS):
                raise ValueError(
                    f"{place} names {name!r}; files that end in {' or '.join(_SHARD_ENDINGS)} are fetched."
                )
        return names

    # Errors

    def lacks(self, wanted: str, files: _Files) -> OSError:
        """The error for what is not among the files."""
        if files.folder is not None:
            return self.failure(files.cause, wanted, files.names)
        return FileNotFoundError(
            f"{self._named} on the hub {_hub()} has no {wanted}; it holds {_listed(files.names)}. {_NOT_LOCAL}"
        )

    def failure(self, cause: Exception | None, part: str = "", held: Collection[str] = ()) -> OSError:
        """The error for a repository, or part of it, that the hub does not give and the cache does not hold.

        Args:
            cause: what the library said; None if the hub was not to be asked.
            part: which files, all by default.
            held: which files the cache does hold.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        hub = _hub()
        cache = (
            f"the cache {self.cache_dir or constants.HF_HUB_CACHE} has no {f'{part} of ' if part else ''}{self._named}"
        )
        cache += f" (but {_listed(held)})" if held else ""
        if cause is None or isinstance(cause, OfflineModeIsEnabled):
            why = "local_files_only=True" if cause is None else "HF_HUB_OFFLINE"
            return FileNotFoundError(
                f"{cache}, and {why} forbids asking the hub; load it once with the network. {_NOT_LOCAL}"
            )
        if isinstance(cause, RevisionNotFoundError):
            return FileNotFoundError(
                f"{self.source!r} on the hub {hub} has no revision {self.revision!r}; give a branch, a tag, a commit's "
                f"full hash or refs/pr/NUMBER. {_NOT_LOCAL}"
            )
        if isinstance(cause, GatedRepoError):
            return PermissionError(
                f"{self.source!r} is gated: ask for access on its page, {hub}/{self.source}, and then pass token= or "
                f"set HF_TOKEN. {_NOT_LOCAL}"
            )
        if isinstance(cause, RepositoryNotFoundError):
            return FileNotFoundError(
                f"{self.source!r} is no model on the hub {hub}, or a private one, for which pass token= or set "
                f"HF_TOKEN. {_NOT_LOCAL}"
            )
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            return PermissionError(
                f"the hub {hub} refuses access to {self.source!r} ({_first_line(cause)}); check the token, given as "
                f"token= or in HF_TOKEN. {_NOT_LOCAL}"
            )
        return ConnectionError(
            f"the hub {hub} cannot be reached, or does not answer as it should ({_first_line(cause)}); and {cache}. "
            f"{_NOT_LOCAL}"
        )

    def _download_failure(self, name: str, error: Exception) -> OSError:
        """The error for one file that was listed and could not be downloaded."""
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

        if isinstance(error, EntryNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # the library says "not in the cache"; this is why it looked there
            return self.failure(error, name)
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            return self.failure(error, name)
        return OSError(f"{name} of {self.source!r} could not be downloaded: {_first_line(error)}. Run this again.")

    @property
    def _named(self) -> str:
        return repr(self.source) + (f" at revision {self.revision!r}" if self.revision else "")


def _hub() -> str:
    """The address of the hub."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def _first_line(error: Exception) -> str:
    """What the library says, without its advice to programmers."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _listed(names: Collection[str]) -> str:
    """The first few names, for a sentence."""
    return first_few(sorted(names)) or "nothing"
