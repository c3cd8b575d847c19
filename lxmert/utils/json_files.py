"""JSON from outside: bounded in size, and errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .foreign_files import check_depth, read_small, reading
from .messages import shown

# Far above any config.json, so that a file made to fill the memory is refused before it is read.
LARGEST_JSON = 16 * 2**20
LARGEST_CONFIG = 4 * 2**20  # of a config.json: its labels are at most 65,536


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object, as `object_pairs_hook`; a ValueError for a key that is there twice.

    `json.loads` alone keeps the last of them without a word, and other programs keep the first.
    """
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} is there twice in one object")
    return members


def parse_json(text: str | bytes, place: str | Path, kind: type | tuple[type, ...] = dict) -> Any:
    """Parse JSON found at `place`, bytes as UTF-8; `kind` is what it must hold: dict, list, or a tuple of both.

    Raises:
        ValueError: not JSON, a key that is there twice in an object, JSON of another kind, or nested very deep.
    """
    with reading(place, "is not a JSON file"):
        values = json.loads(text, object_pairs_hook=unique_members)
    check_depth(values, place)
    if not isinstance(values, kind):
        wanted = "object of keys and values" if kind is dict else "list" if kind is list else "list or object"
        raise ValueError(f"{place} must hold a JSON {wanted}; it holds a {type(values).__name__}.")
    return values


def read_json(path: str | Path, kind: type | tuple[type, ...] = dict, most: int = LARGEST_JSON) -> Any:
    """Read a JSON file of at most `most` bytes; the same as `parse_json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: not JSON, JSON of another kind, or a file far larger than any description of a model.
    """
    return parse_json(read_small(path, most, "a description of a model"), path, kind)
