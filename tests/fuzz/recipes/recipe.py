"""What a recipe is."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from ..cases import FINE
from ..sources import Source

REFUSED = ("refused",)
READ = ("read",)
Way = tuple[str, bytes, Sequence[str]]  # a recipe's name, a changed file, and what may become of it
Ways = Iterable[Way]


class Recipe(NamedTuple):
    """Hostile files.

    Attributes:
        name: of the recipe.
        kind: of the valid files that doors take beside them.
        source: the hostile files, their doors and options.
        allowed: what may become of them.
    """

    name: str
    kind: str
    source: Source
    allowed: Sequence[str] = FINE


@cache
def packed_zeros(millions: int) -> bytes:
    """As many million zeros, compressed by zlib; made without them."""
    block = zlib.compressobj(9)
    first = block.compress(bytes(10**6)) + block.flush(zlib.Z_FULL_FLUSH)
    checksum = (millions * 10**6 % 65521) << 16 | 1
    return first + first[2:] * (millions - 1) + b"\3\0" + checksum.to_bytes(4, "big")
