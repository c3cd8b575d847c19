""".keras archives: a zip file that holds a model's description and its HDF5 weights."""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import CONFIG_NAME
from lxmert.utils.temporary_files import in_system_folder

from .hdf5 import Hdf5File

KERAS_WEIGHTS = "model.weights.h5"  # inside the archive
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8  # flags of a member
_IN_EXTRA_FIELD = 0xFFFFFFFF  # the size, where it is larger than four bytes tell


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
        ValueError: not a complete zip archive, or not one that Keras made of a model of this package.
    """
    with ExitStack() as opened:
        raw = opened.enter_context(path.open("rb"))
        with reading(path, "is not a complete zip archive"):
            archive = zipfile.ZipFile(raw)
            held, weights = (_member(path, archive, name) for name in (CONFIG_NAME, KERAS_WEIGHTS))
            start, most = _data_start(path, raw, weights), min(LARGEST_JSON, max(2**20, 100 * held.compress_size))
            if held.file_size > most:
                raise InvalidFileError(f"{path}: its {CONFIG_NAME} is larger than {most} bytes.")
            _data_start(path, raw, held)
            description = archive.read(held)
        config = _model_config(path, parse_json(description, f"{CONFIG_NAME} in {path}"))
        with reading(path, "is not a complete zip archive"):
            if weights.compress_type == zipfile.ZIP_STORED:  # as Keras writes it: read in place
                opened.pop_all()
                return FileBytes(path, start, weights.file_size, raw), config
            return _unpacked(path, archive, weights), config


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(name)
    except KeyError:
        raise InvalidFileError(
            f"{path} is a zip archive, but not a .keras file: it lacks {CONFIG_NAME} or {KERAS_WEIGHTS}."
        ) from None


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


def _unpacked(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> FileBytes:
    """Unpack a compressed member into a temporary file without a name, in which HDF5 can seek.

    Raises:
        ValueError: it claims to be larger than compression allows.
    """
    if member.file_size > max_unpacked_size(member.compress_size):
        raise InvalidFileError(
            f"{path}: {member.filename} claims {member.file_size} bytes, more than its compressed bytes can hold."
        )
    with ExitStack() as opened, in_system_folder(f"unpacking {path}"):
        file: Any = opened.enter_context(tempfile.TemporaryFile(buffering=0))
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, file, 2**20)
        opened.pop_all()  # it lives as long as the archive
    return FileBytes(path, 0, member.file_size, file, stored=member.compress_size)


def _data_start(path: Path, raw: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where the content of a member starts: after a header of 30 bytes, its name and its extra field.

    Raises:
        ValueError: that header does not say what the directory of the archive says, which other readers may believe.
    """
    name = member.filename.encode()
    raw.seek(member.header_offset)  # a negative one is damage
    header = raw.read(30 + len(name))
    if len(header) < 30 + len(name):
        raise InvalidFileError(f"{path} is not a complete zip archive: {member.filename} starts behind its end.")
    mark, _, flags, packing, _, _, crc, packed, unpacked, name_size, extra_size = struct.unpack(
        "<4s5H3I2H", header[:30]
    )
    claims = [(flags, member.flag_bits), (packing, member.compress_type), (name_size, len(name)), (header[30:], name)]
    if not flags & _SIZES_FOLLOW and unpacked != _IN_EXTRA_FIELD:
        claims += [(crc, member.CRC), (packed, member.compress_size), (unpacked, member.file_size)]
    if mark != b"PK\x03\x04" or any(here != there for here, there in claims):
        raise InvalidFileError(
            f"{path} is not a complete zip archive: its directory and the header of {member.filename} do not agree."
        )
    if flags & _ENCRYPTED:
        raise InvalidFileError(f"{path} is not a complete zip archive: {member.filename} is encrypted.")
    # Other compressions allocate memory before they have unpacked anything.
    if packing not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidFileError(f"{path}: {member.filename} is compressed in a way that Keras does not use.")
    start = member.header_offset + 30 + name_size + extra_size
    if packing == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise InvalidFileError(f"{path} is not a complete zip archive: {member.filename} has two sizes.")
    if start + member.compress_size > raw.seek(0, io.SEEK_END):
        raise InvalidFileError(f"{path} is not a complete zip archive: {member.filename} ends behind its end.")
    return start
