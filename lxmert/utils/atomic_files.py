"""Files on disk: names that the formats give them, writing that loses nothing, JSON that says which file is broken."""

from __future__ import annotations

import glob
import json
import os
import re
import secrets
import shutil
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

    Raises:
        IsADirectoryError: `path` is a folder; said before the block begins.
        OSError: nothing can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of a file, or move the folder away.")
    _remove_abandoned(path.parent, path.name)
    temporary, handle = _make_temporary(path.parent, path.name, path, _make_file)
    try:
        lock(handle)
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _make_temporary(folder: Path, name: str, wanted: Path, make: Callable[[Path], Any]) -> tuple[Path, Any]:
    """Make a temporary file or folder under a name that nobody has, as readable as any other.

    (What `tempfile` makes is private, and to find out how readable others are changes that for a moment.)

    Raises:
        OSError: about `wanted`: the temporary name says nothing to the user.
    """
    while True:
        path = folder / f".{name}.{secrets.token_hex(6)}{TEMPORARY}"
        try:
            return path, make(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(wanted)) from None


def _make_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


TEMPORARY = ".tmp"  # the ending of temporary files
_COMPLETE = ".lxmert-complete"  # a folder of files that are complete and on their way to where they belong
# What may be on its way: the names that are written. Stale are these and other weights of the same kind.
_WRITTEN = re.compile(
    r"config\.json|model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json|tf_model\.h5"
    r"|vocab\.txt|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json"
    r"|answers\.json|training\.json|optimizer\.safetensors"
)


@contextmanager
def replacing_files(folder: str | Path, stale: Callable[[], Collection[str]] | None = None) -> Iterator[Path]:
    """Give a temporary folder inside `folder`; when the block ends well its files move up, all of them or none.

    The one step that decides is the renaming of the temporary folder. A process that is killed behind it has done its
    work all the same: whoever comes next moves the rest (`settle`). Two that write one folder come one after the other.

    Args:
        folder: where the files are to be.
        stale: tells the names of files that are of no use beside the new ones, and are removed. It is asked at the end,
            when no other writer is at work.

    Raises:
        IsADirectoryError: a folder is in the way of one of the files; none was replaced.
        OSError: nothing can be written there.
        ValueError: files of other names than this package writes.
    """
    folder = Path(folder)
    _remove_abandoned(folder, "folder")
    temporary, _ = _make_temporary(folder, "folder", folder, os.mkdir)
    handle = os.open(temporary, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            lock(handle)
        yield temporary
        with _only_writer(folder):
            _settle(folder)
            (temporary / _STALE).write_text(json.dumps(sorted(stale() if stale else ())), encoding="utf-8")
            if os.path.lexists(folder / _COMPLETE):  # `_settle` leaves only what is none of ours
                raise _foreign(folder, "is no folder")
            _check_complete(temporary, folder)
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
        IsADirectoryError: a folder is in the way of one of the files.
        OSError: `folder` cannot be written.
        ValueError: what lies there was not left by `replacing_files`.
    """
    if not is_settled(folder):
        with _only_writer(folder):
            _settle(folder)


def is_settled(folder: Path) -> bool:
    """Whether no process is moving files in `folder`, or was killed while it did."""
    complete = folder / _COMPLETE
    return complete.is_symlink() or not complete.is_dir()


def _settle(folder: Path) -> None:
    if is_settled(folder):
        return
    complete = folder / _COMPLETE
    for name in _check_complete(complete, folder):
        (folder / name).unlink(missing_ok=True)
    (complete / _STALE).unlink(missing_ok=True)
    for file in sorted(complete.iterdir()):
        os.replace(file, folder / file.name)
    complete.rmdir()


def _check_complete(complete: Path, folder: Path) -> list[str]:
    """Refuse to move and remove anything that this package would not write: the folder may be anybody's.

    Args:
        complete: the folder of complete files.
        folder: where they are to be.

    Returns:
        The names of the files that are stale.
    """
    moved = []
    for file in sorted(complete.iterdir()):
        if file.is_symlink() or not file.is_file():
            raise _foreign(folder, f"holds {file.name!r}, which is no plain file")
        if file.name != _STALE:
            moved.append(file.name)
    stale = read_json(complete / _STALE, list) if (complete / _STALE).exists() else []
    for name in moved:
        if not _WRITTEN.fullmatch(name):
            raise _foreign(folder, f"holds {name!r}")
    for name in stale:
        if not _is_plain(name) or not (_WRITTEN.fullmatch(name) or name.endswith(".safetensors")):
            raise _foreign(folder, f"wants {name!r} removed")
    for name in (*moved, *stale):
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            raise IsADirectoryError(f"{place} is a folder, in the way of the file of that name; move it away.")
    return stale


def _foreign(folder: Path, what: str) -> ValueError:
    return ValueError(
        f"{folder / _COMPLETE} {what}; nothing that this package writes does. It would hold complete files that are on "
        f"their way to {folder}. Look into it, move what you need, and remove it."
    )


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process is moving files in `folder`."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            with suppress(OSError):  # a file system without locks
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
    if not _is_plain(name):
        raise ValueError(f"{place} names a file {name!r}; plain names of files beside it are allowed, without folders.")


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")


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
