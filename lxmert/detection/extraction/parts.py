"""A list of photographs that several processes divide: which part is whose, and where it lies until it is merged."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.data.features.layout import INDEX
from lxmert.data.features.partial_store import changed_settings
from lxmert.utils.json_files import read_json
from lxmert.utils.paths import real_folder
from lxmert.utils.temporary_files import hidden_name

_POLL = 0.2  # seconds
# The folder of a part, one that is unfinished, and one that a killed process left.
_PART = re.compile(r"\d+-\d+|\.\d+-\d+\.(partial|writing|[0-9a-f]{12}\.tmp)")


class Process(NamedTuple):
    """One of the processes that work on the same list."""

    rank: int
    world: int


def this_process() -> Process:
    """The place of this process, by the variables that torchrun sets: RANK and WORLD_SIZE; the only one without them.

    Raises:
        ValueError: they are no numbers, or the rank is not below the number of processes.
    """
    given = {name: os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))}
    try:
        rank, world = (int(value) for value in given.values())
    except ValueError:
        rank, world = -1, 0
    if not 0 <= rank < world:
        raise ValueError(
            "the environment variables RANK and WORLD_SIZE must be the number of this process, from 0, and the number "
            f"of processes; got {' and '.join(f'{name}={value}' for name, value in given.items())}."
        )
    return Process(rank, world)


class Part(NamedTuple):
    """A part of the list: the photographs from `start` to `stop`, and the folder of its store."""

    start: int
    stop: int
    folder: Path


def divide(count: int, batch_size: int, world: int, store: Path) -> list[Part]:
    """The part of each process. Parts begin where batches do, so that all batches are those of a single process."""
    batches = -(-count // batch_size)
    limits = [min(count, -(-rank * batches // world) * batch_size) for rank in range(world + 1)]
    return [Part(start, stop, parts_folder(store) / f"{start}-{stop}") for start, stop in pairwise(limits)]


def parts_folder(store: Path) -> Path:
    """The hidden folder next to a store, with the stores of parts."""
    path = real_folder(store)
    return path.with_name(hidden_name(path, "parts"))


def check_parts_folder(store: Path) -> None:
    """Refuse a link where the folder of parts is expected: it would be written into, and emptied.

    Raises:
        NotADirectoryError: naming it.
    """
    folder = parts_folder(store)
    if folder.is_symlink():
        raise NotADirectoryError(
            f"{folder} is a link, which this package does not make. It would be the parts of {store}. Look into it, "
            "and remove it."
        )


def remove_parts(store: Path) -> None:
    """Remove the parts of a store, and their folder if nothing else is in it."""
    folder = parts_folder(store)
    if folder.is_symlink() or not folder.is_dir():
        return
    for place in folder.iterdir():
        if _PART.fullmatch(place.name):
            shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):  # not empty
        folder.rmdir()


def read_index(folder: Path) -> dict[str, Any] | None:
    """regions.json of a store that is complete, None without one."""
    try:
        return read_json(folder / INDEX)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_as_wanted(index: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a store was made of the wanted photographs with the wanted settings."""
    return all(index.get(name) == value for name, value in wanted.items())


def settings_of(index: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an extraction by what messages call them: "dtype", "detector profile"."""
    detector = index.get("detector")
    named = {f"detector {name}": value for name, value in detector.items()} if isinstance(detector, Mapping) else {}
    return {**named, **({"dtype": index["dtype"]} if "dtype" in index else {})}


def differences(index: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What a store was made of and with, where it is not as wanted; "" where it is."""
    if is_as_wanted(index, wanted):
        return ""
    if "detector" not in index:
        return " already"  # which no extraction made
    faults = ["of other photographs"] if index.get("photographs") != wanted["photographs"] else []
    changed = changed_settings(settings_of(index), settings_of(wanted))
    return f" {' and '.join(faults + ([f'with other settings ({changed})'] if changed else []))}"


def wait_for(part: Part, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until another process has completed a part; returns its regions.json.

    Raises:
        ValueError: the store of this part was made of other photographs or with other settings.
    """
    while (index := read_index(part.folder)) is None:
        time.sleep(_POLL)
    if not is_as_wanted(index, wanted):
        raise ValueError(
            f"{part.folder} was extracted from other photographs or with other settings. Remove {part.folder.parent} "
            "to start over, or give the same ones as before."
        )
    return index
