"""What damage needs to know of a file: where its numbers are, what they mean, and which bytes a checksum covers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**40)
LARGE = (2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)

Order = Literal["little", "big"]


class Number(NamedTuple):
    """A number in a file.

    Attributes:
        at, width: its bytes.
        kind: "address" of another part; "size", "count", "type" (a small number with a meaning), or "value".
        owner: where the part begins that it belongs to.
        order: of its bytes.
    """

    at: int
    width: int
    kind: str
    owner: int = 0
    order: Order = "little"


class Checked(NamedTuple):
    """Bytes with a checksum, which stands at `at`."""

    start: int
    end: int
    at: int
    checksum: Callable[[bytes], bytes]


@dataclass
class Parts:
    """The parts of a file.

    Attributes:
        numbers: those that are known.
        checked: what checksums cover; inner parts stand before outer ones.
        addresses: where parts begin, which addresses can point to.
        pieces: start and end of what can be left out, repeated or moved in a file that is read from front to end.
    """

    numbers: list[Number] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    pieces: list[tuple[int, int]] = field(default_factory=list)

    def add(self, at: int, width: int, kind: str, owner: int = 0, order: Order = "little") -> None:
        """Add a number."""
        self.numbers.append(Number(at, width, kind, owner, order))


def with_other_numbers(draw: random.Random, content: bytes, parts: Parts) -> bytes:
    """A file with a few other numbers, whose checksums are mostly right."""
    if not parts.numbers:
        return content
    data = bytearray(content)
    kinds = sorted({number.kind for number in parts.numbers})
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        kind = draw.choice(kinds)
        number = draw.choice([number for number in parts.numbers if number.kind == kind])
        old = int.from_bytes(data[number.at : number.at + number.width], number.order)
        new = _other(draw, number, old, parts, len(data)) % 256**number.width
        data[number.at : number.at + number.width] = new.to_bytes(number.width, number.order)
    if draw.random() < 0.95:
        fix_checksums(data, parts)
    return bytes(data)


def fix_checksums(data: bytearray, parts: Parts) -> None:
    """Set every checksum."""
    for checked in parts.checked:
        value = checked.checksum(bytes(data[checked.start : checked.end]))
        data[checked.at : checked.at + len(value)] = value


def with_other_pieces(draw: random.Random, content: bytes, parts: Parts) -> bytes:
    """A file with a piece left out, repeated up to thousands of times, moved, or cut."""
    if not parts.pieces:
        return content
    start, end = draw.choice(parts.pieces)
    piece = content[start:end]
    match draw.randrange(4):
        case 0:
            return content[:start] + content[end:]
        case 1:
            count = min(draw.choice((1, 2, 10, 1000, 20000)), 500_000 // max(1, len(piece)))
            return content[:end] + piece * count + content[end:]
        case 2:
            to = draw.choice(parts.pieces)[0]
            return content[:to] + piece + content[to:]
        case _:
            return content[: draw.randrange(start, end + 1)]


def _other(draw: random.Random, number: Number, old: int, parts: Parts, size: int) -> int:
    if number.kind == "address":
        chosen = draw.choice([*parts.addresses, number.owner]) if parts.addresses else number.owner
        return draw.choice((number.owner, chosen, chosen, chosen + 1, old + 8, old - 8, size - 1, size, 0, 2**64 - 1))
    if number.kind == "type":
        return draw.choice((old + 1, old - 1, old ^ 1 << draw.randrange(8), draw.randrange(16), draw.randrange(256)))
    near = (old + 1, old - 1, 2 * old, old // 2, old ^ 1 << draw.randrange(8 * number.width), size, size - number.at)
    return draw.choice((*near, *near, *NUMBERS, *LARGE))
