"""Pickles of NumPy arrays by name (.pkl), as Detectron writes weights; see `lxmert.utils.plain_pickle`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import first_few, shown
from lxmert.utils.plain_pickle import load_plain_pickle

from .base import read_folder_config
from .raw_io import is_float

# Where the weights are among other things.
_WEIGHTS_KEYS = ("model", "state_dict", "blobs")


class ArrayPickle:
    """A pickled dictionary of arrays, alone or under the key "model"; its config is the config.json next to it.

    It is read at once, and by no library: nothing in it is imported or called.

    Raises:
        ValueError: a damaged or foreign file, or one with more than named arrays.
    """

    title = "pickle of arrays"

    def __init__(self, path: Path):
        self.path = path
        content = load_plain_pickle(path)
        if isinstance(content, dict) and not any(isinstance(value, np.ndarray) for value in content.values()):
            content = next((content[key] for key in _WEIGHTS_KEYS if isinstance(content.get(key), dict)), content)
        if not isinstance(content, dict):
            held = type(content).__name__
            raise InvalidFileError(f"{path} holds a {held}; a dictionary was expected: arrays by name.")
        other = [shown(name) for name, value in content.items() if not (isinstance(name, str) and _is_numeric(value))]
        if other or not content:
            what = f": {first_few(other, 3)} {'is' if len(other) == 1 else 'are'} none" if other else "; it is empty"
            raise InvalidFileError(f"{path} must hold arrays of numbers by name{what}.")
        if sum(values.nbytes for values in content.values()) > 2 * path.stat().st_size:
            raise InvalidFileError(f"{path}: its {len(content)} arrays are more than the file holds, all together.")
        self._arrays: dict[str, np.ndarray] = content
        self.shapes = {name: values.shape for name, values in content.items()}
        self.dtypes = {name: values.dtype.newbyteorder("=") for name, values in content.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the file, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Copy one array; see `WeightFile.read`."""
        return np.array(self._arrays[name], self.dtypes[name], order="C")

    def close(self) -> None:
        """Close the file."""
        self._arrays = {}


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and (is_float(value.dtype.newbyteorder("=")) or value.dtype.kind in "biu")
