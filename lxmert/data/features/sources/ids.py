"""Files beside features: the ids of rows, and the sizes of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError, first_bytes, read_small, reading
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import shown
from lxmert.utils.plain_pickle import is_pickle, load_plain_pickle

from .arrays.rows import parse_array

_MAX_JSON_BYTES = 512 * 2**20


def read_large_json(path: Path, kind: type | tuple[type, ...]) -> Any:
    """The content of a JSON file with something about every image."""
    return parse_json(read_small(path, _MAX_JSON_BYTES, "a list of images"), path, kind)


def ids_beside(path: Path, features: Path, count: int) -> list[tuple[str, int]]:
    """Ids and rows of a file of ids, sorted by rows. An object may leave out rows; lists and text have them all.

    Args:
        path: a JSON object of ids and rows, or a pickle of the same; a JSON list of ids, a .npy file, or text with one
            id per line.
        features: the file of the rows, for messages.
        count: its rows.

    Raises:
        ValueError: no such file, or ids that do not fit the rows.
    """
    ids, every_row = _read_ids(path)
    if every_row:
        check_every_row(len(ids), count, str(path), features)
    wrong = [(name, row) for name, row in ids if not 0 <= row < count]
    if wrong:
        raise ValueError(
            f"{path}: the rows must be 0 to {count - 1:,}, those of {features}; that of {shown(wrong[0][0])} is "
            f"{shown(wrong[0][1])}."
        )
    return sorted(ids, key=lambda pair: pair[1])


def id_text(value: str | bytes | int) -> str:
    """An id as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def id_texts(values: Any, where: str) -> list[str]:
    """Ids as text.

    Args:
        values: strings, bytes or integers [N].
        where: the file, for messages.

    Raises:
        InvalidFileError: anything else.
    """
    if isinstance(values, list) and all(type(value) in (str, bytes, int) for value in values):
        return [id_text(value) for value in values]  # in an array all would be as long as the longest
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iuSU":
        held = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else shown(values)
        raise InvalidFileError(f"{where} must be strings or integers [N]; it is {held}.")
    with reading(where, "is damaged"):  # numbers that are no characters
        return [id_text(value) for value in values.tolist()]


def check_every_row(given: int, count: int, where: str, features: Path) -> None:
    """Refuse another number of ids than rows: they would belong to other rows, or images would be lost."""
    if given != count:
        raise ValueError(
            f"{where} must have one id for each of the {count:,} rows of {features}; it has {given:,}. To import only "
            "some of the rows, pass --ids a JSON object of ids and rows."
        )


def _read_ids(path: Path) -> tuple[list[tuple[str, int]], bool]:
    """Ids with their rows, and whether the file must have one for every row, as it has no row numbers."""
    values = _read_values(path)
    pairs = list(values.items()) if isinstance(values, dict) else [(value, i) for i, value in enumerate(values)]
    result = []
    for name, row in pairs:
        if isinstance(name, bool) or not isinstance(name, (str, int)) or type(row) is not int:
            raise ValueError(
                f"{path} must hold ids (strings or integers) and rows; it holds {shown(name)}: {shown(row)}."
            )
        result.append((str(name).strip(), row))
    return result, not isinstance(values, dict)


def _read_values(path: Path) -> dict[Any, Any] | list[Any]:
    start = first_bytes(path, 64)
    if is_pickle(start) or start.startswith(b"\x93NUMPY"):
        values = load_plain_pickle(path) if is_pickle(start) else parse_array(path.read_bytes(), str(path))
        if isinstance(values, np.ndarray):
            return id_texts(values, str(path))
        if not isinstance(values, (dict, list)):
            raise ValueError(f"{path} must hold ids as a dictionary or a list; it holds {type(values).__name__}.")
        return values
    if start.lstrip()[:1] in (b"{", b"["):
        return read_large_json(path, (dict, list))
    with reading(path, "must hold ids as JSON, or as text with one id per line; it is neither"):
        return path.read_text("utf-8-sig").splitlines()


def read_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Height and width of images by id.

    Args:
        path: a JSON object of ids and [height, width]; or annotations of COCO, with id, height and width of `images`.

    Raises:
        ValueError: anything else.
    """
    values = read_large_json(path, dict)
    if isinstance(values.get("images"), list):
        values = {id_text(_size_entry(path, entry, "id")): entry for entry in values["images"]}
    sizes = {}
    for name, entry in values.items():
        pair = [_size_entry(path, entry, side) for side in ("height", "width")] if isinstance(entry, dict) else entry
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(side) is int and side > 0 for side in pair)
        if not whole:
            raise ValueError(
                f"{path} must hold [height, width] in pixels by id; that of {shown(name)} is {shown(pair)}."
            )
        sizes[str(name)] = (pair[0], pair[1])
    return sizes


def _size_entry(path: Path, entry: Any, key: str) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), (str, int)):
        raise ValueError(f"{path} must hold id, height and width of images; an entry is {shown(entry)}.")
    return entry[key]
