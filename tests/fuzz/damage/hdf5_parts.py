"""The parts of an HDF5 file, found by their signatures: superblocks, headers and messages, trees, heaps, chunk indexes.

Addresses and lengths have 8 bytes. The names follow the HDF5 File Format Specification, version 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .lookup3 import lookup3
from .parts import Checked, Parts

_SIGNATURES = re.compile(
    b"TREE|SNOD|HEAP|GCOL|OHDR|OCHK|BTHD|BTIN|BTLF|FRHP|FHDB|FHIB|FAHD|FADB|EAHD|EAIB|EADB|EASB|SMTB|SMLI"
)
_UNDEFINED = 2**64 - 1


@lru_cache(maxsize=64)
def hdf5_parts(content: bytes) -> Parts:
    """What is known of a whole file."""
    found = _Finder(content)
    found.superblock()
    for match in _SIGNATURES.finditer(content):
        found.part(match[0].decode(), match.start())
    for at in sorted(found.headers):
        if 0 < at < len(content) - 16 and content[at] == 1 and content[at : at + 4] != b"OHDR":
            found.old_header(at)
    found.parts.checked.sort(key=lambda checked: checked.start)
    return found.parts


class _Finder:
    """Walks the parts once, without following addresses."""

    def __init__(self, content: bytes):
        self.content = content
        self.parts = Parts()
        self.headers: set[int] = set()  # where object headers of version 1 may be
        self._readers: dict[str, Callable[[int], None]] = {
            "TREE": self._tree,
            "SNOD": self._symbols,
            "HEAP": self._local_heap,
            "GCOL": self._global_heap,
            "OHDR": self._new_header,
            "OCHK": self._continuation,
            "BTHD": self._new_tree,
            "FRHP": self._fractal_heap,
            "FAHD": self._fixed_array,
            "EAHD": self._extensible_array,
        }

    def value(self, at: int, width: int) -> int:
        return int.from_bytes(self.content[at : at + width], "little")

    def part(self, name: str, at: int) -> None:
        self.parts.addresses.append(at)
        self.parts.add(at + 4, 1, "type", at)
        reader = self._readers.get(name)
        if reader is not None:
            reader(at)
        elif name != "FHDB":  # nodes and blocks: an address of their header, then records
            self.parts.add(at + 5, 1, "type", at)
            self.parts.add(at + 6, 8, "address", at)
            for step in range(14, 54, 8):
                self.parts.add(at + step, 8, "address", at)
                self.parts.add(at + step, 2, "count", at)
            self._check_unknown(at)

    def superblock(self) -> None:
        add, version = self.parts.add, self.content[8]
        add(8, 1, "type")
        if version < 2:
            for at in (9, 10, 12, 13, 14):
                add(at, 1, "type")
            add(16, 2, "count"), add(18, 2, "count"), add(20, 4, "type")
            shift = 4 if version == 1 else 0
            for at in (24, 32, 40, 48, 56 + 8, 56 + 24, 56 + 32):
                add(at + shift, 8, "address")
            add(56 + 16 + shift, 4, "type")
            self.headers.add(self.value(64 + shift, 8))
            self.parts.addresses.append(self.value(64 + shift, 8))
        else:
            for at in (9, 10, 11):
                add(at, 1, "type")
            for at in (12, 20, 28, 36):
                add(at, 8, "address")
            self.parts.checked.append(Checked(0, 44, 44, lookup3))

    # Groups and trees of the older layout

    def _tree(self, at: int) -> None:
        add, chunks, count = self.parts.add, self.content[at + 4] == 1, self.value(at + 6, 2)
        add(at + 5, 1, "count", at), add(at + 6, 2, "count", at)
        add(at + 8, 8, "address", at), add(at + 16, 8, "address", at)
        place = at + 24
        for _ in range(min(count, 40)):
            if chunks:  # the rank is not known here: a key ends before an address that is one
                add(place, 4, "size", at), add(place + 4, 4, "type", at)
                for step in range(8, 56, 8):
                    add(place + step, 8, "address" if step > 16 else "size", at)
                return
            add(place, 8, "size", at), add(place + 8, 8, "address", at)
            place += 16

    def _symbols(self, at: int) -> None:
        add = self.parts.add
        add(at + 6, 2, "count", at)
        for number in range(min(self.value(at + 6, 2), 64)):
            place = at + 8 + 40 * number
            add(place, 8, "size", at), add(place + 8, 8, "address", at), add(place + 16, 4, "type", at)
            add(place + 24, 8, "address", at), add(place + 32, 8, "address", at)
            self.headers.add(self.value(place + 8, 8))
            self.parts.addresses.append(self.value(place + 8, 8))

    def _local_heap(self, at: int) -> None:
        add = self.parts.add
        add(at + 8, 8, "size", at), add(at + 16, 8, "size", at), add(at + 24, 8, "address", at)
        data, free = self.value(at + 24, 8), self.value(at + 16, 8)
        if data + free + 16 < len(self.content):
            add(data + free, 8, "size", at), add(data + free + 8, 8, "size", at)

    def _global_heap(self, at: int) -> None:
        add, end = self.parts.add, at + self.value(at + 8, 8)
        add(at + 8, 8, "size", at)
        place = at + 16
        while place + 16 <= min(end, len(self.content)):
            add(place, 2, "count", at), add(place + 2, 2, "count", at), add(place + 8, 8, "size", at)
            index, size = self.value(place, 2), self.value(place + 8, 8)
            if 12 <= size < 64:  # perhaps a sequence of another object: length, address, number
                add(place + 16, 4, "count", at), add(place + 20, 8, "address", at), add(place + 28, 4, "count", at)
            if not index or not size:
                return
            place += 16 + (size + 7) // 8 * 8

    # Object headers

    def old_header(self, at: int) -> None:
        add, count, size = self.parts.add, self.value(at + 2, 2), self.value(at + 8, 4)
        self.parts.addresses.append(at)
        add(at, 1, "type", at), add(at + 2, 2, "count", at), add(at + 4, 4, "count", at), add(at + 8, 4, "size", at)
        blocks, seen = [(at + 16, size)], 0
        while blocks and seen < min(count, 500):
            place, left = blocks.pop(0)
            while left >= 8 and seen < count and place + 8 <= len(self.content):
                kind, length = self.value(place, 2), self.value(place + 2, 2)
                add(place, 2, "type", at), add(place + 2, 2, "size", at), add(place + 4, 1, "type", at)
                self._message(kind, place + 8, length, at)
                if kind == 0x10:
                    blocks.append((self.value(place + 8, 8), self.value(place + 16, 8)))
                place, left, seen = place + 8 + length, left - 8 - length, seen + 1

    def _new_header(self, at: int) -> None:
        add, flags = self.parts.add, self.content[at + 5]
        place = at + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        size = self.value(place, width)
        add(at + 5, 1, "type", at), add(place, width, "size", at)
        self._new_messages(at, place + width, size, bool(flags & 4))
        self._check(at, place + width + size)

    def _continuation(self, at: int) -> None:
        # Its size is in the message that points to it.
        pointer = self.content.find(at.to_bytes(8, "little"))
        size = self.value(pointer + 8, 8) if pointer >= 0 else 0
        if 8 < size < len(self.content) - at:
            self._new_messages(at, at + 4, size - 8, False)
            self._check(at, at + size - 4)

    def _new_messages(self, at: int, place: int, size: int, ordered: bool) -> None:
        add, end, head = self.parts.add, place + size, 6 if ordered else 4
        while place + head <= min(end, len(self.content)):
            kind, length = self.content[place], self.value(place + 1, 2)
            add(place, 1, "type", at), add(place + 1, 2, "size", at), add(place + 3, 1, "type", at)
            self._message(kind, place + head, length, at)
            place += head + length

    def _message(self, kind: int, at: int, length: int, owner: int) -> None:
        add = self.parts.add
        if not length or at + length > len(self.content):
            return
        if kind == 0x01:
            self._dataspace(at, owner)
        elif kind == 0x03:
            self._datatype(at, owner)
        elif kind in (0x04, 0x05):
            for step in range(min(length, 8)):
                add(at + step, 1, "type", owner)
        elif kind == 0x06:
            self._link(at, owner)
        elif kind == 0x08:
            self._layout(at, owner)
        elif kind == 0x0B:
            for step in range(min(length, 12)):
                add(at + step, 1, "type", owner)
            add(at + 8, 2, "type", owner), add(at + 10, 2, "size", owner)
        elif kind == 0x0C:
            self._attribute(at, owner)
        elif kind in (0x02, 0x0A, 0x10, 0x11, 0x15):  # mostly addresses
            start = {0x10: 0, 0x11: 0}.get(kind, 2)
            add(at, 1, "type", owner), add(at + 1, 1, "type", owner)
            for step in range(start, length - 7, 8 if start == 0 else 2):
                add(at + step, 8, "address", owner)
                add(at + step, 8, "size", owner)

    def _dataspace(self, at: int, owner: int) -> int:
        add, version, rank = self.parts.add, self.content[at], self.content[at + 1]
        head = 8 if version == 1 else 4
        for step in range(4):
            add(at + step, 1, "type", owner)
        for number in range(min(rank, 8)):
            add(at + head + 8 * number, 8, "size", owner)
        return at + head + 8 * rank

    def _datatype(self, at: int, owner: int, depth: int = 0) -> None:
        add = self.parts.add
        if at + 8 > len(self.content) or depth > 6:
            return
        for step in range(4):
            add(at + step, 1, "type", owner)
        add(at + 4, 4, "size", owner)
        kind, version, members = self.content[at] & 15, self.content[at] >> 4, self.value(at + 1, 2)
        if kind in (0, 1, 4):
            add(at + 8, 2, "size", owner), add(at + 10, 2, "size", owner)
        elif kind in (8, 9):  # enumerations and sequences of another type
            self._datatype(at + 8, owner, depth + 1)
        elif kind == 10:
            add(at + 8, 1, "count", owner)
            for step in range(9, 21, 4):
                add(at + step, 4, "size", owner)
        elif kind == 6 and version < 3:
            end = self.content.find(b"\0", at + 8)
            place = at + 8 + (end - at - 8 + 8) // 8 * 8
            for _ in range(min(members, 1)):
                add(place, 4, "size", owner), add(place + 4, 1, "count", owner)
                self._datatype(place + (32 if version == 1 else 4), owner, depth + 1)
        elif kind == 6:
            end = self.content.find(b"\0", at + 8)
            add(end + 1, 1, "size", owner)
            self._datatype(end + 2, owner, depth + 1)

    def _link(self, at: int, owner: int) -> None:
        add, flags = self.parts.add, self.content[at + 1]
        place = at + 2
        soft = False
        if flags & 8:
            add(place, 1, "type", owner)
            soft, place = self.content[place] != 0, place + 1
        place += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        name = self.value(place, width)
        add(at, 1, "type", owner), add(at + 1, 1, "type", owner), add(place, width, "size", owner)
        add(place + width + name, 2 if soft else 8, "size" if soft else "address", owner)
        add(place + width, 1, "value", owner)

    def _layout(self, at: int, owner: int) -> None:
        add, version, kind = self.parts.add, self.content[at], self.content[at + 1]
        for step in range(5):
            add(at + step, 1, "type", owner)
        if kind == 0:
            add(at + 2, 2, "size", owner)
        elif kind == 1:
            add(at + 2, 8, "address", owner), add(at + 10, 8, "size", owner)
        elif version == 3:
            rank = self.content[at + 2]
            add(at + 2, 1, "count", owner), add(at + 3, 8, "address", owner)
            for number in range(min(rank, 8)):
                add(at + 11 + 4 * number, 4, "size", owner)
        else:
            rank, width = self.content[at + 3], self.content[at + 4]
            for number in range(min(rank, 8)):
                add(at + 5 + width * number, width, "size", owner)
            place = at + 5 + width * rank
            for step in range(8):
                add(place + step, 1, "type", owner)
            for step in range(1, 14):
                add(place + step, 8, "address", owner)

    def _attribute(self, at: int, owner: int) -> None:
        add, version = self.parts.add, self.content[at]
        sizes = [self.value(at + step, 2) for step in (2, 4, 6)]
        for step in (0, 1):
            add(at + step, 1, "type", owner)
        for step in (2, 4, 6):
            add(at + step, 2, "size", owner)
        place = at + (9 if version == 3 else 8)
        starts = []
        for size in sizes:
            starts.append(place)
            place += (size + 7) // 8 * 8 if version == 1 else size
        self._datatype(starts[1], owner)
        self._dataspace(starts[2], owner)
        add(place, 4, "count", owner), add(place + 4, 8, "address", owner), add(place + 12, 4, "count", owner)

    # Newer trees, heaps and indexes

    def _new_tree(self, at: int) -> None:
        add = self.parts.add
        for step, width, kind in ((5, 1, "type"), (6, 4, "size"), (10, 2, "size"), (12, 2, "count"), (14, 1, "type")):
            add(at + step, width, kind, at)
        add(at + 15, 1, "type", at), add(at + 16, 8, "address", at)
        add(at + 24, 2, "count", at), add(at + 26, 8, "count", at)
        self._check(at, at + 34)
        node, records, size = self.value(at + 16, 8), self.value(at + 24, 2), self.value(at + 10, 2)
        if self.content[node : node + 4] == b"BTLF":
            for number in range(min(records, 32)):
                for step in range(0, max(1, size - 7), 4):
                    add(node + 6 + size * number + step, 8, "address", node)
                    add(node + 6 + size * number + step, 4, "size", node)
            self._check(node, node + 6 + records * size)

    def _fractal_heap(self, at: int) -> None:
        add = self.parts.add
        for step, width, kind in ((5, 2, "size"), (7, 2, "size"), (9, 1, "type"), (10, 4, "size")):
            add(at + step, width, kind, at)
        for step in range(14, 110, 8):
            add(at + step, 8, "address" if step in (22, 38, 46) else "size", at)
        add(at + 110, 2, "count", at), add(at + 112, 8, "size", at), add(at + 120, 8, "size", at)
        add(at + 128, 2, "count", at), add(at + 130, 2, "count", at)
        add(at + 132, 8, "address", at), add(at + 140, 2, "count", at)
        self._check(at, at + 142)
        block, size, offset = self.value(at + 132, 8), self.value(at + 112, 8), (self.value(at + 128, 2) + 7) // 8
        place = block + 13 + offset  # of the checksum of a direct block, which covers itself as zeros
        if self.content[block : block + 4] == b"FHDB" and block + size <= len(self.content):
            own = Checked(block, block + size, place, lambda data: lookup3(_blanked(data, place - block)))
            if own.checksum(self.content[block : block + size]) == self.content[place : place + 4]:
                self.parts.checked.append(own)

    def _fixed_array(self, at: int) -> None:
        add = self.parts.add
        for step in (5, 6, 7):
            add(at + step, 1, "type", at)
        add(at + 8, 8, "count", at), add(at + 16, 8, "address", at)
        self._check(at, at + 24)

    def _extensible_array(self, at: int) -> None:
        add = self.parts.add
        for step in range(5, 12):
            add(at + step, 1, "type", at)
        for step in range(12, 60, 8):
            add(at + step, 8, "count", at)
        add(at + 60, 8, "address", at)
        self._check(at, at + 68)

    # Checksums

    def _check(self, start: int, end: int) -> None:
        """A checksum right behind the bytes that it covers, if there is one."""
        if any(known.start == start for known in self.parts.checked):
            return
        if end + 4 <= len(self.content) and lookup3(self.content[start:end]) == self.content[end : end + 4]:
            self.parts.checked.append(Checked(start, end, end, lookup3))

    def _check_unknown(self, start: int) -> None:
        """The checksum of a block whose size depends on others: the first place that fits."""
        count = len(self.parts.checked)
        for end in range(start + 13, min(start + 800, len(self.content) - 4)):
            self._check(start, end)
            if len(self.parts.checked) > count:
                return


def _blanked(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(4) + data[at + 4 :]
