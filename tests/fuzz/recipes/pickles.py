"""Pickles, and the archives that PyTorch keeps them in."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path

from ..damage.zip_archive import zip_parts
from ..sources import Source
from .recipe import REFUSED, Recipe, Ways

_TOWER = b"N" + b"2\x86" * 100  # a pair of one pair twice, a hundred times
_TEXT = b"X" + (300_000).to_bytes(4, "little") + b"x" * 300_000
# What is set in the dictionary that a file holds: keys and values.
_ITEMS = {
    "key whose text does not end": _TOWER + b"Ns",
    "value whose text does not end": b"U\1x" + _TOWER + b"s",
    "key of lists": b"]" * 3000 + b"a" * 2999 + b"Ns",
    "deep value": b"U\1x" + b"]" * 200_000 + b"a" * 199_999 + b"s",
    "deep tuples": b"U\1x" + b"N" + b"\x85" * 300_000 + b"s",
    "million words": b"N0" * 450_000,
    "long key": _TEXT + b"Ns",
    "one text many times": b"U\1x(" + _TEXT + b"2" * 300_000 + b"ls",
    "huge integer": b"U\1xL" + b"9" * 5000 + b"L\ns",
    "huge binary integer": b"U\1x\x8b" + (300_000).to_bytes(4, "little") + b"\x7f" * 300_000 + b"s",
    "huge integer as a key": b"\x8b" + (300_000).to_bytes(4, "little") + b"\x7f" * 300_000 + b"Ns",
    "call": b"U\1xcos\nsystem\n(U\4true\x85Rs",
}
# The whole pickle.
_PROGRAMS = {
    "deep lists alone": b"\x80\2" + b"]" * 300_000 + b"a" * 299_999 + b".",
    "marks alone": b"\x80\2" + b"(" * 900_000 + b".",
    "tower alone": b"\x80\2" + _TOWER + b".",
    "million words alone": b"\x80\2" + b"N0" * 450_000 + b"N.",
    "huge integer alone": b"\x80\2L" + b"9" * 5000 + b"L\n.",
    "claimed text": b"\x80\2X\xff\xff\xff\x7fa.",
    "claimed memory": b"\x80\2Nr\xff\xff\xff\x7f.",
}


def ways(name: str, content: bytes) -> Ways:
    """A pickle with other items in its dictionary, and others in its place."""
    if content[:1] == b"\x80" and content[1:2] in b"\2\3\4\5":
        start, end = _main_program(content)
        words = [word for word in _words(content[start:end]) if not word.startswith(b"\x95")]  # frames
        for recipe, item in _ITEMS.items():
            if _is_dictionary(words):
                changed = b"".join(words[:-1]) + item + b"."
                yield f"pickle: {recipe}", content[:start] + changed + content[end:], ("read", "refused")
        for recipe, program in _PROGRAMS.items():
            yield f"pickle: {recipe}", content[:start] + program + content[end:], REFUSED
    if content.startswith(b"PK\3\4") and b"data.pkl" in content:
        yield "zip: two directories", _two_directories(content), REFUSED
        yield "zip: short record beside another", _short_record(content), REFUSED


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """None beside."""
    del sources, folder
    return []


def _main_program(content: bytes) -> tuple[int, int]:
    """Where the longest of the pickles lies that a file begins with: of PyTorch's older files the fourth."""
    found, start = [(0, len(content))], 0
    while content[start : start + 1] == b"\x80":
        try:
            end = start + [at for _, _, at in pickletools.genops(content[start:])][-1] + 1
        except ValueError:
            break
        found.append((start, end))
        start = end
    return max(found[1:] or found, key=lambda place: place[1] - place[0])


def _words(program: bytes) -> Iterator[bytes]:
    places = [at for _, _, at in pickletools.genops(program)]
    for at, end in zip(places, [*places[1:], len(program)], strict=True):
        yield program[at:end]


def _is_dictionary(words: list[bytes]) -> bool:
    return words[1][:1] == b"}" or b"OrderedDict" in words[1]


def _two_directories(content: bytes) -> bytes:
    """One that the end of the archive points to, and one before that end, of other values at other places."""
    parts = zip_parts(content)
    start, end = parts.pieces[0][0], parts.pieces[-1][1]
    directory = bytearray(content[start:end])
    for first, last in parts.pieces:  # the record of the last tensor is the one of the first there
        name = content[first + 46 : last]
        if b"/data/0" in name:
            moved = content[first + 42 : first + 46]
        if b"/data/1" in name and not name.startswith(b"archive/data/1\0"):
            directory[first - start + 42 : first - start + 46] = moved
    return content[:end] + bytes(directory) + content[end:]


def _short_record(content: bytes) -> bytes:
    """The first record of numbers says that it has one byte, and the next one begins right behind."""
    parts = zip_parts(content)
    data = bytearray(content)
    for first, last in parts.pieces:
        if content[first + 46 : last].split(b"\0")[0].endswith(b"/data/0"):
            local = int.from_bytes(content[first + 42 : first + 46], "little")
            for at in (first + 20, first + 24, local + 18, local + 22):
                data[at : at + 4] = (1).to_bytes(4, "little")
    return bytes(data)
