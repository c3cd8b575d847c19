"""The parts of pictures: chunks of PNG, segments of JPEG, blocks of GIF, tags of TIFF, boxes of AVIF, headers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache

from .parts import Checked, Order, Parts


@lru_cache(maxsize=256)
def picture_parts(content: bytes) -> Parts:
    """What is known of a picture, by its first bytes."""
    parts = Parts()
    reader = next((reader for start, reader in _READERS if content[start[0] :].startswith(start[1])), _header)
    reader(content, parts)
    parts.numbers = [one for one in parts.numbers if one.at >= 0 and one.at + one.width <= len(content)]
    return parts


def _number(content: bytes, at: int, width: int, order: Order = "little") -> int:
    return int.from_bytes(content[at : at + width], order)


def _png(content: bytes, parts: Parts) -> None:
    at = 8
    while at + 12 <= len(content):
        size, kind = _number(content, at, 4, "big"), content[at + 4 : at + 8]
        parts.add(at, 4, "size", at, "big")
        parts.add(at + 4, 1, "type", at)
        body = at + 8
        if kind == b"IHDR":
            parts.add(body, 4, "size", at, "big"), parts.add(body + 4, 4, "size", at, "big")
            for step in range(8, 13):
                parts.add(body + step, 1, "type", at)
        else:
            for step in range(0, min(size, 26) - 3, 4):
                parts.add(body + step, 4, "value", at, "big")
            for step in range(min(size, 8)):
                parts.add(body + step, 1, "value", at)
        end = body + size
        parts.checked.append(Checked(at + 4, end, end, lambda data: zlib.crc32(data).to_bytes(4, "big")))
        parts.pieces.append((at, end + 4))
        at = end + 4


def _jpeg(content: bytes, parts: Parts) -> None:
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, size = content[at + 1], _number(content, at + 2, 2, "big")
        parts.add(at + 1, 1, "type", at), parts.add(at + 2, 2, "size", at, "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            parts.add(at + 4, 1, "type", at), parts.add(at + 5, 2, "size", at, "big")
            parts.add(at + 7, 2, "size", at, "big"), parts.add(at + 9, 1, "count", at)
        for step in range(4, min(size, 60)):
            parts.add(at + step, 1, "value", at)
        if marker == 0xE1 and content[at + 4 : at + 8] == b"Exif":
            _tiff(content[at + 10 :], parts, at + 10)
        parts.pieces.append((at, at + 2 + size))
        at += 2 + size
        if marker == 0xDA:
            return


def _gif(content: bytes, parts: Parts) -> None:
    for step in (6, 8):
        parts.add(step, 2, "size")
    for step in (10, 11, 12):
        parts.add(step, 1, "type")
    at = 13 + (3 * 2 ** ((content[10] & 7) + 1) if content[10] & 128 else 0)
    while at < len(content) and content[at] in (0x21, 0x2C):
        start = at
        parts.add(at, 1, "type", at)
        if content[at] == 0x21:
            parts.add(at + 1, 1, "type", at)
            at += 2
        else:
            for step in (1, 3, 5, 7):
                parts.add(at + step, 2, "size", at)
            parts.add(at + 9, 1, "type", at)
            at += 10 + (3 * 2 ** ((content[at + 9] & 7) + 1) if content[at + 9] & 128 else 0)
            parts.add(at, 1, "type", start)  # the size of codes
            at += 1
        while at < len(content):
            size = content[at]
            parts.add(at, 1, "size", start)
            for step in range(1, min(size, 4) + 1):
                parts.add(at + step, 1, "value", start)
            at += 1 + size
            if not size:
                break
        parts.pieces.append((start, at))


def _tiff(content: bytes, parts: Parts, shift: int = 0) -> None:
    order: Order = "little" if content[:2] == b"II" else "big"
    parts.add(shift + 4, 4, "address", 0, order)
    at, seen = _number(content, 4, 4, order), 0
    while 0 < at < len(content) and seen < 8:
        count = _number(content, at, 2, order)
        parts.addresses.append(at)
        parts.add(shift + at, 2, "count", at, order)
        for number in range(min(count, 60)):
            place = at + 2 + 12 * number
            parts.add(shift + place, 2, "type", at, order), parts.add(shift + place + 2, 2, "type", at, order)
            parts.add(shift + place + 4, 4, "count", at, order), parts.add(shift + place + 8, 4, "size", at, order)
            parts.add(shift + place + 8, 2, "type", at, order), parts.add(shift + place + 8, 4, "address", at, order)
        parts.add(shift + at + 2 + 12 * count, 4, "address", at, order)
        at, seen = _number(content, at + 2 + 12 * count, 4, order), seen + 1


def _riff(content: bytes, parts: Parts) -> None:
    parts.add(4, 4, "size")
    _riff_chunks(content, parts, 12, len(content))


def _riff_chunks(content: bytes, parts: Parts, at: int, stop: int) -> None:
    while at + 8 <= stop:
        kind, size = content[at : at + 4], _number(content, at + 4, 4)
        parts.add(at, 1, "type", at), parts.add(at + 4, 4, "size", at)
        wide = {b"VP8X": range(4, 10, 3), b"ANMF": range(0, 15, 3)}.get(kind, range(0))
        for step in wide:
            parts.add(at + 8 + step, 3, "size", at)
        for step in range(min(size, 14)):
            parts.add(at + 8 + step, 1, "type", at)
        if kind == b"VP8 ":
            parts.add(at + 14, 2, "size", at), parts.add(at + 16, 2, "size", at)
        if kind == b"VP8L":
            parts.add(at + 9, 4, "size", at)
        if kind == b"ANMF":
            _riff_chunks(content, parts, at + 24, at + 8 + size)
        end = at + 8 + size + size % 2
        parts.pieces.append((at, end))
        at = end


def _bmp(content: bytes, parts: Parts) -> None:
    for step in (2, 10, 14, 18, 22, 30, 34, 38, 46, 50):
        parts.add(step, 4, "address" if step == 10 else "size")
    for step in (26, 28):
        parts.add(step, 2, "type")
    for step in (0, 14, *range(54, 70)):
        parts.add(step, 1, "type")


_NESTED = {
    b"meta": 12,
    b"iprp": 8,
    b"ipco": 8,
    b"iinf": 14,
    b"jp2h": 8,
    b"moov": 8,
    b"trak": 8,
    b"mdia": 8,
    b"minf": 8,
    b"stbl": 8,
}


def _boxes(content: bytes, parts: Parts, at: int = 0, stop: int | None = None) -> None:
    stop = len(content) if stop is None else stop
    while at + 8 <= stop:
        size, kind = _number(content, at, 4, "big"), content[at + 4 : at + 8]
        parts.add(at, 4, "size", at, "big"), parts.add(at + 4, 1, "type", at)
        end = at + size if size >= 8 else stop
        if kind in _NESTED:
            _boxes(content, parts, at + _NESTED[kind], end)
        else:
            for step in range(8, min(end - at, 60) - 3, 4):
                parts.add(at + step, 4, "size", at, "big")
            for step in range(8, min(end - at, 40) - 1, 2):
                parts.add(at + step, 2, "count", at, "big")
                parts.add(at + step, 1, "type", at)
        parts.pieces.append((at, end))
        if kind in (b"jp2c", b"mdat"):
            _header(content[at + 8 : at + 200], parts, at + 8)
        at = end


def _header(content: bytes, parts: Parts, shift: int = 0) -> None:
    """A header that is not known: numbers of one to four bytes, in either order."""
    for step in range(min(len(content), 140)):
        parts.add(shift + step, 1, "type")
    for step in range(0, min(len(content), 140) - 3, 2):
        parts.add(shift + step, 2, "size", 0, "little"), parts.add(shift + step, 2, "size", 0, "big")
        parts.add(shift + step, 4, "count", 0, "little"), parts.add(shift + step, 4, "address", 0, "big")


_READERS: tuple[tuple[tuple[int, bytes], Callable[[bytes, Parts], None]], ...] = (
    ((0, b"\x89PNG"), _png),
    ((0, b"\xff\xd8"), _jpeg),
    ((0, b"GIF8"), _gif),
    ((0, b"II*\0"), _tiff),
    ((0, b"MM\0*"), _tiff),
    ((0, b"RIFF"), _riff),
    ((0, b"BM"), _bmp),
    ((4, b"ftyp"), _boxes),
    ((4, b"jP  "), _boxes),
)
