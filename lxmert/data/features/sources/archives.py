"""ZIP archives of others: what their members claim is checked before anything is unpacked."""

from __future__ import annotations

import weakref
import zipfile
from pathlib import Path
from typing import IO

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import shown

_SIZES = ("compress_size", "file_size")


class Archive:
    """A ZIP archive.

    Attributes:
        path: of it.
        members: its files by name, in their order.

    Raises:
        InvalidFileError: damage, two members of one name, or members that claim the same bytes.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        with reading(path, "is not a ZIP archive, or damaged"):
            self._file = zipfile.ZipFile(path)
            weakref.finalize(self, self._file.close)
            infos = [info for info in self._file.infolist() if not info.is_dir()]
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self.members:
                raise InvalidFileError(f"{path} has two members named {shown(info.filename)}.")
            self.members[info.filename] = info
        held, packed, unpacked = path.stat().st_size, *(sum(getattr(info, of) for info in infos) for of in _SIZES)
        if packed > held or unpacked > max_unpacked_size(held):
            raise InvalidFileError(
                f"{path} is a damaged ZIP archive: its members claim {unpacked:,} bytes, {packed:,} when packed; "
                f"it has {held:,}."
            )

    def open(self, name: str) -> IO[bytes]:
        """Open a member.

        Raises:
            InvalidFileError: it is encrypted, compressed other than by deflate, damaged, or claims to hold more than
                its bytes can.
        """
        info, where = self.members[name], f"{self.path}: {shown(name)}"
        if info.flag_bits & 1:
            raise InvalidFileError(f"{where} is encrypted. Unpack the archive, and pass the folder.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidFileError(f"{where} must be stored or compressed by deflate, as in most ZIP archives.")
        stored = info.compress_type == zipfile.ZIP_STORED
        if info.file_size > (info.compress_size if stored else max_unpacked_size(info.compress_size)):
            raise InvalidFileError(
                f"{where} claims {info.file_size:,} bytes, but has {info.compress_size:,} packed ones."
            )
        with reading(where):
            return self._file.open(info)

    def read(self, name: str, most: int) -> bytes:
        """The content of a member; the errors are those of `open`, and one if it has more than `most` bytes."""
        if self.members[name].file_size > most:
            raise InvalidFileError(f"{self.path}: {shown(name)} is larger than {most:,} bytes.")
        with self.open(name) as file, reading(f"{self.path}: {shown(name)}"):
            return file.read(most)
