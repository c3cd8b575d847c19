"""HDF5 weight files: .weights.h5 of Keras 3, and the older layout in which TensorFlow models of Hugging Face are saved.

HDF5 can point out of the file (external links and storage, virtual datasets), contain circles (links of all kinds), and
claim sizes that it does not store. Keras writes none of that, so a file that has any of it is refused before anything
is read: no path and no size in a file is trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.hdf5.reader import Hdf5Array, Hdf5Reader
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.limited_processes import TooExpensiveError
from lxmert.utils.messages import escaped, shown

from .base import read_folder_config
from .raw_io import BFLOAT16, BLOCK, FLOATS

CONFIG_ATTRIBUTE = "lxmert_config"  # of a file that this package wrote
# What a compiled Keras model saves in addition to its weights.
KERAS_TRAINING_GROUPS = ("optimizer", "_loss_tracker", "_compile_metrics", "loss_tracker", "metrics")
_DEFLATE, _SHUFFLE = 1, 2  # numbers of filters


class Hdf5File:
    """Weights in an HDF5 file; the config is stored in it or next to it.

    In the older layout the root has `layer_names`, and arrays are at /layer/model/…: a name is what follows these two,
    and an array that layers share is stored once for each of them.

    Args:
        path: the file, or the archive that it is in.
        file: a file in an archive, opened, whose config is then somewhere else; it is closed with this.
        trusted: whether to open the file without a process of its own for that; see `Hdf5Reader`.

    Raises:
        ValueError: a damaged or foreign file, or one with links or data outside of itself.
    """

    def __init__(self, path: Path, file: FileBytes | None = None, trusted: bool = False):
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self._config: dict[str, Any] | None = None
        self._places: dict[str, list[Hdf5Array]] = {}
        self._claimed = 0  # bytes, by all arrays together
        try:
            self._reader = Hdf5Reader(FileBytes(path) if file is None else file, trusted)
        except TooExpensiveError as error:
            advice = "If it is your own, pass trusted=True; on the command line: lxmert convert --trusted."
            raise TooExpensiveError(f"{error} {advice}") from None
        try:
            self._check_structure()
            root = self._reader.groups[""]
            self._older = "layer_names" in root or "layer_names0" in root
            self.title = f"HDF5, as {'Hugging Face saves TensorFlow models' if self._older else 'Keras 3 writes it'}"
            for place, array in self._reader.arrays.items():
                self._check_array(array)
                if self._older or place.split("/")[0] not in KERAS_TRAINING_GROUPS:
                    self._add_array(array)
            if file is None:
                self._config = self._stored_config()
        except BaseException:
            self.close()
            raise

    def _check_structure(self) -> None:
        """Refuse what Keras does not write."""
        reader = self._reader
        if reader.preceded:
            raise InvalidFileError(
                f"{self.path} starts with something other than HDF5, unlike Keras' files; nothing was read."
            )
        for name, is_second in reader.links.items():
            problem = "has another name too" if is_second else "is a link"
            raise InvalidFileError(
                f"{self.path}: {escaped(name)} {problem}, which Keras does not write; nothing was read."
            )
        of_arrays = ((array.name, *item) for array in reader.arrays.values() for item in array.unread.items())
        for place, name, text in (*reader.unread, *of_arrays):
            raise InvalidFileError(
                f"{self.path} is a damaged HDF5 file: the attribute {escaped(name)} of /{escaped(place)} is not read: "
                f"{escaped(text)}"
            )

    def _check_array(self, array: Hdf5Array) -> None:
        """Refuse what is not read here, but perhaps by Keras."""
        if array.filters not in ([], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
            raise InvalidFileError(
                f"{self.path}: {escaped(array.name)} is compressed by something other than deflate; it is not read."
            )
        self._reader.check(array)
        self._claimed += array.size
        if self._claimed > max_unpacked_size(self._reader.file.stored):
            raise InvalidFileError(f"{self.path}: its arrays claim to be more than the file can hold, all together.")

    def _add_array(self, array: Hdf5Array) -> None:
        """Note one array by the name of its parameter: its shape, its dtype, and where its values are."""
        name = place = array.name
        if self._older:  # /layer/model/…: the config says which model it is
            name = "/".join(place.split("/")[2:]) or place
        bfloat16 = array.dtype == np.dtype("V2") and array.attributes.get("dtype") == "bfloat16"
        native = BFLOAT16 if bfloat16 else array.dtype.newbyteorder("=")
        if native not in FLOATS.values() and native.kind not in "biu":  # quantized layers have integers
            raise InvalidFileError(
                f"{self.path} holds {escaped(place)} as {escaped(array.kind)}; these are read: {', '.join(FLOATS)}, "
                "integers."
            )
        if name in self.shapes and (self.shapes[name], self.dtypes[name]) != (array.shape, native):
            raise InvalidFileError(
                f"{self.path} holds {escaped(name)} twice, as {list(self.shapes[name])} and as {list(array.shape)}."
            )
        self.shapes[name], self.dtypes[name] = array.shape, native
        self._places.setdefault(name, []).append(array)

    def _stored_config(self) -> dict[str, Any] | None:
        root = self._reader.groups[""]
        if CONFIG_ATTRIBUTE not in root:
            return None
        place, text = f"{self.path}, its attribute {CONFIG_ATTRIBUTE},", root[CONFIG_ATTRIBUTE]
        if not isinstance(text, str):
            raise InvalidFileError(f"{place} must be text; got {shown(text)}.")
        if len(text) > LARGEST_JSON:
            raise InvalidFileError(f"{place} is larger than {LARGEST_JSON} bytes.")
        return parse_json(text, place)

    def check_for_libraries(self) -> None:
        """Unpack all that is compressed, as the HDF5 library does that without a limit.

        Raises:
            ValueError: a chunk is damaged, or larger than the file says.
        """
        for array in self._reader.arrays.values():
            self._reader.check_chunks(array)

    @property
    def config(self) -> dict[str, Any] | None:
        """The config stored in the file, else the config.json next to it, None without one."""
        return read_folder_config(self.path) if self._config is None else self._config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`.

        Raises:
            ValueError: the file is damaged there, or has the array twice with different values.
        """
        first, *others = self._places[name]
        values = self._values(name, first)
        for array in others:
            if not self._is_same(values, name, array):
                raise InvalidFileError(
                    f"{self.path} holds {escaped(name)} twice, with other values at {escaped(array.name)} than at "
                    f"{escaped(first.name)}."
                )
        return values

    def _is_same(self, values: np.ndarray, name: str, array: Hdf5Array) -> bool:
        """Whether an array has the same bits at another place; compared in blocks, to save memory."""
        if array.place is None or values.ndim < 2:
            return values.tobytes() == self._values(name, array).tobytes()
        rows = max(1, BLOCK // max(1, values[:1].nbytes))
        for first in range(0, len(values), rows):
            block = values[first : first + rows]
            other = self._reader.read(array, (first, first + len(block)))
            if not np.array_equal(block.view(np.uint8), other.view(np.uint8)):
                return False
        return True

    def _values(self, name: str, array: Hdf5Array) -> np.ndarray:
        values = self._reader.read(array)
        return values.view(BFLOAT16) if self.dtypes[name] == BFLOAT16 else values

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
