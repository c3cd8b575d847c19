"""VCR: the JSON file of an image, with the boxes, classes and outlines of its objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.utils.foreign_files import read_small
from lxmert.utils.json_files import LARGEST_JSON, parse_json
from lxmert.utils.messages import shown
from lxmert.vision.vcr.objects import ImageObjects

_LISTED = 8  # faults in an error
_MOST = 1e9  # a larger number is no coordinate, and neither is NaN


class VcrMetadata(NamedTuple):
    """What VCR says of an image.

    Attributes:
        objects: the boxes, classes and outlines of its objects, in their order.
        size: its height and width in pixels; None where the file does not say them.
    """

    objects: ImageObjects
    size: tuple[int, int] | None


def metadata_path(image: str | Path) -> Path:
    """The JSON file of an image: it has the image's name, and is next to it."""
    return Path(image).with_suffix(".json")


def read_vcr_metadata(path: str | Path) -> VcrMetadata:
    """Read the JSON file of an image.

    Args:
        path: the file. Of it are read `boxes` (x1, y1, x2, y2 in pixels of the image, and maybe the confidence),
            `names` (the class of each), `segms` (for each its polygons, lists of x, y), and `width` and `height`. The
            last three may be missing.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is not JSON or far too large, or values are missing or not as described; the message has all.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}, the metadata of the image, is missing. VCR has a .json file of the boxes and names of the "
            "objects next to each image."
        )
    values = parse_json(read_small(path, LARGEST_JSON, "the metadata of an image"), path)
    faults: list[str] = []
    boxes, confidence = _boxes(values, faults)
    names = values.get("names")
    if type(names) is not list or not all(type(name) is str for name in names):
        faults.append(f"names must be a list of the classes of the boxes; {_given(values, 'names')}")
    elif len(names) != len(boxes):
        faults.append(f"names must be as many as boxes, {len(boxes)}; got {len(names)}")
    polygons = _polygons(values, len(boxes), faults)
    if faults:
        more = f"; and {len(faults) - _LISTED:,} more" if len(faults) > _LISTED else ""
        raise ValueError(f"{path}: {'; '.join(faults[:_LISTED])}{more}.")
    return VcrMetadata(ImageObjects(boxes, tuple(names or ()), polygons, confidence), _size(path, values))


def _boxes(values: dict[str, Any], faults: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Boxes ``[N, 4]``, and how sure they are, ``[N]`` or None."""
    rows = values.get("boxes")
    if type(rows) is not list:
        faults.append(f"boxes must be a list of x1, y1, x2, y2 and maybe a confidence; {_given(values, 'boxes')}")
        return np.zeros((0, 4)), None
    wrong = [
        f"box {number} must be 4 or 5 numbers; got {shown(row)}"
        for number, row in enumerate(rows)
        if not _are_numbers(row, (4, 5))
    ]
    if not wrong and len({len(row) for row in rows}) > 1:
        wrong.append("either all boxes or none must have a confidence behind x1, y1, x2, y2")
    if wrong:
        faults += wrong
        return np.zeros((len(rows), 4)), None
    table = np.array(rows, np.float64).reshape(len(rows), -1 if rows else 4)
    if table.shape[1] == 4:
        return table, None
    for number in np.flatnonzero((table[:, 4] < 0) | (table[:, 4] > 1)).tolist():
        faults.append(f"the confidence of box {number} must be 0 to 1; got {rows[number][4]}")
    return table[:, :4], table[:, 4].astype(np.float32)


def _polygons(values: dict[str, Any], count: int, faults: list[str]) -> list[list[np.ndarray]] | None:
    """For each object its polygons; None where the file has no outlines."""
    objects = values.get("segms")
    if objects is None:
        return None
    if type(objects) is not list or len(objects) != count:
        given = f"got {len(objects)}" if type(objects) is list else _given(values, "segms")
        faults.append(f"segms must be a list of the polygons of each of the {count} boxes; {given}")
        return None
    found: list[list[np.ndarray]] = []
    for number, polygons in enumerate(objects):
        right = type(polygons) is list and all(
            type(polygon) is list and all(_are_numbers(point, (2,)) for point in polygon) for polygon in polygons
        )
        if not right:
            faults.append(f"the segms of object {number} must be polygons, lists of [x, y]; got {shown(polygons)}")
            continue
        found.append([np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons])
    return found


def _size(path: Path, values: dict[str, Any]) -> tuple[int, int] | None:
    sides = values.get("height"), values.get("width")
    if sides == (None, None):
        return None
    if not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(
            f"{path}: height and width must be positive integers; got {shown(sides[0])} and {shown(sides[1])}."
        )
    return sides  # type: ignore[return-value]


def _are_numbers(row: Any, counts: tuple[int, ...]) -> bool:
    return type(row) is list and len(row) in counts and all(type(x) in (int, float) and abs(x) < _MOST for x in row)


def _given(values: dict[str, Any], key: str) -> str:
    return f"got {shown(values[key])}" if key in values else "there are none"
