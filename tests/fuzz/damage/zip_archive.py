"""Damage of zip archives: in their directory and headers, and in members of an archive that is itself whole."""

from __future__ import annotations

import io
import random
import zipfile
from functools import lru_cache

from .any_bytes import damaged
from .parts import Parts, with_other_numbers

_DATE = (1980, 1, 1, 0, 0, 0)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive, the same bytes for the same members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, compression)
    return content.getvalue()


@lru_cache(maxsize=64)
def zip_parts(content: bytes) -> Parts:
    """The numbers of the directory, its end and the local headers."""
    parts = Parts()
    end = content.rfind(b"PK\5\6")
    if end < 0:
        return parts
    for step, kind in ((4, "count"), (6, "count"), (8, "count"), (10, "count"), (20, "size")):
        parts.add(end + step, 2, kind, end)
    parts.add(end + 12, 4, "size", end), parts.add(end + 16, 4, "address", end)
    at = int.from_bytes(content[end + 16 : end + 20], "little")
    parts.addresses += [at, end]
    while content[at : at + 4] == b"PK\1\2":
        start = at
        for step, width, kind in (
            *((4, 2, "type"), (6, 2, "type"), (8, 2, "type"), (10, 2, "type"), (16, 4, "value"), (20, 4, "size")),
            *((24, 4, "size"), (28, 2, "size"), (30, 2, "size"), (32, 2, "size"), (34, 2, "count"), (38, 4, "type")),
            (42, 4, "address"),
        ):
            parts.add(at + step, width, kind, at)
        local = int.from_bytes(content[at + 42 : at + 46], "little")
        parts.addresses += [at, local]
        for step, width, kind in (
            *((4, 2, "type"), (6, 2, "type"), (8, 2, "type"), (14, 4, "value"), (18, 4, "size"), (22, 4, "size")),
            *((26, 2, "size"), (28, 2, "size")),
        ):
            parts.add(local + step, width, kind, local)
        lengths = [int.from_bytes(content[at + step : at + step + 2], "little") for step in (28, 30, 32)]
        at += 46 + sum(lengths)
        parts.pieces.append((start, at))
    return parts


def damaged_zip(draw: random.Random, content: bytes) -> bytes:
    """An archive with other numbers, entries twice or left out, or a second directory."""
    parts = zip_parts(content)
    if not parts.pieces or draw.random() < 0.7:
        return with_other_numbers(draw, content, parts)
    end = content.rfind(b"PK\5\6")
    start = parts.pieces[0][0]
    entries = [content[first:last] for first, last in parts.pieces]
    tail = content[end:]
    match draw.randrange(4):
        case 0:
            entries.append(draw.choice(entries))
        case 1:
            entries.remove(draw.choice(entries))
        case 2:
            entries = [draw.choice(entries)] * draw.choice((2, 500, 5000))
        case 3:  # another directory behind this one, or in front of it
            changed = with_other_numbers(draw, content, parts)
            return content[:end] + draw.choice((changed[start:end], b"")) + tail[:20] + b"\0\0" + changed[start:]
    directory = b"".join(entries)
    head = tail[:8] + (len(entries) % 2**16).to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little")
    return content[:start] + directory + head + start.to_bytes(4, "little") + tail[20:]


def with_damaged_member(draw: random.Random, content: bytes, damage_of: object) -> bytes:
    """A whole archive with one member damaged by what its name and content call for, now and then renamed or lost."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        stored = all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    names = sorted(members, key=lambda name: len(members[name]) > 40 or name.endswith(".pkl"), reverse=True)
    told = [name for name in names if name.endswith((".pkl", ".h5", ".json", ".npy"))] or names
    name = draw.choice(told)
    members[name] = damage_of(draw, name, members[name]) if draw.random() < 0.9 else damaged(draw, members[name])  # type: ignore[operator]
    match draw.randrange(14):
        case 0:
            members.pop(draw.choice(names))
        case 1:
            moved = draw.choice(names)
            members[draw.choice(("../" + moved, moved.upper(), "/" + moved, moved + "\0x", "é" + moved))] = members.pop(
                moved, b""
            )
        case 2:  # much that packs well
            members[draw.choice(names)] = bytes(draw.choice((10**6, 3 * 10**7)))
    kinds = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    packed = not stored or sum(map(len, members.values())) > 10**6
    kind = draw.choice(kinds) if packed else zipfile.ZIP_STORED
    try:
        return zipped(members, kind)
    except MemoryError:  # LZMA packs in a hundred megabytes, which a worker with a framework may not have left
        return zipped(members, zipfile.ZIP_DEFLATED)
