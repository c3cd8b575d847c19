""".keras archives: a zip file that holds a model's description and its HDF5 weights."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import CONFIG_NAME
from lxmert.utils.temporary_files import in_system_folder
from lxmert.utils.zip_files import ZipArchive

from .hdf5 import Hdf5File

KERAS_WEIGHTS = "model.weights.h5"  # inside the archive


class KerasArchive:
    """The weights inside of a .keras archive; the config is that of the model.

    Raises:
        ValueError: a damaged archive, or not one that Keras made of a model of this package.
    """

    title = "Keras archive (.keras)"

    def __init__(self, path: Path, trusted: bool = False):
        self.path = path
        file, self._config = _open_archive(path)
        self._weights = Hdf5File(path, file, trusted)
        self.shapes, self.dtypes = self._weights.shapes, self._weights.dtypes

    @property
    def config(self) -> dict[str, Any] | None:
        """The configuration of the model."""
        return self._config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        return self._weights.read(name, mapped)

    def check_for_libraries(self) -> None:
        """See `Hdf5File.check_for_libraries`."""
        self._weights.check_for_libraries()

    def close(self) -> None:
        """Close the archive."""
        self._weights.close()


def _open_archive(path: Path) -> tuple[FileBytes, dict[str, Any]]:
    """The weight file and the config inside of an archive.

    Raises:
        ValueError: not a complete ZIP archive, or not one that Keras made of a model of this package.
    """
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb", buffering=0))
        archive = ZipArchive(path, file)
        if not {CONFIG_NAME, KERAS_WEIGHTS} <= archive.members.keys():
            raise InvalidFileError(
                f"{path} is a ZIP archive, but not a .keras file: it lacks {CONFIG_NAME} or {KERAS_WEIGHTS}."
            )
        most = min(LARGEST_JSON, max(2**20, 100 * archive.members[CONFIG_NAME].compress_size))
        config = _model_config(path, parse_json(archive.read(CONFIG_NAME, most), f"{CONFIG_NAME} in {path}"))
        weights = archive.members[KERAS_WEIGHTS]
        if weights.compress_type == zipfile.ZIP_STORED:  # as Keras writes it: read in place
            start = archive.start(KERAS_WEIGHTS)
            opened.pop_all()
            return FileBytes(path, start, weights.file_size, file), config
        return _unpacked(archive), config


def _model_config(path: Path, description: dict[str, Any]) -> dict[str, Any]:
    """The configuration in the description of a model.

    Raises:
        ValueError: it is no model of this package.
    """
    outer = description.get("config")
    config = outer.get("config") if isinstance(outer, dict) else None
    if not isinstance(config, dict) or "model_type" not in config:
        kind = description.get("class_name", "something else")
        raise InvalidFileError(
            f"{path} is no .keras file of this package: it holds a {shown(kind)}, not a TFLxmert or TFVisualBert model."
        )
    return config


def _unpacked(archive: ZipArchive) -> FileBytes:
    """Unpack the weights into a temporary file without a name, in which HDF5 can seek."""
    member = archive.members[KERAS_WEIGHTS]
    with ExitStack() as opened, in_system_folder(f"unpacking {archive.path}"):
        file: Any = opened.enter_context(tempfile.TemporaryFile(buffering=0))
        with archive.open(KERAS_WEIGHTS) as packed, reading(archive.path):
            shutil.copyfileobj(packed, file, 2**20)
        opened.pop_all()  # it lives as long as the archive
    return FileBytes(archive.path, 0, member.file_size, file, stored=member.compress_size)
