"""The attributes of an HDF5 object, checked byte by byte before the HDF5 library reads them.

A text of variable length is in a heap of the file, which the library walks; in a damaged heap it walks for ever.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator

_CONTINUATION, _ATTRIBUTE, _ATTRIBUTE_INFO = 0x10, 0x0C, 0x15
_NOWHERE = b"\xff" * 8
# Integers, fractions, text of one length, names of numbers (bool).
_PLAIN = (0, 1, 3, 8)
_ANY_LENGTH = 9
_MOST_BLOCKS = 1000
_LARGEST_HEADER = 16 * 2**20  # bytes; an object's attributes are in its header, of 64 KiB each
_LARGEST_TEXT = 16 * 2**20  # bytes of an attribute's texts, all together; a config is by far the longest
# The lists of the older layout, of which long ones are split into several with numbers.
_LISTS = ("layer_names", "weight_names")


class HeaderChecks:
    """Checks the attributes of the objects of one file.

    Args:
        read: returns a number of bytes from an offset in the file.
        size: of the file in bytes.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int):
        self._read, self._size = read, size
        self._heaps: set[int] = set()  # that were looked through
        self._looked_through = 0  # their bytes

    def check(self, address: int) -> None:
        """Check the attributes of the object at `address`, in the header format of any version.

        Raises:
            ValueError: damage, or attributes of a kind that Keras does not write.
        """
        try:
            for kind, shared, body in _messages(self._read, address):
                if kind == _ATTRIBUTE:
                    if shared:
                        raise ValueError("an attribute is shared among objects, which Keras does not write")
                    self._check_attribute(body)
                elif kind == _ATTRIBUTE_INFO and body[2 + 2 * (body[1] & 1) :][:8] != _NOWHERE:
                    raise ValueError("an object has more attributes, or larger ones, than Keras writes")
        except (struct.error, IndexError, OverflowError) as error:
            raise ValueError(f"the header of an object is cut off: {error}") from None

    def _check_attribute(self, body: bytes) -> None:
        version, flags, *sizes = struct.unpack_from("<BBHHH", body)
        if version not in (1, 2, 3) or (version > 1 and flags):
            raise ValueError("an attribute is in a form that Keras does not write")
        place, parts = 8 + (version == 3), []
        for size in sizes:
            parts.append(body[place : place + size])
            place += size + (-size % 8 if version == 1 else 0)
        name, kind, space = parts
        values = body[place:]
        if not kind or (kind[0] & 15) not in (*_PLAIN, _ANY_LENGTH):
            raise ValueError("an attribute is of a kind that Keras does not write")
        if kind[0] & 15 == _ANY_LENGTH:
            # Each of a list may be the same long text, and is copied when it is read.
            count = _count(space)
            is_list = name.rstrip(b"\0").rstrip(b"0123456789").decode("latin-1") in _LISTS
            if count > 1 and not is_list:
                raise ValueError("an attribute is a list of texts, which Keras does not write")
            if 16 * count > len(values):
                raise ValueError("an attribute is to be longer than it is")
            texts = list(struct.iter_unpack("<IQI", values[: 16 * count]))
            if sum(length for length, _, _ in texts) > _LARGEST_TEXT:
                raise ValueError(f"the texts of an attribute are longer than {_LARGEST_TEXT} bytes")
            for heap in {heap for _, heap, _ in texts} - {0}:  # nowhere: an empty text
                self._check_heap(heap)

    def _check_heap(self, address: int) -> None:
        """Refuse a heap that would be an endless loop: every entry has to advance."""
        if address in self._heaps:
            return
        signature, size = struct.unpack("<8sQ", _read_exactly(self._read, address, 16))
        if signature != b"GCOL\x01\0\0\0":
            raise ValueError("a text is not where its attribute says")
        content = _read_exactly(self._read, address, size)
        self._heaps.add(address)
        self._looked_through += size
        if self._looked_through > self._size:
            raise ValueError("the texts of attributes are in heaps that overlap")
        at = 16
        while at + 16 <= size:
            index, length = struct.unpack_from("<H6xQ", content, at)
            at += 16 + length + -length % 8 if index else max(length, 0)
            if at > size or not (index or length >= 16):
                raise ValueError("a text of an attribute is in a damaged heap")


def _count(space: bytes) -> int:
    """How many values an attribute has, by the description of its shape."""
    version, rank = struct.unpack_from("<BB", space)
    if version not in (1, 2):
        raise ValueError("the shape of an attribute is in a form that Keras does not write")
    if version == 2 and space[3] == 2:  # none
        return 0
    return math.prod(struct.unpack_from(f"<{rank}Q", space, 8 if version == 1 else 4))


def _messages(read: Callable[[int, int], bytes], address: int) -> Iterator[tuple[int, bool, bytes]]:
    """The messages that an object's header is made of: kind, whether it is stored elsewhere, content."""
    start = _read_exactly(read, address, 16)
    if start.startswith(b"OHDR"):
        flags = start[5]
        before = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(_read_exactly(read, address + before, width), "little")
        blocks = [(address + before + width, size)]
        head, trailer = ("<BHB" + ("2x" if flags & 4 else "")), 4  # a checksum
    else:
        blocks = [(address + 16, struct.unpack_from("<I", start, 8)[0])]
        head, trailer = "<HHB3x", 0
    place = held = 0
    while place < len(blocks):
        held += blocks[place][1]
        if place > _MOST_BLOCKS or held > _LARGEST_HEADER:
            raise ValueError("an object's header is in too many parts, or in too large ones")
        content = _read_exactly(read, *blocks[place])
        if trailer and place:
            content = content[4:-trailer]  # without a signature
        place += 1
        at, length = 0, struct.calcsize(head)
        while at + length <= len(content):
            kind, size, flags = struct.unpack_from(head, content, at)
            body = content[at + length : at + length + size]
            at += length + size
            if kind == _CONTINUATION and len(body) >= 16:
                blocks.append(struct.unpack_from("<QQ", body))
            yield kind, bool(flags & 2), body


def _read_exactly(read: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    content = read(offset, size)
    if len(content) < size:
        raise ValueError("an object starts after the end of the file")
    return content
