"""A store while it is written: a hidden folder next to it that becomes the store when it is complete.

Only one process may write it. With `keep`, a note of the progress is saved with the files, and what was written before
it survives when the process is killed: the next writer continues there.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from os.path import samestat
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.atomic_files import write_text
from lxmert.utils.file_locks import HAS_LOCKS, lock
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import real_folder
from lxmert.utils.positional_io import write_at
from lxmert.utils.temporary_files import hidden_name, is_temporary_name
from lxmert.utils.write_errors import naming

from . import layout
from .writer_state import NAME_LIST, WriterState

_PROGRESS = "progress.json"
_WRITTEN = {*layout.FILES, _PROGRESS, NAME_LIST}


class PartialStore:
    """The hidden folder of a store that is being written.

    Args:
        folder: of the store, an absolute path.
        settings: what a later writer must agree with to continue; "dtype" is that of the features.
        keep: whether to keep unfinished work.
        restart: whether to discard unfinished work of an earlier writer.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], keep: bool, restart: bool):
        self.folder, self.keep = folder, keep
        self.path = partial_folder(folder, keep)
        self._settings, self._restart = dict(settings), restart or not keep
        self._dtype = layout.FEATURE_DTYPES[settings["dtype"]]
        self._handles: dict[str, int] = {}
        self._lock: int | None = None
        self._unfinished = False  # whether the folder is ours and not yet a store

    def open(self) -> tuple[WriterState, list[bytes]]:
        """Lock the folder and open its files; returns the state and the names of an earlier writer.

        Raises:
            BlockingIOError: another process is writing the same store.
            OSError: the folder or its files cannot be written.
            ValueError: unfinished work with other settings, or damaged work; or something else is in its place.
        """
        try:
            with naming(self.folder, self.path):
                if not os.path.lexists(self.path):
                    self.path.mkdir(exist_ok=True)
                self._acquire()
                if is_filled(self.folder):  # since this process looked
                    with suppress(OSError):  # not empty
                        self.path.rmdir()
                    raise BlockingIOError(f"another process has just written {self.folder}; pass another folder.")
            found = self._own_files()
            self._unfinished = True
            for left in found:  # only now, as nothing may be removed without the lock
                if self._restart or is_temporary_name(left.name):  # that is of a process that was killed
                    left.unlink()
            resumed = (self.path / _PROGRESS).is_file()
            state, names = self._read_progress() if resumed else (WriterState(), [])
            for name, size in state.file_sizes(self._dtype).items():
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
                with self._naming(name):
                    handle = self._handles[name] = os.open(self.path / name, flags, 0o666)
                    if resumed and os.fstat(handle).st_size < size:
                        raise self._damaged(f"{name} is shorter than its progress says")
                    os.ftruncate(handle, size)
            with self._naming(layout.OFFSETS):
                write_at(self._handles[layout.OFFSETS], bytes(layout.OFFSET_DTYPE.itemsize), layout.HEADER)
        except BaseException:
            self.close()
            raise
        return state, names

    def append(self, state: WriterState, columns: Sequence[Sequence[np.ndarray]], names: Sequence[bytes]) -> None:
        """Append images to the files that hold `state`; after an error, nothing was appended.

        Args:
            state: what is in the files before.
            columns: the parts of each array, in the order of `WriterState.arrays`.
            names: of the images.
        """
        sizes = state.file_sizes(self._dtype)
        name_list = np.frombuffer(b"".join(name + b"\n" for name in names), np.uint8)
        try:
            for (name, offset), parts in zip(sizes.items(), [*columns, [name_list]], strict=True):
                with self._naming(name):
                    for part in parts:
                        offset += write_at(self._handles[name], part.reshape(-1).view(np.uint8).data, offset)
        except BaseException:
            with suppress(OSError):
                for name, size in sizes.items():
                    os.ftruncate(self._handles[name], size)
            raise

    def save(self, state: WriterState) -> None:
        """Save a state for a later writer; after an OSError, the one saved before is kept."""
        for name, handle in self._handles.items():
            with self._naming(name):
                _sync(handle)
        with self._naming(_PROGRESS):
            write_text(self.path / _PROGRESS, json.dumps({"settings": self._settings, **vars(state)}))

    def finish(self, state: WriterState, about: Mapping[str, Any]) -> None:
        """Write headers, sorted names, and regions.json with `about`; rename the folder to that of the store."""
        for name, described in state.arrays(self._dtype).items():
            with self._naming(name):
                write_at(self._handles[name], layout.npy_header(*described), 0)
        names = np.array((self.path / NAME_LIST).read_bytes().split(b"\n")[:-1])
        order = np.argsort(names, kind="stable")
        for name, values in ((layout.NAMES, names[order]), (layout.NAME_PLACES, order.astype(layout.OFFSET_DTYPE))):
            with self._naming(name), (self.path / name).open("wb") as file:
                file.write(layout.npy_header(values.dtype, values.shape))
                file.write(values.tobytes())
                file.flush()
                _sync(file.fileno())
        self._close_files(sync=True)
        counts = vars(state)
        index = {"format": layout.FORMAT, "version": layout.VERSION, "dtype": self._settings["dtype"]}
        for name in ("images", "regions", "feature_size", "most_regions", "with_objects", "with_attributes"):
            index[name] = counts[name]
        if state.largest_ids is not None:
            index |= dict(zip(layout.LARGEST_IDS, state.largest_ids, strict=True))
        with naming(self.folder, self.path):
            write_text(self.path / layout.INDEX, json.dumps({**index, **about}, indent=1) + "\n")
            if self.folder.exists():
                self.folder.rmdir()  # it is empty; Windows cannot replace a folder
            os.rename(self.path, self.folder)
        self._unfinished = False
        for name in (_PROGRESS, NAME_LIST):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files and release the lock; without `keep`, remove unfinished work first."""
        if self._unfinished and not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)
        self._close_files()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_open(self) -> bool:
        """Whether its files are open."""
        return bool(self._handles)

    def _read_progress(self) -> tuple[WriterState, list[bytes]]:
        saved = parse_json((self.path / _PROGRESS).read_bytes(), self.path / _PROGRESS)
        settings = saved.pop("settings", None)
        if settings != self._settings:
            changed = changed_settings(settings, self._settings) if isinstance(settings, dict) else ""
            raise ValueError(
                f"{self.path} holds unfinished work with other settings: {changed or 'none saved'}. Give "
                "the same ones to continue, or start over (--restart)."
            )
        try:
            values = {"largest_ids": None, **saved}
            state = WriterState(**{name: values[name] for name in WriterState.__dataclass_fields__})
            with (self.path / NAME_LIST).open("rb") as file:
                names = file.read(state.name_bytes).split(b"\n")[:-1]
        except (KeyError, TypeError, OSError) as error:
            raise self._damaged(f"{_PROGRESS} or {NAME_LIST}: {error}") from None
        if not len(set(names)) == len(names) == state.images:
            raise self._damaged(f"{NAME_LIST} does not have {state.images:,} names")
        return state, names

    def _naming(self, name: str) -> AbstractContextManager[None]:
        """Name a file of the store in errors, as it will be called: the hidden folder means nothing to the user."""
        return naming(self.folder / name, self.path / name)

    def _own_files(self) -> list[Path]:
        """The files in the folder, which may be removed or overwritten: only what this package writes.

        Raises:
            ValueError: something else is there: a link, for example, which would be followed.
        """
        found = sorted(self.path.iterdir())
        for path in found:
            known = path.name in _WRITTEN or is_temporary_name(path.name)
            if not known or not stat.S_ISREG(path.lstat().st_mode):
                raise self._foreign(f"holds {path.name!r}")
        return found

    def _foreign(self, what: str) -> ValueError:
        return ValueError(
            f"{self.path} {what}, which this package does not make. It would be unfinished work on {self.folder}. "
            "Look into it, move what you need, and remove it."
        )

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.path}, the unfinished work, is damaged: {what}. Start over (--restart).")

    def _acquire(self) -> None:
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise self._foreign("is a link, or no folder")
        if not HAS_LOCKS:
            return
        with suppress(FileNotFoundError):
            self._lock = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                lock(self._lock)
            except BlockingIOError:
                raise BlockingIOError(f"another process is writing {self.folder}; wait until it is done.") from None
        # The process that held the lock may have renamed the folder. This lock is then on its store, if on any.
        if self._lock is None or not self.path.exists() or not samestat(os.fstat(self._lock), os.lstat(self.path)):
            raise BlockingIOError(f"another process has just written {self.folder}; pass another folder.")

    def _close_files(self, sync: bool = False) -> None:
        while self._handles:
            name, handle = self._handles.popitem()
            try:
                if sync:
                    with self._naming(name):
                        _sync(handle)
            finally:
                os.close(handle)


def partial_folder(folder: str | Path, keep: bool = True) -> Path:
    """The hidden folder of the unfinished work on a store."""
    path = real_folder(folder)
    return path.with_name(hidden_name(path, "partial" if keep else "writing"))


def is_filled(folder: Path) -> bool:
    """Whether there is a folder that is not empty."""
    return folder.exists() and any(folder.iterdir())


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings of a store have other values than before, and both values."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} was {shown(before.get(name))} and is {shown(now.get(name))}" for name in names)


def has_progress(folder: str | Path) -> bool:
    """Whether there is unfinished work that a writer with `keep` would continue."""
    return (partial_folder(folder) / _PROGRESS).is_file()


def saved_note(folder: str | Path) -> Any:
    """What the writer of an unfinished store saved with its last image, None without one."""
    try:
        return parse_json((partial_folder(folder) / _PROGRESS).read_bytes(), partial_folder(folder)).get("note")
    except FileNotFoundError:
        return None


_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
