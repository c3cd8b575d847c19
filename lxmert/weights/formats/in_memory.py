"""Named arrays in memory, read as a weight file is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class ArraysInMemory:
    """A state dict as a weight file; it has no configuration. What is read is a copy.

    Args:
        arrays: arrays by name.
    """

    path = Path("state_dict")  # its name in messages
    title = "state dict in memory"

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = arrays
        self.shapes = {name: tuple(values.shape) for name, values in arrays.items()}
        self.dtypes = {name: values.dtype for name, values in arrays.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """None: a state dict has no configuration."""
        return None

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Copy one array."""
        return np.array(self._arrays[name])

    def close(self) -> None:
        """Nothing to close."""
