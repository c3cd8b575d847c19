"""Temporary files: hidden ones next to what they become, and those in the folder of the system."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from .file_locks import HAS_LOCKS, lock
from .paths import check_name_length
from .write_errors import OF_WRITING, naming

Made = TypeVar("Made")

_ENDING = re.compile(r"[0-9a-f]{12}\.tmp")  # of the names of temporary files
_TEMPORARY = re.compile(rf"\.(.+)\.{_ENDING.pattern}", re.DOTALL)
_OF_FOLDERS = {*OF_WRITING, errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_MIN_AGE = 10.0  # seconds; a younger temporary file may have been made just now, and not be locked yet


def hidden_name(path: Path, ending: str) -> str:
    """The hidden name ".NAME.ENDING" of what belongs to a file; a long name is shortened, with a digest of it.

    Raises:
        OSError: the name of the file itself is longer than the file system allows.
    """
    most, name = check_name_length(path), os.fsencode(path.name)
    if len(name) + len(ending) + 2 <= most:
        return f".{path.name}.{ending}"
    ending = f"~{hashlib.sha256(name).hexdigest()[:16]}.{ending}"
    return f".{name[: most - 1 - len(ending)].decode('utf-8', 'ignore')}{ending}"


@contextmanager
def temporary_file(path: str | Path) -> Iterator[Path]:
    """A new locked file next to `path`, removed at the end unless the block has renamed it.

    `path` may be one of these files itself: then the new one belongs to the same target.

    Raises:
        OSError: about `path`, as the temporary name means nothing to the user.
    """
    path = Path(path)
    known = _TEMPORARY.fullmatch(path.name)
    temporary, handle = make_temporary(path.with_name(known[1]) if known else path, _make_file)
    try:
        lock(handle)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def temporary_folder(wanted: Path, inside: bool = False) -> Iterator[Path]:
    """A new locked folder next to `wanted`, or in it, removed at the end unless the block has renamed it.

    What killed processes left is removed first.

    Raises:
        OSError: about `wanted`.
    """
    place = wanted / "folder" if inside else wanted
    remove_abandoned(place)
    temporary, _ = make_temporary(place, os.mkdir, wanted)
    handle = os.open(temporary, os.O_RDONLY) if HAS_LOCKS else None
    try:
        if handle is not None:
            lock(handle)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def make_temporary(path: Path, make: Callable[[Path], Made], wanted: Path | None = None) -> tuple[Path, Made]:
    """Make a temporary file or folder next to `path` under an unused name, as readable as any other.

    (What `tempfile` makes is private, and to find out the default permissions changes them for a moment.)

    Raises:
        OSError: about `wanted`, by default `path`.
    """
    while True:
        temporary = path.with_name(hidden_name(path, f"{secrets.token_hex(6)}.tmp"))
        try:
            with naming(wanted or path, temporary):
                return temporary, make(temporary)
        except FileExistsError:
            continue


def _make_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def check_writable_beside(path: Path) -> None:
    """Make a temporary file next to `path`, and remove it: an OSError about `path` where that is not possible."""
    temporary, handle = make_temporary(path, _make_file)
    temporary.unlink()
    os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` whose writers were killed: nobody holds their lock.

    Only names that this package writes: of a user's own ".NAME.my backup.tmp" nothing is touched.
    """
    if not HAS_LOCKS:
        return
    beginning = hidden_name(path, f"{0:012}.tmp")[: -len(f"{0:012}.tmp")]
    names: list[str] = []
    with suppress(OSError):  # the folder cannot be listed; whether it can be written is found out next
        names = [name for name in os.listdir(path.parent) if name.startswith(beginning)]
    for name in names:
        if not _ENDING.fullmatch(name.removeprefix(beginning)):
            continue
        left = path.parent / name
        with suppress(OSError):  # one of them: another process holds the lock
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # opening a pipe would block
            try:
                if time.time() - os.stat(handle).st_mtime < _MIN_AGE or not lock(handle):
                    continue
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            finally:
                os.close(handle)


def is_temporary_name(name: str) -> bool:
    """Whether this package gives such a name to a temporary file."""
    return _TEMPORARY.fullmatch(name) is not None


# In the system's folder


@contextmanager
def in_system_folder(purpose: str) -> Iterator[None]:
    """Say of errors of the system in a block that its folder for temporary files is missing, full or cannot be written.

    Args:
        purpose: what it is needed for, such as "unpacking a.keras".

    Raises:
        OSError: the folder, what is wrong with it, what it is for, and how to choose another.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_FOLDERS:
            raise
        folder = error.filename if isinstance(error.filename, str) else tempfile.tempdir
        text = (
            f"{error.strerror}; {purpose} needs a folder for temporary files. Make room there, or set TMPDIR to "
            "another folder, which can be written"
        )
        raise type(error)(error.errno, text, folder or os.environ.get("TMPDIR") or "TMPDIR") from None


@contextmanager
def system_folder(purpose: str) -> Iterator[Path]:
    """A new folder in the system's folder for temporary files, removed at the end; see `in_system_folder`."""
    with in_system_folder(purpose):
        made = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with made as folder:
        yield Path(folder)
