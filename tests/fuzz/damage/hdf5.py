"""Damage of HDF5 files that keeps them readable to the library: other numbers, and structures added at the end."""

from __future__ import annotations

import random

from .hdf5_parts import hdf5_parts
from .parts import Parts, fix_checksums, with_other_numbers


def damaged_hdf5(draw: random.Random, content: bytes) -> bytes:
    """A file with other numbers in its structures, or with structures that do not end."""
    parts = hdf5_parts(content)
    if draw.random() < 0.8:
        return with_other_numbers(draw, content, parts)
    make = draw.choice((_nested_type, _tower, _long_leaf, _many_messages, _header_chain))
    return _grown(draw, content, parts, make(draw, len(content)))


def _grown(draw: random.Random, content: bytes, parts: Parts, more: bytes) -> bytes:
    """Append structures, and let one or several addresses point to them."""
    data = bytearray(content)
    places = [number for number in parts.numbers if number.kind == "address" and number.width == 8]
    # Mostly those that lead to something now.
    used = [place for place in places if int.from_bytes(data[place.at : place.at + 8], "little") in parts.addresses]
    for place in draw.sample(used or places, min(draw.choice((1, 1, 1, 4)), len(used or places))):
        data[place.at : place.at + 8] = len(content).to_bytes(8, "little")
    data += more
    end = len(data).to_bytes(8, "little")
    at = 28 if data[8] >= 2 else 40
    data[at : at + 8] = end
    fix_checksums(data, parts)
    return bytes(data)


def _header(messages: list[tuple[int, bytes]]) -> bytes:
    """An object header of version 1."""
    made = []
    for kind, content in messages:
        content += b"\0" * (-len(content) % 8)
        made.append(kind.to_bytes(2, "little") + len(content).to_bytes(2, "little") + bytes(4) + content)
    body = b"".join(made)
    return (
        b"\1\0" + len(messages).to_bytes(2, "little") + (1).to_bytes(4, "little") + _le(len(body), 4) + bytes(4) + body
    )


def _le(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little")


_INTEGER = b"\x10\x08\0\0" + _le(4, 4) + _le(0, 2) + _le(32, 2)


def _type_within_types(draw: random.Random, depth: int) -> bytes:
    """Sequences, arrays, enumerations or compounds in each other."""
    made = _INTEGER
    for level in range(depth):
        size = int.from_bytes(made[4:8], "little")
        match draw.choice((0, 0, 1, 2)):
            case 0:  # a sequence of any length
                made = b"\x19\0\0\0" + _le(16, 4) + made
            case 1:  # an array
                count = draw.choice((1, 1, 2))
                made = (
                    b"\x2a\0\0\0"
                    + _le(min(size * count, 2**32 - 1), 4)
                    + b"\1\0\0\0"
                    + _le(count, 4)
                    + _le(0, 4)
                    + made
                )
            case 2:  # a compound of one member
                made = b"\x16" + _le(1, 2) + b"\0" + _le(size, 4) + b"m\0\0\0\0\0\0\0" + bytes(4) + bytes(28) + made
        if len(made) > 60_000:
            break
        del level
    return made


def _nested_type(draw: random.Random, at: int) -> bytes:
    del at
    made = _type_within_types(draw, draw.choice((2, 8, 40, 300, 1000, 3000)))
    count = draw.choice((1, 2, 1000, 10**6))
    space = b"\1\1\0\0\0\0\0\0" + _le(count, 8)
    if draw.random() < 0.5:  # of a data set
        return _header([(3, made), (1, space), (8, b"\3\1" + _le(2**64 - 1, 8) + _le(0, 8))])
    head = b"\1\0" + _le(2, 2) + _le(len(made), 2) + _le(len(space), 2) + b"a\0\0\0\0\0\0\0"
    return _header([(12, head + made + b"\0" * (-len(made) % 8) + space + draw.randbytes(draw.choice((0, 16, 400))))])


def _tower(draw: random.Random, at: int) -> bytes:
    """Nodes of a tree each of which has the next one as its child several times, the last perhaps itself."""
    levels, wide = draw.choice((2, 6, 20, 60)), draw.choice((2, 8, 30))
    size = 24 + 16 * wide + 8
    made = b""
    for level in range(levels):
        last = level == levels - 1
        to = at + size * (level + 1) if not last else draw.choice((0, at, at + size * level, 96, 800))
        node = (
            b"TREE\0"
            + bytes([max(0, levels - level - 1)])
            + _le(wide, 2)
            + draw.choice((_le(2**64 - 1, 8), _le(at, 8)))
        )
        node += draw.choice((_le(2**64 - 1, 8), _le(at + size * level, 8))) + bytes(8) + (_le(to, 8) + _le(8, 8)) * wide
        made += node
    return made


def _long_leaf(draw: random.Random, at: int) -> bytes:
    """A node of symbols that names one header many times."""
    count = draw.choice((8, 200, 2000))
    entry = _le(draw.choice((0, 8, 16)), 8) + _le(draw.choice((96, 800, at)), 8) + bytes(24)
    return b"SNOD\1\0" + _le(count, 2) + entry * count


def _many_messages(draw: random.Random, at: int) -> bytes:
    """A header with thousands of messages, or with continuations that lead back to it."""
    count = draw.choice((100, 3000, 20000))
    made = _header([(draw.choice((0, 12, 3, 1, 16, 13)), draw.randbytes(8))] * min(count, 20000))
    return made if draw.random() < 0.5 else _header([(16, _le(at, 8) + _le(200, 8))] * draw.choice((1, 2, 50)))


def _header_chain(draw: random.Random, at: int) -> bytes:
    """Groups in groups: each has a link of the newer layout to the next, the last to the first or to nothing."""
    count = draw.choice((3, 100, 2000))
    size = len(_header([(2, bytes(18)), (6, bytes(16))]))
    made = b""
    for number in range(count):
        to = at + size * ((number + 1) % count)
        made += _header([(2, b"\0\0" + b"\xff" * 16), (6, b"\1\0\1g" + _le(to, 8) + bytes(4))])
    return made
