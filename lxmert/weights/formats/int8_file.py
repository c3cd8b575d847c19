"""A weight file whose matrices are int8 with a scale of each row beside them, read as floating-point numbers.

So every reader gets the numbers that the matrices stand for; one that computes in int8 asks for the integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import first_few

from .base import WeightFile
from .raw_io import is_float

SCALE = "_scale"  # what follows the name of a matrix in the name of its scales: "….query.weight_scale"
INT8 = np.dtype("int8")
_FLOAT32 = np.dtype("float32")


class Int8File:
    """A weight file in which some matrices are int8; they are read as float32, int8 times scale.

    Args:
        stored: the file as it is.
        scales: the names of the int8 matrices [out, in], each with that of its scales, [out] or [out, 1].

    Raises:
        ValueError: scales of another shape or dtype, or some that are not positive.
    """

    def __init__(self, stored: WeightFile, scales: Mapping[str, str]):
        self.stored, self.scales = stored, dict(scales)
        self.path: Path = stored.path
        hidden = set(self.scales.values())
        self.shapes = {name: shape for name, shape in stored.shapes.items() if name not in hidden}
        self.dtypes = {name: _FLOAT32 if name in self.scales else stored.dtypes[name] for name in self.shapes}
        self.title = f"{stored.title}, {len(self.scales)} matrices in int8 with scales"
        self._values = {name: self._scale(name, scale) for name, scale in self.scales.items()}

    def _scale(self, name: str, scale: str) -> np.ndarray:
        """The scales of a matrix [out], which are checked."""
        shape, dtype = self.stored.shapes[scale], self.stored.dtypes[scale]
        rows = self.stored.shapes[name][:1]
        if len(self.stored.shapes[name]) != 2 or shape not in (rows, (*rows, 1)):
            raise InvalidFileError(
                f"{self.path}: {first_few([scale])} is {list(shape)}, and {first_few([name])} is "
                f"{list(self.stored.shapes[name])} in int8; a scale of each row of a matrix is read."
            )
        if not is_float(dtype) or dtype.itemsize > _FLOAT32.itemsize:
            raise InvalidFileError(f"{self.path}: {first_few([scale])} is {dtype}; scales are float32, or smaller.")
        values = self.stored.read(scale).reshape(-1).astype(_FLOAT32)
        if not (np.isfinite(values) & (values > 0)).all():
            raise InvalidFileError(
                f"{self.path}: {first_few([scale])} holds numbers that are not positive and finite; scales are."
            )
        return values

    @property
    def config(self) -> dict[str, Any] | None:
        """The values of the config.json that belongs to the file, None without one."""
        return self.stored.config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        values = self.stored.read(name, mapped)
        if name not in self.scales:
            return values
        return values * self._values[name][:, None]

    def read_int8(self, name: str, mapped: bool = False) -> tuple[np.ndarray, np.ndarray]:  # -> [out, in], [out]
        """Read one of the matrices as integers and scales."""
        return self.stored.read(name, mapped), self._values[name]

    def close(self) -> None:
        """Close the file."""
        self.stored.close()
