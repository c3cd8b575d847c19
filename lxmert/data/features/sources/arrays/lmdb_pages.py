"""The entries of an LMDB file in the order of their keys, read page by page, and every number checked.

The LMDB library follows the numbers in a file without checks, so a damaged file can end the process. The file is of
LMDB's format 1, as 64-bit little-endian machines write it: pages of one size, each with a header of 16 bytes. Pages 0
and 1 describe the file, and the newer one holds. A tree of branches and leaves follows; values that do not fit a leaf
have pages of their own, one after the other.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError

_PAGE = struct.Struct("<Q2xHH2x")  # its number, its kind, and where its free space begins
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_NODE = struct.Struct("<IHH")  # the size of its value, flags, and the size of its key; of a branch the number of a page
_LARGE = 1  # the flag of a value with pages of its own
# Magic, version and page size; flags, entries and root of the tree; the last page, and the number of the transaction.
_META = struct.Struct("<II16xI44x4xH26xQQQQ")
_MAGIC, _VERSION, _EMPTY = 0xBEEFC0DE, 1, 2**64 - 1
_PAGE_SIZES = [2**power for power in range(8, 17)]
_DEEPEST = 32


class LmdbEntry(NamedTuple):
    """An entry whose value has not been read.

    Attributes:
        key: of it.
        offset, size: where its value is in the file, and its bytes.
    """

    key: bytes
    offset: int
    size: int


class LmdbFile:
    """An LMDB file of others.

    Attributes:
        path: of it.
        count: its entries, as it says.
        size: the bytes of its pages.

    Raises:
        InvalidFileError: not an LMDB file of this format, or truncated.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path):
        self.path, self._file = path, FileBytes(path)
        try:
            _, _, self._page_size, *_ = self._describe(0)
            if self._page_size not in _PAGE_SIZES:
                raise self._damaged(f"its pages have {self._page_size:,} bytes")
            newest = max((self._describe(start) for start in (0, self._page_size)), key=lambda found: found[-1])
            *_, flags, self.count, self._root, last, _ = newest
            self.size = (last + 1) * self._page_size
            if flags:
                raise InvalidFileError(
                    f"{path} has another order of keys or several values for one, which is not read."
                )
            if self._file.size < self.size:
                raise InvalidFileError(f"{path} is truncated: it has {self._file.size:,} of {self.size:,} bytes.")
        except BaseException:
            self.close()
            raise

    def entries(self, start: bytes | None = None) -> Iterator[LmdbEntry]:
        """The entries from a key on, all for None.

        Raises:
            InvalidFileError: damage on the way.
        """
        if self._root == _EMPTY:
            return
        pages = values = 0
        # The pages of a tree are all different, and so are the bytes of its values.
        for item in self._below(self._root, start, 0):
            if item is None:
                pages += 1
            else:
                values += item.size
            if pages * self._page_size > self.size or values > self.size:
                raise self._damaged("its pages contain each other")
            if item is not None:
                yield item

    def value(self, entry: LmdbEntry) -> bytes:
        """The value of an entry."""
        return self._file.bytes(entry.offset, entry.size)

    def _below(self, page: int, start: bytes | None, depth: int) -> Iterator[LmdbEntry | None]:
        """The entries below a page of the tree, and None for each page on the way."""
        content, kind, free = self._page(page)
        if kind not in (_BRANCH, _LEAF) or free < _PAGE.size or depth > _DEEPEST:
            raise self._damaged(f"page {page} is none of its tree")
        yield None
        places = struct.unpack_from(f"<{(free - _PAGE.size) // 2}H", content, _PAGE.size)
        if kind == _LEAF:
            for place in places:
                entry = self._entry(page, content, place)
                if start is None or entry.key >= start:
                    yield entry
            return
        nodes = [self._node(page, content, place) for place in places]
        # The first of a branch has no key: it holds whatever is before the second.
        first = 0 if start is None else bisect_right([key for *_, key in nodes[1:]], start)
        for number, (low, high, _) in enumerate(nodes[first:]):
            yield from self._below(low | high << 32, start if not number else None, depth + 1)

    def _entry(self, page: int, content: bytes, place: int) -> LmdbEntry:
        size, flags, key = self._node(page, content, place)
        offset = place + _NODE.size + len(key)
        if not flags & _LARGE:
            if offset + size > len(content):
                raise self._damaged(f"a value of page {page} does not end in it")
            return LmdbEntry(key, page * self._page_size + offset, size)
        if offset + 8 > len(content):
            raise self._damaged(f"an entry of page {page} does not end in it")
        own = int.from_bytes(content[offset : offset + 8], "little")
        offset = own * self._page_size + _PAGE.size
        if offset + size > self.size or self._page(own)[1] != _OVERFLOW:
            raise self._damaged(f"a value of page {page} is not in the pages that it names")
        return LmdbEntry(key, offset, size)

    def _node(self, page: int, content: bytes, place: int) -> tuple[int, int, bytes]:
        """The two numbers of an entry or a branch, and its key."""
        if not _PAGE.size <= place <= len(content) - _NODE.size:
            raise self._damaged(f"page {page} has an entry at {place}")
        low, high, length = _NODE.unpack_from(content, place)
        key = content[place + _NODE.size : place + _NODE.size + length]
        if len(key) < length:
            raise self._damaged(f"a key of page {page} does not end in it")
        return low, high, key

    def _page(self, page: int) -> tuple[bytes, int, int]:
        """The content of a page, its kind, and where its free space begins."""
        content = b""
        if 2 <= page < self.size // self._page_size:
            content = self._file.bytes(page * self._page_size, self._page_size)
        if len(content) == self._page_size:
            number, kind, free = _PAGE.unpack_from(content)
            if number == page and (kind == _OVERFLOW or free <= len(content)):
                return content, kind, free
        raise self._damaged(f"it has no page {page}")

    def _describe(self, start: int) -> tuple[int, ...]:
        content = self._file.bytes(start + _PAGE.size, _META.size)
        if len(content) < _META.size or _META.unpack(content)[:2] != (_MAGIC, _VERSION):
            raise InvalidFileError(f"{self.path} is not an LMDB file of format {_VERSION}, or damaged.")
        return _META.unpack(content)

    def _damaged(self, what: str) -> InvalidFileError:
        return InvalidFileError(f"{self.path} is a damaged LMDB file: {what}.")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
