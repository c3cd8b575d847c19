"""Damage of text files: lines, cells, numbers, arrays in base64, and characters of another encoding."""

from __future__ import annotations

import base64
import binascii
import gzip
import random
import re

from .any_bytes import damaged
from .parts import LARGE, NUMBERS

_ODD = (
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b'"',
    b"'",
    b"\r",
    b"\n",
    b"\t",
    b",",
    b"=",
    b"\\",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\x1b[2J",
)
_DEEP = (
    b"[" * 3000,
    b"{" * 3000,
    b"(" * 3000,
    b"- " * 3000,
    b"<a>" * 3000,
    b"&x;" * 200,
    b"[[" * 500 + b"]]" * 500,
    b"a." * 5000,
)
_SEPARATORS = re.compile(rb"[\t,;=:<> ]")


def damaged_text(draw: random.Random, content: bytes) -> bytes:
    """Text with a few changes."""
    if content[:2] == b"\x1f\x8b":
        if draw.random() < 0.3:
            return damaged(draw, content)
        return gzip.compress(damaged_text(draw, gzip.decompress(content)), mtime=0)
    if draw.random() < 0.1:
        return damaged(draw, content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        content = _changed(draw, content)
    return content


def _changed(draw: random.Random, content: bytes) -> bytes:
    match draw.randrange(10):
        case 0:
            return _other_lines(draw, content)
        case 1 | 2 | 3:
            return _other_cell(draw, content)
        case 4 | 5:
            return _other_number(draw, content)
        case 6:
            at = draw.randrange(len(content) + 1)
            return content[:at] + draw.choice(_ODD) * draw.choice((1, 1, 3)) + content[at:]
        case 7:
            at = draw.randrange(len(content) + 1)
            return content[:at] + draw.choice(_DEEP) + content[at:]
        case 8:
            text = content.decode("utf-8", "replace")
            return text.encode(draw.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32", "utf-7")), "replace")
        case _:
            at = draw.randrange(len(content) + 1)
            return draw.choice(
                (content[:at], content[:at] + b"x" * draw.choice((300, 200_000)) + content[at:], content + b"\n" * 9999)
            )


def _other_lines(draw: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = lines[at : at + 1] * min(draw.choice((1, 50, 20_000)), 500_000 // (len(lines[at]) + 1))
        case 2:
            draw.shuffle(lines)
        case _:
            lines[at] = b""
    return b"\n".join(lines)


def _other_cell(draw: random.Random, content: bytes) -> bytes:
    """Between two separators: left out, another one's content, repeated, or an array in base64 with other bytes."""
    ends = [0, *(match.end() for match in _SEPARATORS.finditer(content)), len(content) + 1]
    at = draw.randrange(len(ends) - 1)
    start, end = ends[at], ends[at + 1] - 1
    cell = content[start:end]
    match draw.randrange(5):
        case 0:
            cell = b""
        case 1:
            other = draw.randrange(len(ends) - 1)
            cell = content[ends[other] : ends[other + 1] - 1]
        case 2:
            cell = cell * draw.choice((2, 3))
        case _:
            try:
                values = base64.b64decode(cell.strip(b"\"'b"), validate=True)
                cell = base64.b64encode(damaged(draw, values) if values else draw.randbytes(8))
            except binascii.Error:
                cell = damaged(draw, cell)
    return content[:start] + cell + content[end:]


def _other_number(draw: random.Random, content: bytes) -> bytes:
    found = list(re.finditer(rb"-?\b\d+(\.\d+)?\b", content[:20_000]))
    if not found:
        return content
    match = draw.choice(found)
    odd = (
        b"-1",
        b"1e999",
        b"nan",
        b"1.5",
        b"9" * 5000,
        b"0x10",
        b"1_000",
        b"",
        b"+3",
        "٣".encode(),
        b"-0",
        b"1e400000000",
    )
    number = draw.choice((*odd, *(str(value).encode() for value in (*NUMBERS, *LARGE))))
    return content[: match.start()] + number + content[match.end() :]
