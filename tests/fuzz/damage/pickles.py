"""Damage of pickles: their programs with other words, numbers and texts, and programs that make much of little."""

from __future__ import annotations

import pickletools
import random
from functools import lru_cache

from .parts import LARGE, NUMBERS

_WORDS = (
    *(b"(", b".", b"0", b"1", b"2", b"N", b"Q", b"R", b"a", b"b", b"d", b"e", b"l", b"s", b"t", b"u", b"}", b"]", b")"),
    *(b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x89", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x93", b"\x94"),
    *(b"\x95\0\0\0\0\0\0\0\0", b"h\0", b"h\5", b"q\0", b"K\0", b"K\xff", b"J\xff\xff\xff\xff", b"M\xff\xff"),
    *(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8a\xff" + b"\xff" * 255, b"\x8b\0\0\0\x40", b"I1" + b"9" * 5000),
    *(b"X\0\0\0\0", b"\x8c\1a", b"X\xff\xff\xff\x7f", b"C\0", b"B\xff\xff\xff\x7f", b"U\1a", b"\x8d" + b"\xff" * 8),
    *(
        b"G\x7f\xf8\0\0\0\0\0\0",
        b"\x97",
        b"\x98",
        b"\x96\0\0\0\0\0\0\0\x10",
        b"j\xff\xff\xff\x7f",
        b"r\xff\xff\xff\x7f",
    ),
    *(b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy.core.multiarray\n_reconstruct\n"),
    *(b"cnumpy\ndtype\n", b"ccollections\nOrderedDict\n", b"c__builtin__\nbytearray\n", b"ctorch\nFloatStorage\n"),
)


@lru_cache(maxsize=64)
def _programs(content: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The words of the pickles that a file begins with, and what follows them."""
    words: list[bytes] = []
    start = 0
    while content[start : start + 1] == b"\x80" or (not start and content[:1]):
        try:
            places = [at for _, _, at in pickletools.genops(content[start:])]
        except (ValueError, IndexError, UnicodeError):  # no pickle: numbers
            break
        ends = [*places[1:], places[-1] + 1]
        words += [content[start + at : start + end] for at, end in zip(places, ends, strict=True)]
        start += ends[-1]
    return tuple(words), content[start:]


def damaged_pickle(draw: random.Random, content: bytes) -> bytes:
    """Programs with a few changed words; what follows them is left."""
    found, rest = _programs(content)
    words = list(found)
    if not words:
        return content
    if draw.random() < 0.5:  # frames say how long a part is: without them every change gets through
        words = [word for word in words if not word.startswith(b"\x95")]
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(words))
        match draw.randrange(9):
            case 0:
                words[at] = draw.choice(_WORDS)
            case 1:
                words.insert(at, draw.choice(_WORDS))
            case 2:
                del words[at]
                words = words or [b"."]
            case 3:
                other = draw.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            case 4:
                words[at:at] = words[at : at + draw.choice((1, 2, 5, 20))] * draw.choice((1, 1, 3, 1000))
            case 5 | 6 | 7:
                at = _near_number(draw, words, at)
                words[at] = _other_argument(draw, words[at])
            case 8:
                words[at:at] = _growing(draw)
    return b"".join(words)[:900_000] + rest


def _near_number(draw: random.Random, words: list[bytes], at: int) -> int:
    """The next word with a number or a text."""
    kinds = draw.choice((b"KMJ\x8aI", b"KMJ\x8aIhj", b"X\x8cUVST", b"c"))
    return next((n for n in (*range(at, len(words)), *range(at)) if words[n][0] in kinds), at)


def _other_argument(draw: random.Random, word: bytes) -> bytes:
    head, argument = word[:1], word[1:]
    if head in b"KMJ":
        return _integer(draw, int.from_bytes(argument, "little"))
    if head == b"\x8a":
        return _integer(draw, int.from_bytes(argument[1:], "little", signed=True))
    if head in b"hj":
        return head + (draw.randrange(40)).to_bytes(len(argument), "little")
    if head in (b"X", b"\x8c", b"U", b"T"):
        width = 4 if head in b"XT" else 1
        text = argument[width:]
        text = draw.choice(
            (
                text[:-1],
                text + b"x",
                text[::-1],
                b"",
                b"\xed\xa0\x80",
                b"a\0b",
                b"../" + text,
                text.upper(),
                b"0",
                b"9" * 99,
            )
        )
        return head + min(len(text), 255).to_bytes(width, "little") + text[:255]
    if head == b"c":
        return draw.choice([word for word in _WORDS if word.startswith(b"c")])
    return head + bytes(byte ^ 1 for byte in argument)


def _integer(draw: random.Random, old: int) -> bytes:
    value = draw.choice((*NUMBERS, *LARGE, old + 1, old - 1, -old, -1, 2 * old, old // 2, 10**30, -(2**63)))
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def _growing(draw: random.Random) -> list[bytes]:
    """A value that is small in the file and large to look at, or deep."""
    count = draw.choice((10, 30, 300, 3000))
    match draw.randrange(4):
        case 0:  # lists in lists
            return [b"]"] * count + [b"a"] * (count - 1)
        case 1:  # a pair of the same pair of the same pair
            return [b"N", *[b"2", b"\x86"] * min(count, 60)]
        case 2:  # a tuple of one value many times
            return [b"(", b"K\1", *[b"2"] * (30 * count), b"t"]
        case _:  # a dictionary with tuples as keys
            return [b"}", b"N", *[b"\x85"] * count, b"K\1", b"s"]
