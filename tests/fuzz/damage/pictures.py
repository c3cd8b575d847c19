"""Damage of pictures: numbers and pieces of their structures, and pieces that unpack to much."""

from __future__ import annotations

import random
import re
import zlib

from .any_bytes import damaged
from .parts import LARGE, NUMBERS, with_other_numbers, with_other_pieces
from .picture_parts import picture_parts


def damaged_picture(draw: random.Random, content: bytes) -> bytes:
    """A picture with other numbers or pieces."""
    parts = picture_parts(content)
    if content[:1] in b"P#/ !" and draw.random() < 0.8:
        return _other_text_header(draw, content)
    kind = draw.random()
    if content.startswith(b"\x89PNG") and kind < 0.25:
        return _with_other_chunk(draw, content)
    if kind < 0.45:
        return with_other_pieces(draw, content, parts)
    if kind < 0.9:
        return with_other_numbers(draw, content, parts)
    return damaged(draw, content)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _with_other_chunk(draw: random.Random, content: bytes) -> bytes:
    """Pixels of another size, or a chunk of text, of a profile, of EXIF or of animation, with the right checksum."""
    much = zlib.compress(bytes(draw.choice((1000, 10**6, 7 * 10**7))), 9)
    chunks = {
        b"IDAT": draw.choice(
            (much, zlib.compress(draw.randbytes(300)), b"", draw.randbytes(40), zlib.compress(b"")[:4])
        ),
        b"zTXt": b"Comment\0\0" + much,
        b"iTXt": b"Comment\0\1\0en\0\0" + much,
        b"tEXt": b"k\0" + b"x" * draw.choice((10, 10**5)),
        b"iCCP": b"icc\0\0" + much,
        b"eXIf": b"II*\0\x08\0\0\0" + draw.randbytes(draw.choice((2, 40))),
        b"acTL": draw.choice((1, 2, 2**31, 2**32 - 1)).to_bytes(4, "big") + bytes(4),
        b"fcTL": bytes(4)
        + b"".join(draw.choice((1, 8, 2**31)).to_bytes(4, "big") for _ in range(4))
        + draw.randbytes(6),
        b"PLTE": draw.randbytes(draw.choice((0, 1, 3, 768, 769, 3000))),
        b"tRNS": draw.randbytes(draw.choice((0, 1, 2, 6, 300))),
        b"abCD": draw.randbytes(3),
    }
    kind = draw.choice(sorted(chunks))
    made = _chunk(kind, chunks[kind])
    start, end = draw.choice(picture_parts(content).pieces)
    if kind == b"IDAT":
        at = content.find(b"IDAT") - 4
        size = int.from_bytes(content[at : at + 4], "big")
        return content[:at] + made + content[at + 12 + size :]
    if draw.random() < 0.2:
        made *= min(draw.choice((2, 300)), 400_000 // len(made) + 1)
    return content[:start] + made + content[start if draw.random() < 0.8 else end :]


def _other_text_header(draw: random.Random, content: bytes) -> bytes:
    """Formats whose headers are text: another number in the first lines."""
    found = list(re.finditer(rb"\d+", content[:200]))
    match = draw.choice(found) if found else None
    if match is None:
        return damaged(draw, content)
    number = draw.choice((*NUMBERS, *LARGE, -1, 10**30, "9" * 5000, "1.5", "1e9", "nan", ""))
    return content[: match.start()] + str(number).encode() + content[match.end() :]
