"""JSON about one image: a cell of VinVL's and Oscar's TSV files, or a file of VL-BERT's.

VinVL       {"image_h", "image_w", "objects": [{"rect": [x1, y1, x2, y2], "feature": base64, "class", "conf"}, ...]}
Oscar       {"num_boxes", "features": base64}; and a list of objects with rect in another file
VL-BERT     {"image_h", "image_w", "num_boxes", "boxes": base64, "features": base64, "classes": base64}
sizes       [{"height", "width"}], or one object of them
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lxmert.data.features.sources.base import DamagedImage
from lxmert.data.features.sources.base64_arrays import MAX_REGIONS, array
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import shown

_MOST_VALUES = 500_000  # fifty for each of `MAX_REGIONS`
_LARGEST_SIDE = 2**31  # pixels
_HEIGHTS, _WIDTHS = ("image_h", "image_height", "height"), ("image_w", "image_width", "width")


class Content(NamedTuple):
    """What JSON says of an image: features [R, F], boxes [R, 4] in pixels, height and width; None is not said."""

    features: np.ndarray | None = None
    boxes: np.ndarray | None = None
    size: tuple[int, int] | None = None

    def completed(self, other: Content) -> Content:
        """With what another file says."""
        return Content(
            self.features if self.features is not None else other.features,
            self.boxes if self.boxes is not None else other.boxes,
            self.size or other.size,
        )


def parse_content(text: bytes) -> Content:
    """The content of JSON; a DamagedImage error for anything else."""
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:  # arrays in base64 have none of these
        raise DamagedImage(f"its JSON has more than {_MOST_VALUES:,} values, too many for an image.")
    try:
        values = parse_json(text, "the JSON of the image", (dict, list))
    except ValueError as error:
        raise DamagedImage(f"its JSON is damaged: {error}") from None
    if isinstance(values, list):
        return _objects(values)
    content = _objects(values["objects"]) if isinstance(values.get("objects"), list) else _arrays(values)
    return content.completed(Content(size=_size(values)))


def _objects(values: list[Any]) -> Content:
    if not all(isinstance(value, dict) for value in values):
        raise DamagedImage("its JSON must hold a list of objects with rect.")
    if len(values) == 1 and "rect" not in values[0]:
        return Content(size=_size(values[0]))
    if not values or len(values) > MAX_REGIONS:
        raise DamagedImage(f"it must have 1 to {MAX_REGIONS:,} objects; it has {len(values):,}.")
    try:
        with reading("its rect"):
            boxes = np.array([value["rect"] for value in values], np.float32)
    except InvalidFileError:
        raise DamagedImage("each of its objects must have a rect of four numbers, x1, y1, x2, y2.") from None
    if "feature" not in values[0]:
        return Content(boxes=boxes)
    texts = [value.get("feature") for value in values]
    rows = [array("feature", _encoded("feature", text), "<f4", 1, None)[0] for text in texts]
    if len({len(row) for row in rows}) != 1:
        raise DamagedImage("the features of its objects must have one size.")
    return Content(np.stack(rows), boxes)


def _arrays(values: dict[str, Any]) -> Content:
    count = values.get("num_boxes")
    if count is not None and (type(count) is not int or not 1 <= count <= MAX_REGIONS):
        raise DamagedImage(f"num_boxes must be an integer from 1 to {MAX_REGIONS:,}; got {shown(count, 40)}.")
    boxes = array("boxes", _encoded("boxes", values["boxes"]), "<f4", count, 4) if "boxes" in values else None
    count = count or (len(boxes) if boxes is not None else None)
    if "features" not in values:
        return Content(boxes=boxes)
    if count is None:
        raise DamagedImage("the number of its regions is unknown: it has no num_boxes and no boxes.")
    return Content(array("features", _encoded("features", values["features"]), "<f4", count, None), boxes)


def _encoded(name: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise DamagedImage(f"its {name} must be base64; got {type(text).__name__}.")
    return text.encode("utf-8", "replace")


def _size(values: dict[str, Any]) -> tuple[int, int] | None:
    sides = [values[name] for names in (_HEIGHTS, _WIDTHS) for name in names if name in values]
    if len(sides) != 2:
        return None
    if any(type(side) not in (int, float) or not abs(side) < _LARGEST_SIDE or side % 1 for side in sides):
        raise DamagedImage(f"its height and width must be integers; got {shown(sides, 60)}.")
    return int(sides[0]), int(sides[1])
