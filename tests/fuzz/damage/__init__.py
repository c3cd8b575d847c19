"""Damage of files by their format, so that most of it gets past the first check of a reader."""

from __future__ import annotations

import random
from collections.abc import Callable

from .any_bytes import damaged
from .hdf5 import damaged_hdf5
from .json_text import damaged_json, damaged_safetensors
from .lmdb_pages import damaged_lmdb
from .numpy_files import damaged_npy
from .pickles import damaged_pickle
from .pictures import damaged_picture
from .plain_text import damaged_text
from .zip_archive import damaged_zip, with_damaged_member

Damage = Callable[[random.Random, bytes], bytes]
_LARGEST = 1_000_000  # bytes: the bounds on time and memory are for files below


def damage_file(draw: random.Random, name: str, content: bytes) -> bytes:
    """A file with damage that its name and content call for, now and then of any kind."""
    changed = draw.choice(_ways(name, content))(draw, content)
    return changed if len(changed) < _LARGEST else changed[:_LARGEST]


def _ways(name: str, content: bytes) -> tuple[Damage, ...]:
    """The ways to damage a file; one that stands twice is taken more often."""
    if name.startswith("picture"):
        return (damaged_picture,) * 6 + (damaged,)
    if name.endswith(".json"):
        return damaged_json, damaged_json, damaged_json, damaged_text
    if name.endswith(".safetensors"):
        return damaged_safetensors, damaged_safetensors, damaged
    if content.startswith(b"PK"):
        return damaged_zip, _member, _member, damaged
    if content.startswith(b"\x89HDF"):
        return (damaged_hdf5,) * 5 + (damaged,)
    if content.startswith(b"\x93NUMPY"):
        return damaged_npy, damaged_npy, damaged_npy, damaged
    if content.startswith(b"\x80") or name.endswith(".pkl"):
        return damaged_pickle, damaged_pickle, damaged_pickle, damaged
    if content[16:20] == b"\xde\xc0\xef\xbe":
        return damaged_lmdb, damaged_lmdb, _lmdb_values, damaged
    if _is_text(content):
        return damaged_text, damaged_text, damaged_text, _lines_of_json
    return (damaged,)


def _member(draw: random.Random, content: bytes) -> bytes:
    return with_damaged_member(draw, content, damage_file)


def _lmdb_values(draw: random.Random, content: bytes) -> bytes:
    """The pickles inside of a data file: their words, where the length stays."""
    data = bytearray(content)
    starts = [at for at in range(len(data) - 2) if data[at] == 0x80 and data[at + 1] in (3, 4, 5)]
    if starts:
        at = draw.choice(starts)
        changed = damaged_pickle(draw, bytes(data[at : at + 400]))
        data[at : at + min(400, len(changed))] = changed[:400]
    return bytes(data[: len(content)])


def _lines_of_json(draw: random.Random, content: bytes) -> bytes:
    """JSON lines, or a cell of JSON in a line, with other values."""
    if content[:2] == b"\x1f\x8b":
        return damaged(draw, content)
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    start = min((place for place in (lines[at].find(b"{"), lines[at].find(b"[")) if place >= 0), default=-1)
    if start < 0:
        return damaged_text(draw, content)
    lines[at] = lines[at][:start] + damaged_json(draw, lines[at][start:])
    return b"\n".join(lines)


def _is_text(content: bytes) -> bool:
    if content[:2] == b"\x1f\x8b":
        return True
    try:
        content[:4000].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > 3990
    return b"\0" not in content[:4000]
