"""Files of a repository on the model hub, downloaded into the cache, and errors that say what to do.

`huggingface_hub` finds, downloads and caches the files, with its tokens, progress bars and environment variables
(HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE). It is imported when a source that is no local path first needs it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeGuard, Unpack

from lxmert.utils.hub_errors import first_line, library_errors
from lxmert.utils.messages import first_few
from lxmert.utils.paths import check_path

logger = logging.getLogger(__name__)

# A name, or an owner and a name, as the hub allows them. Each starts and ends with a letter, a digit or an underscore.
_PART = r"\w(?:[\w.-]{0,94}\w)?"
_HUB_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
# A source with one of these endings is a missing file rather than a repository.
_FILE_ENDINGS = (".safetensors", ".h5", ".keras", ".bin", ".pth", ".pt", ".th", ".pkl", ".json", ".txt", ".git")


class HubOptions(TypedDict, total=False):
    """Options of `huggingface_hub`.

    `revision` is a branch, a tag, a commit or refs/pr/NUMBER, by default the main branch. `cache_dir` is the folder of
    the cache, by default the library's. `token` is an access token, True for the saved one, False for none; by default
    HF_TOKEN or the saved one, if there is one. `local_files_only` uses only the cache. `force_download` downloads files
    that are in the cache.
    """

    revision: str | None
    cache_dir: str | Path | None
    token: str | bool | None
    local_files_only: bool
    force_download: bool


def looks_like_hub_id(source: object) -> TypeGuard[str]:
    """Whether a source that is no local path can be a repository: a string such as "name" or "owner/name".

    A `Path` is a local path, and so is a name that ends like a weight file, such as "model.safetensors".
    """
    return (
        isinstance(source, str)
        and _HUB_ID.fullmatch(source) is not None
        and ".." not in source
        and "--" not in source  # the cache writes it instead of the slash
        and not source.lower().endswith(_FILE_ENDINGS)
    )


def folder_with(
    source: str | Path, one_of: Sequence[str], also: Collection[str] = (), **options: Unpack[HubOptions]
) -> Path:
    """Download small files of a repository.

    Args:
        source: the repository, "owner/name"; anything else is taken for a local path that does not exist.
        one_of: names of files, best first; the first that exists is downloaded.
        also: names of files that are downloaded if they exist.
        options: see `HubOptions`.

    Returns:
        The folder in the cache. Other programs may have put more files of the repository there.

    Raises:
        FileNotFoundError: the repository, the revision or the files do not exist; or they are not in the cache, and the
            hub may not be accessed.
        PermissionError: the repository is gated, or the hub refuses the token.
        ConnectionError: the hub cannot be reached, or answers with an error.
        OSError: a download failed.
        ValueError: invalid options.
    """
    repository = Repository(source, **options)
    files = repository.look_up()
    best = next((name for name in one_of if name in files.names), None)
    if best is None:
        raise repository.missing(" or ".join(one_of), files)
    return repository.fetch([best, *(name for name in also if name in files.names)], files)


@dataclass(frozen=True)
class RepositoryFiles:
    """The files of one commit, on the hub or, where `folder` is given, in the cache only.

    `cause` is the error for which the cache is used instead of the hub; None if the hub must not be accessed.
    """

    names: tuple[str, ...]
    commit: str
    folder: Path | None = None
    cause: Exception | None = None

    def inside(self, place: str) -> list[str]:
        """The names of the files in a subfolder, which ends in a slash; at the top with an empty one."""
        names = [name.removeprefix(place) for name in self.names if name.startswith(place)]
        return [name for name in names if "/" not in name and "\\" not in name]


@dataclass(frozen=True)
class Repository:
    """A repository on the hub. The methods `missing` and `failure` make errors.

    The fields are checked: `source` must look like a repository, the options are those of `HubOptions`.
    """

    source: str | Path
    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    force_download: bool = False

    def __post_init__(self) -> None:
        if not looks_like_hub_id(self.source):
            raise FileNotFoundError(
                f"there is no file or folder {str(self.source)!r}; and a model on the hub is named 'owner/name', as a "
                "string."
            )
        if self.revision is not None and (not isinstance(self.revision, str) or not self.revision):
            raise ValueError(f"revision must be a branch, a tag, a commit or refs/pr/NUMBER; got {self.revision!r}.")
        if self.token is not None and (not isinstance(self.token, (str, bool)) or self.token == ""):
            raise ValueError("token must be an access token, True for the saved one, or False for none.")  # never shown
        if self.cache_dir is not None:
            check_path("cache_dir", self.cache_dir)

    def look_up(self) -> RepositoryFiles:
        """List the files of the revision, on the hub; in the cache if the hub cannot be accessed."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import LocalTokenNotFoundError, RevisionNotFoundError

        if self.local_files_only:
            return self._list_cache(None)
        try:
            info = HfApi().model_info(
                str(self.source), revision=self.revision, timeout=constants.HF_HUB_ETAG_TIMEOUT, token=self.token
            )
            names = tuple(sorted(file.rfilename for file in info.siblings or ()))
            return RepositoryFiles(names, str(info.sha))
        except LocalTokenNotFoundError as error:
            message = "token=True uses the saved token, and none is saved; log in with `hf auth login`, or pass it."
            raise ValueError(message) from error
        except RevisionNotFoundError as error:
            raise self.failure(error) from error
        except library_errors() as error:
            return self._list_cache(error)

    def _list_cache(self, cause: Exception | None) -> RepositoryFiles:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

        try:
            # Without files to fetch, it only returns the folder of the revision in the cache.
            found = snapshot_download(
                str(self.source),
                revision=self.revision,
                cache_dir=self.cache_dir,
                local_files_only=True,
                allow_patterns=[],
            )
        except LocalEntryNotFoundError:
            raise self.failure(cause) from cause
        folder = Path(found)
        names = tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
        if not names:  # a first download that was cut off
            raise self.failure(cause) from cause
        if cause is not None and not isinstance(cause, OfflineModeIsEnabled):
            logger.warning(
                "the model hub did not list %r (%s); the copy in the cache is used.", self.source, first_line(cause)
            )
        return RepositoryFiles(names, folder.name, folder, cause)

    def fetch(self, names: Sequence[str], files: RepositoryFiles, by_commit: bool = False) -> Path:
        """Download the files of one commit that are not in the cache, and return the folder in the cache.

        The first is requested by the revision's name, unless `by_commit`, so that the cache learns which commit that
        is. A file that is requested by its commit costs no request if it is in the cache. (`snapshot_download` would
        ask for the list again, and its errors do not name the file.)
        """
        if files.folder is not None:
            missing = [name for name in names if name not in files.names]
            if missing:
                raise self.failure(files.cause, listed(missing), files.names) from files.cause
            return files.folder
        from huggingface_hub import hf_hub_download

        folder = None
        for name in names:
            revision = files.commit if by_commit or folder is not None else self.revision
            try:
                path = hf_hub_download(
                    str(self.source),
                    name,
                    revision=revision,
                    cache_dir=self.cache_dir,
                    token=self.token,
                    force_download=self.force_download,
                )
            except library_errors() as error:
                raise self._download_failure(name, error) from error
            folder = Path(path).parents[name.count("/")]
            if folder.name != files.commit:
                raise OSError(f"{self.source!r} changed on the hub while it was read; run this again.")
        assert folder is not None
        return folder

    def missing(self, wanted: str, files: RepositoryFiles) -> OSError:
        """The error for files that the repository does not have."""
        from huggingface_hub import constants

        if files.folder is not None:
            return self.failure(files.cause, wanted, files.names)
        return FileNotFoundError(
            f"{self._not_local}{self} on the hub {constants.ENDPOINT} has no {wanted}; it holds {listed(files.names)}."
        )

    def failure(self, cause: Exception | None, part: str = "", held: Collection[str] = ()) -> OSError:
        """The error for a repository, or files of it, that are neither on the hub nor in the cache.

        Args:
            cause: the library's error; None if the hub must not be accessed.
            part: which files, all by default.
            held: which files the cache has.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        hub, source = constants.ENDPOINT, self.source
        cache = f"the cache {self.cache_dir or constants.HF_HUB_CACHE} has no {f'{part} of ' * bool(part)}{self}"
        cache += f" (but {listed(held)})" if held else ""
        unknown = "" if part else "no hub model can be looked up: "
        kind: type[OSError] = FileNotFoundError
        if cause is None or isinstance(cause, OfflineModeIsEnabled):
            why = "local_files_only=True" if cause is None else "HF_HUB_OFFLINE"
            message = f"{unknown}{cache}, and {why} forbids asking the hub; load it once with the network."
        elif isinstance(cause, RevisionNotFoundError):
            message = (
                f"{source!r} on the hub {hub} has no revision {self.revision!r}; pass a branch, a tag, a commit's full "
                "hash or refs/pr/NUMBER."
            )
        elif isinstance(cause, GatedRepoError):
            kind = PermissionError
            message = (
                f"{source!r} is gated: ask for access on its page, {hub}/{source}; then pass token= or set HF_TOKEN."
            )
        elif isinstance(cause, RepositoryNotFoundError):
            message = (
                f"{source!r} is no model on the hub {hub}, or a private one, for which pass token= or set HF_TOKEN."
            )
        elif isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            kind = PermissionError
            message = (
                f"the hub {hub} refuses access to {source!r} ({first_line(cause)}); check the token, given as token= "
                "or in HF_TOKEN."
            )
        else:
            kind = ConnectionError
            why = first_line(cause)
            message = f"{unknown}the hub {hub} cannot be reached, or does not answer as it should ({why}); and {cache}."
        return kind(f"{self._not_local}{message}")

    @property
    def _not_local(self) -> str:
        """How an error begins: a repository is looked up only where there is no file of its name."""
        return f"there is no file or folder {str(self.source)!r}, and "

    def _download_failure(self, name: str, error: Exception) -> OSError:
        """The error for a file that was listed and could not be downloaded."""
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

        if isinstance(error, EntryNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # the library says "not in the cache"; this is why it looked there
            return self.failure(error, name)
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            return self.failure(error, name)
        return OSError(f"{name} of {self.source!r} could not be downloaded: {first_line(error)}. Run this again.")

    def __str__(self) -> str:
        return repr(self.source) + (f" at revision {self.revision!r}" if self.revision else "")


def listed(names: Collection[str]) -> str:
    """The first few names, sorted, for a sentence."""
    return first_few(sorted(names)) or "nothing"
