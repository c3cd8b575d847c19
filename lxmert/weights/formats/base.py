"""The protocol of an open weight file, the same for every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lxmert.utils.json_files import LARGEST_CONFIG, read_json
from lxmert.utils.paths import CONFIG_NAME


class WeightFile(Protocol):
    """Named arrays on disk, read one by one."""

    path: Path
    title: str  # the format, for messages
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype]

    @property
    def config(self) -> dict[str, Any] | None:
        """The values of the config.json that belongs to the file, None without one."""

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array. Threads may read at the same time.

        If `mapped`, it may be a memory map of the file, whose pages are read when used and copied when changed. A file
        that is replaced by renaming stays as it was; one that is truncated under the map ends the process.
        """

    def close(self) -> None:
        """Close the file."""


def read_folder_config(path: Path) -> dict[str, Any] | None:
    """The values of the config.json in the folder of `path`, None without one."""
    file = path.parent / CONFIG_NAME
    return read_json(file, most=LARGEST_CONFIG) if file.is_file() else None
