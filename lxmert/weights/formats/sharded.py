"""Sharded weights: several files, and an index of which tensor is in which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.json_files import read_json
from lxmert.utils.paths import check_base_name

from .base import WeightFile, read_folder_config

_MOST_SHARDS = 1000


class ShardedFiles:
    """The files that an index names, as one file; the config is the config.json next to the index.

    Raises:
        FileNotFoundError: a file that the index names does not exist.
        ValueError: a damaged index, one that names files elsewhere, or files that do not match it.
    """

    def __init__(self, path: Path, open_one: Callable[[Path], WeightFile]):
        self.path = path
        weight_map = shard_names(read_json(path), path)
        self._files: list[WeightFile] = []
        self._home: dict[str, WeightFile] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        try:
            for shard in sorted(set(weight_map.values())):
                self._add(open_one(_inside(path, shard)))
            absent = [name for name, shard in weight_map.items() if self._home_name(name) != shard]
            if absent:
                raise ValueError(
                    f"{path} says that {absent[0]} is in {weight_map[absent[0]]}, which does not hold it"
                    f"{f', and {len(absent) - 1} more like it' if len(absent) > 1 else ''}."
                )
        except BaseException:
            self.close()
            raise
        kinds = sorted({file.title for file in self._files})
        self.title = f"{', '.join(kinds)}, in {len(self._files)} files"

    def _add(self, file: WeightFile) -> None:
        self._files.append(file)
        for name in file.shapes:
            if name in self._home:
                raise ValueError(f"{self.path}: {name} is in {self._home[name].path.name} and in {file.path.name}.")
            self._home[name] = file
        self.shapes.update(file.shapes)
        self.dtypes.update(file.dtypes)

    def _home_name(self, name: str) -> str | None:
        return self._home[name].path.name if name in self._home else None

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the index, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        return self._home[name].read(name, mapped)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


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
        raise FileNotFoundError(f"{index} names {name}, which does not exist.")
    folder = index.parent.resolve()
    target = path.resolve().parent
    allowed = target == folder
    if folder.parent.name == "snapshots":
        model = folder.parent.parent
        allowed = allowed or target == model / "blobs" or target.parent == model.parent / "blobs"
    if not allowed:
        raise ValueError(f"{index} names {name}, a link that leads out of {index.parent}; it was not followed.")
    return path
