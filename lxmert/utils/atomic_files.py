"""Atomic writes: a file or folder is written completely or not at all, even if the process is killed."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .file_locks import HAS_LOCKS, lock
from .json_files import read_json
from .paths import check_folder, is_base_name, real_folder
from .temporary_files import check_writable_beside, remove_abandoned, temporary_file, temporary_folder
from .write_errors import naming

_COMPLETE = ".lxmert-complete"  # a folder of complete files that are about to be moved to where they belong
_STALE = "stale.json"  # in that folder: the files that the new ones make useless
# The names that may be moved. Stale may be these, and weights of the same kind.
_WRITTEN = re.compile(
    r"config\.json|README\.md|tf_model\.h5"
    r"|model(\.[\w-]+)?(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index(\.[\w-]+)?\.json"
    r"|pytorch_model(\.[\w-]+)?(-\d{5,}-of-\d{5,})?\.bin|pytorch_model\.bin\.index(\.[\w-]+)?\.json"
    r"|vocab\.txt|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json"
    r"|answers\.json|(objects|attributes)_vocab\.txt|training\.json|optimizer\.safetensors"
)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`, which replaces `path` if the block succeeds; else it is removed.

    So a reader sees the old file or the complete new one. What a killed process left is removed by the next one that
    writes the same path.

    A link is replaced by the file; what it leads to stays as it is.

    Raises:
        IsADirectoryError: `path` is a folder; raised before the block begins.
        FileExistsError: `path` is a device, a pipe or a socket, or a link to one; the same.
        OSError: the file or its folder cannot be written. The error names `path`, not the temporary file.
    """
    path = Path(path)
    _check_replaceable(path)
    remove_abandoned(path)
    with temporary_file(path) as temporary, naming(path, temporary):
        yield temporary
        os.replace(temporary, path)


def check_writable(path: str | Path) -> None:
    """Refuse a path that `replacing` cannot write to, before the work that makes its content; see there."""
    path = Path(path)
    _check_replaceable(path)
    check_writable_beside(path)


def _check_replaceable(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing is there, or a link that leads nowhere; whether it can be written is found out next
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder; pass the path of a file, or move the folder away.")
    if not stat.S_ISREG(mode):
        raise FileExistsError(
            f"{path} is a device, a pipe or a socket, which a file would take the place of; pass the path of a file."
        )


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 under a temporary name, then rename it to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(folder: str | Path, content: str) -> Iterator[Path]:
    """Yield a hidden folder next to `folder`, which becomes `folder` if the block succeeds; else it is removed.

    What a killed process left is removed by the next one that makes the same folder.

    Args:
        folder: does not exist, or is empty, or is a link to an empty folder; its parents are made.
        content: what it will hold, for messages.

    Raises:
        FileExistsError: `folder` is not empty.
        NotADirectoryError: `folder` is a file.
        OSError: its parent cannot be written.
    """
    check_folder(Path(folder), content)
    folder = real_folder(folder)
    _check_empty(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as temporary, naming(folder, temporary):
        yield temporary
        _check_empty(folder)  # another process may have written it
        if folder.exists():
            folder.rmdir()  # Windows replaces no folder
        os.rename(temporary, folder)


def _check_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; pass another folder, or remove what is in it.")


@contextmanager
def replacing_files(folder: str | Path, stale: Callable[[], Collection[str]] | None = None) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`; if the block succeeds, its files move up, all of them or none.

    The deciding step is the renaming of the temporary folder. If the process is killed after it, the next reader
    or writer moves the rest (`recover_folder`). Two writers of one folder take turns.

    Args:
        folder: where the files belong.
        stale: returns the names of files to remove, because the new ones replace them. It is called at the end, under
            the lock.

    Raises:
        IsADirectoryError: a folder is in the way of one of the files; none was replaced.
        OSError: `folder` cannot be written.
        ValueError: files of other names than this package writes.
    """
    folder = Path(folder)
    with temporary_folder(folder, inside=True) as temporary, naming(folder, temporary):
        yield temporary
        with _only_writer(folder):
            _recover_folder(folder)
            (temporary / _STALE).write_text(json.dumps(sorted(stale() if stale else ())), encoding="utf-8")
            if os.path.lexists(folder / _COMPLETE):  # `_recover_folder` leaves only what this package did not write
                raise _foreign_error(folder, "is no folder")
            _check_complete(temporary, folder)
            os.rename(temporary, folder / _COMPLETE)
            _recover_folder(folder)


def recover_folder(folder: Path) -> None:
    """Finish the replacement that a killed process started: move its complete files into `folder`.

    Raises OSError if it cannot, and ValueError if `replacing_files` did not leave what is there.
    """
    if not is_consistent(folder):
        with _only_writer(folder):
            _recover_folder(folder)


def is_consistent(folder: Path) -> bool:
    """Whether no process is moving files in `folder`, or was killed while it did."""
    complete = folder / _COMPLETE
    return complete.is_symlink() or not complete.is_dir()


def _recover_folder(folder: Path) -> None:
    if is_consistent(folder):
        return
    complete = folder / _COMPLETE
    for name in _check_complete(complete, folder):
        (folder / name).unlink(missing_ok=True)
    (complete / _STALE).unlink(missing_ok=True)
    for file in sorted(complete.iterdir()):
        os.replace(file, folder / file.name)
    complete.rmdir()


def _check_complete(complete: Path, folder: Path) -> list[str]:
    """Refuse to move or remove what this package would not write, as anybody may have made the folder `complete`.

    Returns the names of the files in `folder` that are stale.
    """
    moved = []
    for file in sorted(complete.iterdir()):
        if file.is_symlink() or not file.is_file():
            raise _foreign_error(folder, f"holds {file.name!r}, which is no plain file")
        if file.name != _STALE:
            moved.append(file.name)
    stale = read_json(complete / _STALE, list) if (complete / _STALE).exists() else []
    for name in moved:
        if not _WRITTEN.fullmatch(name):
            raise _foreign_error(folder, f"holds {name!r}")
    for name in stale:
        if not is_base_name(name) or not (_WRITTEN.fullmatch(name) or name.endswith((".safetensors", ".bin"))):
            raise _foreign_error(folder, f"lists {name!r} for removal")
    for name in (*moved, *stale):
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            raise IsADirectoryError(f"{place} is a folder, in the way of the file of that name; move it away.")
    return stale


def _foreign_error(folder: Path, what: str) -> ValueError:
    return ValueError(
        f"{folder / _COMPLETE} {what}; nothing that this package writes does. It would hold complete files that are on "
        f"their way to {folder}. Look into it, move what you need, and remove it."
    )


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, so that no other process moves files in it."""
    handle = os.open(folder, os.O_RDONLY) if HAS_LOCKS else None
    try:
        if handle is not None:
            lock(handle, wait=True)
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def ensure_folder(folder: str | Path) -> Iterator[Path]:
    """Make `folder` and its parents; when the block fails, those that were made and are still empty are removed."""
    folder = Path(folder)
    made = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # not empty: someone else has put something there
            for place in made:
                place.rmdir()
        raise
