""".keras archives: a zip file that holds a model's description and its HDF5 weights."""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.foreign_files import is_of_the_system
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import CONFIG_NAME
from lxmert.utils.temporary_files import in_system_folder

from .hdf5 import Hdf5File, Member

KERAS_WEIGHTS = "model.weights.h5"  # inside the archive


class KerasArchive:
    """The weights inside of a .keras archive; the config is that of the model.

    Raises:
        ValueError: a damaged archive, or not one that Keras made of a model of this package.
    """

    title = "Keras archive (.keras)"

    def __init__(self, path: Path):
        self.path = path
        with ExitStack() as opened:
            archive = opened.enter_context(path.open("rb"))
            member, self._config = _open_archive(path, archive)
            opened.enter_context(member.file)
            self._weights = Hdf5File(path, member)
            opened.callback(self._weights.close)
            self._opened = opened.pop_all()
        self.shapes, self.dtypes = self._weights.shapes, self._weights.dtypes

    @property
    def config(self) -> dict[str, Any] | None:
        """The configuration of the model."""
        return self._config

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        return self._weights.read(name, mapped)

    def close(self) -> None:
        """Close the archive."""
        self._opened.close()


def _open_archive(path: Path, raw: BinaryIO) -> tuple[Member, dict[str, Any]]:
    """The weight file and the config inside of an archive.

    Raises:
        ValueError: not a complete zip archive, or not one that Keras made of a model of this package.
    """
    try:
        archive = zipfile.ZipFile(raw)
        held = archive.getinfo(CONFIG_NAME)
        for member in (held, archive.getinfo(KERAS_WEIGHTS)):
            # Other compressions allocate memory before they have unpacked anything.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{path}: {member.filename} is compressed in a way that Keras does not use.")
            if member.header_offset < 0:
                raise zipfile.BadZipFile(f"{member.filename} would start before the file")
        if held.file_size > LARGEST_JSON:
            raise ValueError(f"{path}: its {CONFIG_NAME} is larger than {LARGEST_JSON} bytes.")
        description = parse_json(archive.read(held), f"{CONFIG_NAME} in {path}")
        config = _model_config(path, description)
        weights = archive.getinfo(KERAS_WEIGHTS)
        # Python seeks backwards in a zip member by reading it again. Keras stores the weights uncompressed, so that
        # they can be read in place.
        if weights.compress_type == zipfile.ZIP_STORED and not weights.flag_bits & 1:
            start = _data_start(raw, weights)
            window = _Window(raw, start, weights.file_size)
            return Member(window, start), config  # type: ignore[arg-type]  # h5py needs no more of a file
        return Member(_unpacked(path, archive, weights), None), config
    except KeyError:
        raise ValueError(
            f"{path} is a zip archive, but not a .keras file: it lacks {CONFIG_NAME} or {KERAS_WEIGHTS}."
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        OverflowError,
        RuntimeError,  # encrypted, unknown
        UnicodeDecodeError,
    ) as error:
        if is_of_the_system(error):
            raise
        raise ValueError(f"{path} is not a complete zip archive: {error}") from None


def _model_config(path: Path, description: dict[str, Any]) -> dict[str, Any]:
    """The configuration in the description of a model.

    Raises:
        ValueError: it is no model of this package.
    """
    outer = description.get("config")
    config = outer.get("config") if isinstance(outer, dict) else None
    if not isinstance(config, dict) or "model_type" not in config:
        kind = description.get("class_name", "something else")
        raise ValueError(
            f"{path} is no .keras file of this package: it holds a {shown(kind)}, not a TFLxmert or TFVisualBert model."
        )
    return config


def _unpacked(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Unpack a compressed member into a temporary file without a name, in which HDF5 can seek.

    Raises:
        ValueError: it claims to be larger than compression allows.
    """
    if member.file_size > max_unpacked_size(member.compress_size):
        raise ValueError(
            f"{path}: {member.filename} claims {member.file_size} bytes, more than its compressed bytes can hold."
        )
    with ExitStack() as opened, in_system_folder(f"unpacking {path}"):
        file: Any = opened.enter_context(tempfile.TemporaryFile())
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, file)
        file.seek(0)
        opened.pop_all()  # it lives as long as the archive
    return file


def _data_start(raw: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where an uncompressed member starts: after a header of 30 bytes, its name and its extra field."""
    raw.seek(member.header_offset)
    header = raw.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"no header where {member.filename} should start")
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


class _Window(io.RawIOBase):
    """A part of an open file, as a file of its own."""

    def __init__(self, raw: BinaryIO, start: int, size: int):
        self._raw, self._start, self._size, self._at = raw, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        self._raw.seek(self._start + self._at)
        count = self._raw.readinto(view[:count])  # type: ignore[attr-defined]
        self._at += count
        return count
