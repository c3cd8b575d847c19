"""Sharded weights: several files, and an index of which tensor is in which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lxmert.utils.json_files import read_json
from lxmert.utils.messages import escaped, first_few
from lxmert.utils.paths import check_base_name

from .base import WeightFile, read_folder_config

_MOST_SHARDS = 1000
# Some systems allow a process 256 open files, and its libraries need some of them.
_MOST_OPEN = 16


class ShardedFiles:
    """The files that an index names, as one file; the config is the config.json next to the index.

    Of many files the least recently used are closed, and opened again when something is read from them.

    Raises:
        FileNotFoundError: a file that the index names does not exist.
        ValueError: a damaged index, one that names files elsewhere, or files that do not match it.
    """

    def __init__(self, path: Path, open_one: Callable[[Path], WeightFile]):
        self.path = path
        weight_map = shard_names(read_json(path), path)
        names = sorted(set(weight_map.values()))
        self._shards = {name: _Shard(_inside(path, name), open_one) for name in names}
        self._lock = Lock()
        self._home: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        titles = set()
        try:
            for shard in names:
                with self._opened(shard) as file:
                    self._add(shard, file)
                    titles.add(file.title)
            absent = [name for name, shard in weight_map.items() if self._home.get(name) != shard]
            if absent:
                raise ValueError(
                    f"{path} says that {first_few(absent[:1])} is in {first_few([weight_map[absent[0]]])}, which does "
                    f"not hold it{f', and {len(absent) - 1} more like it' if len(absent) > 1 else ''}."
                )
        except BaseException:
            self.close()
            raise
        self.title = f"{', '.join(sorted(titles))}, in {len(names)} files"

    def _add(self, shard: str, file: WeightFile) -> None:
        for name in file.shapes:
            if name in self._home:
                raise ValueError(f"{self.path}: {first_few([name])} is in {self._home[name]} and in {shard}.")
            self._home[name] = shard
        self.shapes.update(file.shapes)
        self.dtypes.update(file.dtypes)

    @contextmanager
    def _opened(self, name: str) -> Iterator[WeightFile]:
        """An open file, which stays open at least until the block ends."""
        shard = self._shards[name]
        with self._lock:
            file = shard.acquire()
            self._shards[name] = self._shards.pop(name)  # the last one, as the most recently used
        try:
            yield file
        finally:
            with self._lock:
                shard.users -= 1
                still_open = [shard for shard in self._shards.values() if shard.file is not None]
                for shard in still_open[: max(0, len(still_open) - _MOST_OPEN)]:
                    if not shard.users:
                        shard.close()

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the index, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        with self._opened(self._home[name]) as file:
            # A memory map keeps its file open.
            return file.read(name, mapped and len(self._shards) <= _MOST_OPEN)

    def close(self) -> None:
        """Close the files."""
        for shard in self._shards.values():
            shard.close()


class _Shard:
    """A file that can be closed and opened again, as long as it is the same; and how many threads are using it."""

    def __init__(self, path: Path, open_one: Callable[[Path], WeightFile]):
        self._path, self._open_one = path, open_one
        self._state: tuple[int, ...] | None = None
        self.file: WeightFile | None = None
        self.users = 0

    def acquire(self) -> WeightFile:
        """Open the file if it is closed.

        Raises:
            OSError: it has been replaced since it was opened first.
        """
        if self.file is None:
            file, found = self._open_one(self._path), self._path.stat()
            state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            if self._state not in (None, state):
                file.close()
                raise OSError(f"{self._path} was replaced or changed by another process while it was read.")
            self.file, self._state = file, state
        self.users += 1
        return self.file

    def close(self) -> None:
        """Close the file if it is open."""
        if self.file is not None:
            self.file.close()
            self.file = None


def shard_names(index: Mapping[str, Any], path: str | Path) -> dict[str, str]:
    """The file of each tensor by the content of an index; `path` is the index, for messages.

    Raises:
        ValueError: no index, or names other than plain ones, which may lead elsewhere.
    """
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{path} has no weight_map: names of tensors, each with the file that holds it.")
    shards = set()
    for shard in weight_map.values():
        check_base_name(shard, path)
        shards.add(shard)
    if len(shards) > _MOST_SHARDS:
        raise ValueError(f"{path} names {len(shards)} files; at most {_MOST_SHARDS} are read.")
    return weight_map


def _inside(index: Path, name: str) -> Path:
    """The path of a file that an index names, which must be next to it.

    The cache of the model hub has links in `models--…/snapshots/…` to the files in `blobs` of that model, or in
    `blobs/…` of the whole cache; other links out of the folder are refused.
    """
    path = index.parent / name
    if not path.is_file():
        raise FileNotFoundError(f"{index} names {escaped(name)}, which does not exist.")
    folder = index.parent.resolve()
    target = path.resolve().parent
    allowed = target == folder
    if folder.parent.name == "snapshots":
        model = folder.parent.parent
        allowed = allowed or target == model / "blobs" or target.parent == model.parent / "blobs"
    if not allowed:
        raise ValueError(
            f"{index} names {escaped(name)}, a link that leads out of {index.parent}; it was not followed."
        )
    return path
