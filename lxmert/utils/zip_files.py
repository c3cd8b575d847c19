"""ZIP archives of others: what their members claim is checked before anything is unpacked."""

from __future__ import annotations

import weakref
import zipfile
from pathlib import Path
from typing import IO, BinaryIO

from .compression import max_unpacked_size
from .file_bytes import FileBytes
from .foreign_files import InvalidFileError, reading
from .messages import shown

ZIP_START = b"PK\x03\x04"
_HEADER = 30  # bytes, before the name of a member
_SIZES = ("compress_size", "file_size")


class ZipArchive:
    """A ZIP archive that every reader understands alike.

    Args:
        path: of it.
        file: the archive, opened and then closed by the caller; by default it is opened, and closed with this.

    Attributes:
        members: its files by name, in their order.

    Raises:
        InvalidFileError: damage, two directories, two members of one name, or members that claim more than it can hold.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, file: BinaryIO | None = None):
        self.path = path
        if file is None:
            file = path.open("rb")
            weakref.finalize(self, file.close)
        self._bytes = FileBytes(path, file=file)
        with reading(path, "is not a complete ZIP archive"):
            self._zip = zipfile.ZipFile(file)
            self._check_directory()
        infos = [info for info in self._zip.infolist() if not info.filename.endswith("/")]
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self.members:
                raise InvalidFileError(f"{path} has two members named {shown(info.filename)}.")
            self.members[info.filename] = info
        held, packed, unpacked = self._bytes.size, *(sum(getattr(info, of) for info in infos) for of in _SIZES)
        if packed > held or unpacked > max_unpacked_size(held):
            raise InvalidFileError(
                f"{path} is a damaged ZIP archive: its members claim {unpacked:,} bytes, {packed:,} when packed; "
                f"it has {held:,}."
            )

    def _check_directory(self) -> None:
        """Refuse an archive in which other readers find another directory.

        zipfile searches for the last record, and moves all places by what is before the archive; others do neither.
        """
        comment = self._zip.comment
        last = self._bytes.size - len(comment)
        end = self._bytes.bytes(max(0, last - 98), min(98, last))  # the last records, with those of large archives
        places = [int.from_bytes(end[-6:-2], "little")]
        if end[-42:-38] == b"PK\6\7":
            places.append(int.from_bytes(end[-50:-42], "little"))
        found = {self._zip.start_dir, 2**32 - 1}.issuperset(places)
        if end[-22:-18] != b"PK\5\6" or b"PK\5\6" in comment or not found:
            raise InvalidFileError(f"{self.path} has two directories, or something before or behind the archive.")

    def open(self, name: str) -> IO[bytes]:
        """Open a member.

        Raises:
            InvalidFileError: it is encrypted, compressed other than by deflate, or not where the directory says.
        """
        info, where = self.members[name], f"{self.path}: {shown(name)}"
        if info.flag_bits & 1:
            raise InvalidFileError(f"{where} is encrypted, and cannot be read.")
        # Other compressions allocate memory before they have unpacked anything.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidFileError(f"{where} must be stored or compressed by deflate, as in most ZIP archives.")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise InvalidFileError(f"{where} claims {info.file_size:,} bytes, but has {info.compress_size:,}.")
        with reading(where):
            return self._zip.open(info)

    def read(self, name: str, most: int) -> bytes:
        """The content of a member; the errors are those of `open`, and one if it has more than `most` bytes."""
        if self.members[name].file_size > most:
            raise InvalidFileError(f"{self.path}: {shown(name)} is larger than {most:,} bytes.")
        with self.open(name) as file, reading(f"{self.path}: {shown(name)}"):
            return file.read(most)

    def start(self, name: str) -> int:
        """Where the bytes of a member begin in the file; the errors are those of `open`.

        Raises:
            InvalidFileError: it ends behind the members.
        """
        self.open(name).close()
        info = self.members[name]
        sizes = self._bytes.bytes(info.header_offset + _HEADER - 4, 4)  # of the name and of what follows it
        start = info.header_offset + _HEADER + sum(int.from_bytes(sizes[at : at + 2], "little") for at in (0, 2))
        if start + info.compress_size > self._zip.start_dir:
            raise InvalidFileError(f"{self.path}: {shown(name)} ends behind the members of the archive.")
        return start
