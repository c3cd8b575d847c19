"""The parts of an LMDB data file: two meta pages, then pages of nodes, of 4,096 bytes each."""

from __future__ import annotations

import random
from functools import lru_cache

from .parts import Parts, with_other_numbers

PAGE = 4096


@lru_cache(maxsize=8)
def lmdb_parts(content: bytes) -> Parts:
    """Numbers of every page."""
    parts = Parts(addresses=list(range(len(content) // PAGE)))
    for start in range(0, len(content), PAGE):
        number = start // PAGE
        parts.add(start, 8, "address", number)
        parts.add(start + 10, 2, "type", number)
        if number < 2:
            _meta(parts, start + 16, number)
            continue
        parts.add(start + 12, 2, "size", number), parts.add(start + 14, 2, "size", number)
        parts.add(start + 12, 4, "count", number)  # of pages, where a value has several
        flags = int.from_bytes(content[start + 10 : start + 12], "little")
        lower = int.from_bytes(content[start + 12 : start + 14], "little")
        if flags & 3:
            for at in range(start + 16, min(start + lower, start + PAGE), 2):
                parts.add(at, 2, "size", number)
                node = start + int.from_bytes(content[at : at + 2], "little")
                for step, kind in ((0, "size"), (2, "size"), (4, "type"), (6, "size")):
                    parts.add(node + step, 2, kind, number)
                key = int.from_bytes(content[node + 6 : node + 8], "little")
                parts.add(node + 8 + key, 8, "address", number)
    parts.numbers = [one for one in parts.numbers if one.at + one.width <= len(content)]
    return parts


def _meta(parts: Parts, at: int, number: int) -> None:
    parts.add(at, 4, "value", number), parts.add(at + 4, 4, "type", number)
    parts.add(at + 8, 8, "size", number), parts.add(at + 16, 8, "size", number)
    for place in (at + 24, at + 72):  # the free pages, and what is stored
        (
            parts.add(place, 4, "size", number),
            parts.add(place + 4, 2, "type", number),
            parts.add(place + 6, 2, "count", number),
        )
        for step in (8, 16, 24, 32):
            parts.add(place + step, 8, "count", number)
        parts.add(place + 40, 8, "address", number)
    parts.add(at + 120, 8, "address", number), parts.add(at + 128, 8, "count", number)


def damaged_lmdb(draw: random.Random, content: bytes) -> bytes:
    """A data file with other numbers in its pages."""
    return with_other_numbers(draw, content, lmdb_parts(content))
