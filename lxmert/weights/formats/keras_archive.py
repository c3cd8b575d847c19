""".keras archives: a zip file that holds a model's description and its HDF5 weights."""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.paths import CONFIG_NAME

from .hdf5 import Hdf5File

KERAS_WEIGHTS = "model.weights.h5"  # inside the archive


class KerasArchive(Hdf5File):
    """The weights inside a .keras archive; its config is that of the model.

    Raises:
        ValueError: a damaged archive, or not one that Keras made of a model of this package.
    """

    def __init__(self, path: Path):
        self._archive = path.open("rb")
        self._weights: Any = None
        try:
            self._weights, start, config = _open_archive(path, self._archive)
            super().__init__(path, (self._weights, start), config)
            self.title = "Keras archive (.keras)"
        except BaseException:
            self._close_archive()
            raise

    def close(self) -> None:
        """Let the file go."""
        super().close()
        self._close_archive()

    def _close_archive(self) -> None:
        if self._weights is not None:
            self._weights.close()
        self._archive.close()


def _open_archive(path: Path, raw: BinaryIO) -> tuple[Any, int | None, dict[str, Any]]:
    """The weight file inside, where it begins (None if it is compressed), and the config inside.

    Raises:
        ValueError: no whole zip archive, or not one that Keras made of a model of this package.
    """
    opened: Any
    start: int | None = None
    try:
        archive = zipfile.ZipFile(raw)
        held = archive.getinfo(CONFIG_NAME)
        for member in (held, archive.getinfo(KERAS_WEIGHTS)):
            # The other ways to pack want memory before they have unpacked anything.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{path}: {member.filename} is packed in a way that Keras does not use.")
            if member.header_offset < 0:
                raise zipfile.BadZipFile(f"{member.filename} is to begin before the file")
        if held.file_size > LARGEST_JSON:
            raise ValueError(f"{path}: its {CONFIG_NAME} is larger than {LARGEST_JSON} bytes.")
        description = parse_json(archive.read(held), f"{CONFIG_NAME} in {path}")
        config = _model_config(path, description)
        weights = archive.getinfo(KERAS_WEIGHTS)
        # Within a zip archive Python goes back by reading from the start again. Keras stores the weights as they are,
        # so they can be read in place.
        if weights.compress_type == zipfile.ZIP_STORED and not weights.flag_bits & 1:
            start = _data_start(raw, weights)
            opened = _Window(raw, start, weights.file_size)
        else:
            opened = _unpacked(path, archive, weights)
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
        raise ValueError(f"{path} is not a whole zip archive: {error}") from None
    return opened, start, config


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
            f"{path} is no .keras file of this package: it holds a {kind!r}, not a TFLxmert or TFVisualBert model."
        )
    return config


def _unpacked(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """A compressed member in a temporary file without a name: HDF5 goes back and forth, which a stream does not allow.

    Raises:
        ValueError: it claims to be larger than compression allows.
    """
    if member.file_size > max_unpacked_size(member.compress_size):
        raise ValueError(f"{path}: {member.filename} claims {member.file_size} bytes, more than can be packed in it.")
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the archive
    try:
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _data_start(raw: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member begin: behind a header of 30 bytes, its name and its extra field."""
    raw.seek(member.header_offset)
    header = raw.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"no header where {member.filename} was to begin")
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
