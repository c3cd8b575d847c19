"""The attributes of an HDF5 object, looked through byte by byte before the HDF5 library reads them.

A text of any length lies in a heap of the file, which the library walks; in a heap that is damaged it walks for ever.
Separate from `hdf5_files`, which leaves everything else to the library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

_CONTINUATION, _ATTRIBUTE, _ATTRIBUTE_INFO = 0x10, 0x0C, 0x15
_NOWHERE = b"\xff" * 8
# Whole numbers, fractions, text of one length, names of numbers (bool).
_PLAIN = (0, 1, 3, 8)
_ANY_LENGTH = 9
_MOST_BLOCKS = 1000


def check_attributes(read: Callable[[int, int], bytes], address: int) -> None:
    """Look through the attributes of one object, in the header format of any version.

    Args:
        read: gives so many bytes from an offset in the file.
        address: of the object.

    Raises:
        ValueError: damage, or attributes of a kind that Keras does not write.
    """
    for kind, shared, body in _messages(read, address):
        if kind == _ATTRIBUTE:
            if shared:
                raise ValueError("an attribute is shared among objects, which Keras does not write")
            _check_attribute(read, body)
        elif kind == _ATTRIBUTE_INFO and body[2 + 2 * (body[1] & 1) :][:8] != _NOWHERE:
            raise ValueError("an object has more attributes, or larger ones, than Keras writes")


def _messages(read: Callable[[int, int], bytes], address: int) -> Iterator[tuple[int, bool, bytes]]:
    """The messages that an object's header is made of: kind, whether it lies elsewhere, content."""
    start = _whole(read, address, 16)
    if start.startswith(b"OHDR"):
        flags = start[5]
        before = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(_whole(read, address + before, width), "little")
        blocks = [(address + before + width, size)]
        head, trailer = ("<BHB" + ("2x" if flags & 4 else "")), 4  # a checksum
    else:
        blocks = [(address + 16, struct.unpack_from("<I", start, 8)[0])]
        head, trailer = "<HHB3x", 0
    place = 0
    while place < len(blocks):
        if place > _MOST_BLOCKS:
            raise ValueError("an object's header is in too many parts")
        content = _whole(read, *blocks[place])
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


def _check_attribute(read: Callable[[int, int], bytes], body: bytes) -> None:
    version, flags, *sizes = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise ValueError("an attribute is in a form that Keras does not write")
    if version == 1:
        sizes = [size + -size % 8 for size in sizes]
    kind = 8 + (version == 3) + sizes[0]
    values = body[kind + sizes[1] + sizes[2] :]
    described = body[kind : kind + sizes[1]]
    if not described or (described[0] & 15) not in (*_PLAIN, _ANY_LENGTH):
        raise ValueError("an attribute is of a kind that Keras does not write")
    if described[0] & 15 == _ANY_LENGTH:
        heaps = {heap for _, heap, _ in struct.iter_unpack("<IQI", values[: len(values) // 16 * 16])}
        for heap in heaps - {0}:  # nowhere: an empty text
            _check_heap(read, heap)


def _check_heap(read: Callable[[int, int], bytes], address: int) -> None:
    """Refuse a heap through which there is no way: every entry has to lead on."""
    signature, size = struct.unpack("<8sQ", _whole(read, address, 16))
    if signature != b"GCOL\x01\0\0\0":
        raise ValueError("a text is not where its attribute says")
    content = _whole(read, address, size)
    at = 16
    while at + 16 <= size:
        index, length = struct.unpack_from("<H6xQ", content, at)
        at += 16 + length + -length % 8 if index else max(length, 0)
        if at > size or not (index or length >= 16):
            raise ValueError("a text of an attribute lies in a damaged heap")


def _whole(read: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    content = read(offset, size)
    if len(content) < size:
        raise ValueError("an object lies behind the end of the file")
    return content
