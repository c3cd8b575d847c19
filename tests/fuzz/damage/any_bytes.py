"""Damage of files of any kind: bits, numbers and pieces at random places."""

from __future__ import annotations

import random

from .parts import LARGE, NUMBERS

_NUMBERS = (*NUMBERS, *LARGE, -1)


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Bytes with a few changes at random places."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        data = _changed(draw, data)
    return bytes(data)


def _changed(draw: random.Random, data: bytearray) -> bytearray:
    size = len(data)
    if not size:
        return bytearray(draw.randbytes(3))
    # What describes the file is mostly at its beginning or its end.
    reach = draw.choice((64, 600, 4000, size))
    at = draw.randrange(min(reach, size)) if draw.random() < 0.75 else size - 1 - draw.randrange(min(reach, size))
    length = draw.choice((1, 2, 4, 8, 16, 64, 500))
    match draw.randrange(9):
        case 0 | 1:
            data[at] ^= 1 << draw.randrange(8)
        case 2:
            data[at] = draw.randrange(256)
        case 3 | 4:  # a number of one to eight bytes
            wide = draw.choice((1, 2, 4, 8))
            number = draw.choice((*_NUMBERS, size, size - 1)) % 256**wide
            data[at : at + wide] = number.to_bytes(wide, draw.choice(("little", "big")))
        case 5:
            data[at:at] = draw.randbytes(length)
        case 6:
            del data[at : at + length]
        case 7:
            if draw.random() < 0.3:
                del data[at:]
            else:
                data[at : at + length] = draw.randbytes(length)
        case 8:  # one part where another one is
            other = draw.randrange(size)
            first, second = data[at : at + length], data[other : other + length]
            data[at : at + len(first)], data[other : other + len(second)] = second, first
    return data
