"""Files on disk: names that the formats give them, writing that loses nothing, JSON that says which file is broken."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks: there two writers of one target are not told apart
    fcntl = None  # type: ignore[assignment]

CONFIG_NAME = "config.json"
SAFETENSORS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
# Far above any config.json, so that a file made to fill the memory is refused before it is read.
LARGEST_JSON = 16 * 2**20


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path`; when the block ends well it takes the place of `path`, else it is removed.

    So a reader sees the old file or the complete new one, whatever happens in between. What a killed process left is
    removed by the next one that writes the same path.
    """
    path = Path(path)
    _remove_abandoned(path.parent, path.name)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    except OSError as error:  # it would name the temporary file, which says nothing to the user
        raise type(error)(error.errno, error.strerror, str(path)) from None
    temporary = Path(name)
    try:
        lock(handle)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; a result is as readable as any other
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


TEMPORARY = ".tmp"  # the ending of temporary files
_COMPLETE = ".lxmert-complete"  # a folder of files that are complete and on their way to where they belong


@contextmanager
def replacing_files(folder: str | Path, stale: Callable[[], Collection[str]] | None = None) -> Iterator[Path]:
    """Give a temporary folder inside `folder`; when the block ends well its files move up, all of them or none.

    The one step that decides is the renaming of the temporary folder. A process that is killed behind it has done its
    work all the same: whoever comes next moves the rest (`settle`). Two that write one folder come one after the other.

    Args:
        folder: where the files are to be.
        stale: tells the names of files that are of no use beside the new ones, and are removed. It is asked at the end,
            when no other writer is at work.
    """
    folder = Path(folder)
    _remove_abandoned(folder, "folder")
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".folder.", suffix=TEMPORARY))
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(folder)) from None
    handle = os.open(temporary, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            lock(handle)
        yield temporary
        mode = 0o666 & ~_umask()
        for file in temporary.iterdir():
            file.chmod(mode)
        with _only_writer(folder):
            _settle(folder)
            (temporary / _STALE).write_text(json.dumps(sorted(stale() if stale else ())), encoding="utf-8")
            os.rename(temporary, folder / _COMPLETE)
            _settle(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


_STALE = "stale.json"


def settle(folder: Path) -> None:
    """Finish what a killed process had decided: move its complete files to where they belong.

    Raises:
        OSError: `folder` cannot be written.
        ValueError: what lies there was not left by `replacing_files`.
    """
    if (folder / _COMPLETE).is_dir():
        with _only_writer(folder):
            _settle(folder)


def is_settled(folder: Path) -> bool:
    """Whether no process is moving files in `folder`, or was killed while it did."""
    return not (folder / _COMPLETE).is_dir()


def _settle(folder: Path) -> None:
    complete = folder / _COMPLETE
    if not complete.is_dir() or complete.is_symlink():
        return
    if (complete / _STALE).is_file():
        stale = read_json(complete / _STALE, list)
        for name in stale:
            check_base_name(name, complete / _STALE)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        (complete / _STALE).unlink()
    for file in sorted(complete.iterdir()):
        os.replace(file, folder / file.name)
    complete.rmdir()


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process is moving files in `folder`."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def lock(handle: int) -> None:
    """Mark a temporary file as one that is being written, so that nobody takes it for one that was left behind."""
    if fcntl:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove temporary files whose writers were killed: nobody holds their lock."""
    if not fcntl:
        return
    for left in folder.glob(f".{glob.escape(name)}.*{TEMPORARY}"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would have us wait
            try:
                if time.time() - os.stat(handle).st_mtime < _YOUNG:  # perhaps made, and about to be locked
                    continue
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            finally:
                os.close(handle)


_YOUNG = 10.0  # seconds


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def making_folder(folder: str | Path) -> Iterator[Path]:
    """Make `folder` and what it lies in; when the block fails, those that were made and stayed empty are removed."""
    folder = Path(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # not empty: someone else has put something there
            for place in made:
                place.rmdir()
        raise


def check_folder(folder: Path, content: str) -> None:
    """Refuse a file where a folder for `content` is to be, before anything is read or written.

    Raises:
        NotADirectoryError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give a folder to write {content} in.")


def check_named(name: str, path: str | Path) -> None:
    """Refuse an empty path, which would stand for the working directory: a shell variable that is not set, say.

    Raises:
        ValueError: naming the argument.
    """
    if str(path) == "":
        raise ValueError(f"{name} must be a path; got an empty text. For the working directory give a dot.")


def check_base_name(name: Any, place: str | Path) -> None:
    """Refuse a file's name that another file gives, unless it is a plain one: no folders, nothing that leads elsewhere.

    Args:
        name: what was given.
        place: where it stands, for the message.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(name, str) or not name or name in (".", "..") or set(name) & set("/\\:\0"):
        raise ValueError(f"{place} names a file {name!r}; plain names of files beside it are allowed, without folders.")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 under a temporary name, then rename it to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parse_json(text: str | bytes, place: str | Path, kind: type | tuple[type, ...] = dict) -> Any:
    """What a JSON text holds.

    Args:
        text: the JSON text, bytes as UTF-8.
        place: where it was found, for the message.
        kind: what it must hold: dict for an object, list for an array, or both.

    Raises:
        ValueError: no JSON, or JSON of another kind.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ValueError(f"{place} is not a JSON file: {error}") from None
    if not isinstance(values, kind):
        wanted = {dict: "object of keys and values", list: "list"}.get(kind, "list or object")  # type: ignore[call-overload]
        raise ValueError(f"{place} must hold a JSON {wanted}; it holds a {type(values).__name__}.")
    return values


def read_json(path: str | Path, kind: type | tuple[type, ...] = dict) -> Any:
    """What a JSON file holds, an object of keys and values unless another kind is wanted.

    Raises:
        OSError: the file cannot be read.
        ValueError: no JSON, JSON of another kind, or far larger than a description of a model.
    """
    if Path(path).stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path} is larger than {LARGEST_JSON} bytes; that is no description of a model.")
    return parse_json(Path(path).read_bytes(), path, kind)


def config_beside(path: Path) -> dict[str, Any] | None:
    """The values of the config.json in the folder of `path`, None without one."""
    file = path.parent / CONFIG_NAME
    return read_json(file) if file.is_file() else None
