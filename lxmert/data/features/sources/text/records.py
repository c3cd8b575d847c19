"""Records of text with columns that are separated by tabs, as scripts write them: read in order, from any position.

A record is a line. It goes over several lines where a cell in quotes does (CSV), and where the base64 of old Python
has a line break after every 76 characters. A file may be packed by gzip, and may begin with a byte order mark.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.foreign_files import first_bytes, reading

MAX_RECORD_BYTES = 64 * 2**20  # a hundred regions have about one million
_MOST_LINES = 100_000  # of a record; a hundred regions have 15,000 where base64 is broken
_BUFFER = 2**20
_MARK = b"\xef\xbb\xbf"
_SAMPLE = 2048  # bytes at each end of a record that its checksum covers
# The last cell of a line that base64.encodestring broke, and the line after it.
_END = 79  # bytes: a quote, 76 characters of base64, a line break
_BROKEN = re.compile(rb"(^|[\t'\"])[A-Za-z0-9+/]{76}\r?\n$")
_CONTINUED = re.compile(rb"[A-Za-z0-9+/=]{0,76}[\t\r\n\"']")


class Record(NamedTuple):
    """A record.

    Attributes:
        cells: without quotes; they may have line breaks.
        line: the number of its last line, from 1.
        begin, end: its first byte in the unpacked text, and the one after its last.
        complete: whether it ends with a line break.
        checksum: of its first and last bytes and its length, to recognize it again.
        packed_end: how many bytes of the file were read up to here.
    """

    cells: list[bytes]
    line: int
    begin: int
    end: int
    complete: bool
    checksum: int
    packed_end: int

    def position(self) -> dict[str, Any]:
        """Where the next record begins, and how to recognize this one."""
        packed = {"packed": self.packed_end} if self.packed_end != self.end else {}
        return {"offset": self.end, "line": self.line, "begin": self.begin, "ends": self.checksum, **packed}


class RecordFile:
    """A text of records.

    Attributes:
        path, size: the file, and its bytes as it is packed.
        wrapped: whether line breaks are inside of cells without quotes.
    """

    def __init__(self, path: Path):
        self.path, self.size = path, path.stat().st_size
        self.packed = first_bytes(path, 3) == b"\x1f\x8b\x08"
        with self._open() as text:
            first = _Lines(self, text, 0).read().removeprefix(_MARK)
            self.wrapped = bool(_BROKEN.search(first[-_END:]) and _CONTINUED.match(self.readline(text)))

    def first(self) -> Record | None:
        """The first record; None for an empty file."""
        return next(self.records(), None)

    def records(self, position: dict[str, Any] | None = None, columns: int = 0) -> Iterator[Record]:
        """The records from a position on.

        Args:
            position: of the record before; None for the start.
            columns: how many a record has, if it is known: a line break before is inside of a cell.

        Raises:
            ValueError: the file has changed before the position, is damaged as a whole, or has a record that is far
                too long.
        """
        with self._open() as file:
            offset, line = (position["offset"], position["line"]) if position else (0, 0)
            if position:
                self._check_unchanged(file, position)
                with self._reading():
                    file.seek(offset)
            lines = _Lines(self, file, line)
            while text := lines.read():
                begin, complete = offset, text.endswith(b"\n")
                content = text if begin else text.removeprefix(_MARK)
                cells = _split(content)
                if cells is None or self.wrapped:
                    text += lines.rest_of_record(content, cells is None, columns)
                    content = text if begin else text.removeprefix(_MARK)
                    cells, complete = _split(content), text.endswith(b"\n")
                offset = begin + len(text)
                if self.wrapped and not content.strip(b"\r\n"):
                    continue
                packed = file.fileobj.tell() if self.packed else offset
                if self.packed and offset > max_unpacked_size(self.size):
                    raise ValueError(
                        f"{self.path} holds more text than gzip packs of features into its {self.size:,} bytes."
                    )
                cells = content.rstrip(b"\r\n").split(b"\t") if cells is None else cells
                yield Record(cells, lines.number, begin, offset, complete, _checksum(content), packed)

    def consumed(self, position: dict[str, Any] | None) -> int:
        """How many bytes of the file are before a position."""
        return position.get("packed", position["offset"]) if position else 0

    def _open(self) -> Any:
        return gzip.GzipFile(self.path) if self.packed else self.path.open("rb", buffering=_BUFFER)

    def readline(self, file: BinaryIO) -> bytes:
        """The next line of the open file, or its first part if it is too long."""
        try:
            return file.readline(MAX_RECORD_BYTES)
        except Exception as error:  # not around each of millions of lines
            with self._reading():
                raise error

    def _reading(self) -> AbstractContextManager[None]:
        return reading(f"{self.path}, packed by gzip," if self.packed else self.path, "is damaged or truncated")

    def _check_unchanged(self, file: BinaryIO, position: dict[str, Any]) -> None:
        with self._reading():
            file.seek(position["begin"])
            text = file.read(min(position["offset"] - position["begin"], MAX_RECORD_BYTES))
        if _checksum(text if position["begin"] else text.removeprefix(_MARK)) != position.get("ends"):
            raise ValueError(
                f"{self.path} has changed since the import began: line {position['line']}, the last one read, is "
                "different now. Pass the file as it was, or start over (--restart)."
            )


class _Lines:
    """The lines of an open file; one can be put back."""

    def __init__(self, owner: RecordFile, file: BinaryIO, number: int):
        self._owner, self._file, self.number = owner, file, number
        self._next = b""

    def read(self) -> bytes:
        """The next line, b"" at the end."""
        text, self._next = self._next or self._owner.readline(self._file), b""
        self.number += bool(text)
        self._check_length(len(text))
        return text

    def rest_of_record(self, text: bytes, quoted: bool, columns: int) -> bytes:
        """The lines that belong to the record that begins with `text`; `quoted` if a quote is open at its end."""
        lines, size, tabs = [], len(text), text.count(b"\t")
        while following := self.read():
            if not (_continues_quote(following) if quoted else _continues_base64(following, tabs + 1 < columns)):
                self._next, self.number = following, self.number - 1
                break
            lines.append(following)
            size, tabs = size + len(following), tabs + following.count(b"\t")
            self._check_length(size)
            if len(lines) > _MOST_LINES:
                raise ValueError(
                    f"{self._owner.path}, line {self.number}: the row has more than {_MOST_LINES:,} lines; perhaps a "
                    "quote is not closed."
                )
            quoted ^= bool(following.count(b'"') % 2)
            if not quoted and not self._owner.wrapped:
                break
        return b"".join(lines)

    def _check_length(self, size: int) -> None:
        if size >= MAX_RECORD_BYTES:
            raise ValueError(
                f"{self._owner.path}, line {self.number}: it is longer than {MAX_RECORD_BYTES:,} bytes, too long "
                "for an image."
            )


def _checksum(text: bytes) -> int:
    return zlib.crc32(text[-_SAMPLE:], zlib.crc32(text[:_SAMPLE], len(text)))


def _continues_quote(line: bytes) -> bool:
    """Whether an open quote may go on in a line: one that was not meant as a quote ends with its line."""
    tab, quote = line.find(b"\t"), line.find(b'"')
    return tab < 0 or 0 <= quote < tab


def _continues_base64(line: bytes, unfinished: bool) -> bool:
    return line[:1] == b"\t" or b"\t" not in line or unfinished


def _split(text: bytes) -> list[bytes] | None:
    """The cells of a record, without quotes around them; None if a quote is still open."""
    text = text.rstrip(b"\r\n")
    if b'"' not in text or (text[:1] != b'"' and b'\t"' not in text):  # the first is far faster
        return text.split(b"\t")
    cells, place = [], 0
    while True:
        if text[place : place + 1] == b'"':
            end = _closing_quote(text, place + 1)
            if end < 0:
                return None
            cells.append(text[place + 1 : end].replace(b'""', b'"'))
            place = end + 1
        else:
            end = text.find(b"\t", place)
            end = len(text) if end < 0 else end
            cells.append(text[place:end])
            place = end
        if place >= len(text):
            return cells
        place += 1  # the tab


def _closing_quote(text: bytes, place: int) -> int:
    """Where the quote that closes a cell is, before a tab or the end; -1 without one."""
    while (place := text.find(b'"', place)) >= 0:
        after = text[place + 1 : place + 2]
        if after == b'"':
            place += 2
        elif after in (b"\t", b""):
            return place
        else:
            place += 1
    return -1
