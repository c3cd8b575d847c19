"""The columns of TSV files: their names, the published orders, and what a row says of its image.

Arrays are little-endian in base64: ids int64, everything else float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage
from lxmert.data.features.sources.base64_arrays import MAX_REGIONS, array, integer, plain_cell
from lxmert.utils.messages import first_few, unknown_keyword_message

IGNORED = "_"
# The names of columns, and other spellings of them.
SPELLINGS = {
    "image_id": ("img_id", "imageid", "img_key", "key", "id"),
    "image_h": ("img_h", "image_height", "img_height", "height", "h"),
    "image_w": ("img_w", "image_width", "img_width", "width", "w"),
    "num_boxes": ("num_box", "num_bbox", "num_bboxes", "boxes_num"),
    "boxes": ("bbox", "bboxes", "box"),
    "features": ("feature", "feats", "feat"),
    "objects_id": ("objects_ids", "object_ids", "obj_id", "obj_ids"),
    "objects_conf": ("objects_confidence", "object_confidence", "obj_conf"),
    "attrs_id": ("attrs_ids", "attribute_ids", "attr_id", "attr_ids"),
    "attrs_conf": ("attrs_confidence", "attribute_confidence", "attr_conf"),
    IGNORED: ("classes", "objects", "labels", "attrs", "attributes", "attr_gt_thresh", "scores", "cls_scores"),
}
_NAMES = {spelling: name for name, spellings in SPELLINGS.items() for spelling in (name, *spellings)}
_LABELS = (
    ("objects_id", "object_ids", "<i8"),
    ("objects_conf", "object_confidence", "<f4"),
    ("attrs_id", "attribute_ids", "<i8"),
    ("attrs_conf", "attribute_confidence", "<f4"),
)
_SIDES = {"image_h": "the height", "image_w": "the width"}
_DETECTED = ("num_boxes", "boxes", "features")
_LABEL_COLUMNS = ("objects_id", "objects_conf", "attrs_id", "attrs_conf")
LXMERT = ("image_id", "image_h", "image_w", *_LABEL_COLUMNS, *_DETECTED)
WIDTH_FIRST = ("image_id", "image_w", "image_h", *_DETECTED)
HEIGHT_FIRST = ("image_id", "image_h", "image_w", *_DETECTED)
_MORE = ((), ("_",), ("_", "_"), ("_", "_", "_"), _LABEL_COLUMNS)  # classes and attributes in one or another form
# Orders of columns without a header line. Of those of a length, the rows show which it is.
ORDERS: tuple[tuple[str, ...], ...] = (
    LXMERT,
    *((*order, *more) for order in (WIDTH_FIRST, HEIGHT_FIRST) for more in _MORE),
    ("image_id", "image_h", "image_w", "num_boxes", "_", "_", "boxes", "features"),  # labels and attributes before
    ("_", "_", "_", "_", *LXMERT),  # VL-BERT for hateful memes: id, img, label, text before
    ("_", "_", "_", *LXMERT),
    ("image_id", "num_boxes", "features"),
)


def parse_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The names that a user gives columns, without other spellings.

    Raises:
        ValueError: an unknown name, naming the nearest; one twice; or columns without what an image needs.
    """
    columns = tuple(_NAMES.get(name.strip().lower(), "") for name in names)
    for name, column in zip(names, columns, strict=True):
        if not column:
            known = [*SPELLINGS, *(s for spellings in SPELLINGS.values() for s in spellings if len(s) > 2)]
            message = unknown_keyword_message(name, known, "column")
            raise ValueError(f"--columns: {message} {IGNORED} is a column that is not read.")
    twice = sorted({name for name in columns if name != IGNORED and columns.count(name) > 1})
    missing = [name for name in ("image_id", "features") if name not in columns]
    if missing or twice:
        wrong = [f"{first_few(twice)} twice"] if twice else []
        wrong += [f"no {', no '.join(missing)}"] if missing else []
        raise ValueError(f"--columns must name each column once, and image_id and features; it has {', '.join(wrong)}.")
    return columns


def header_columns(cells: Sequence[bytes]) -> tuple[str, ...] | None:
    """The columns that a header line names; None if a line is not a header.

    Of two spellings of a name, such as img_id and id, the one that comes first in `SPELLINGS` counts.
    """
    given = [cell[:100].decode("utf-8", "replace").strip().lower() for cell in cells]
    places = {}
    for name, spellings in SPELLINGS.items():
        spelling = next((spelling for spelling in (name, *spellings) if spelling in given), None)
        if spelling is not None and name != IGNORED:
            places[given.index(spelling)] = name
    if not {"image_id", "features"} <= set(places.values()):
        return None
    return tuple(places.get(place, IGNORED) for place in range(len(given)))


def fits_row(columns: Sequence[str], cells: Sequence[bytes]) -> bool:
    """Whether the cells of a row can be what the columns say."""
    row = dict(zip(columns, cells, strict=True))
    try:
        count = integer("num_boxes", row["num_boxes"], MAX_REGIONS)
        if "boxes" in row:
            integer("image_h", row["image_h"]), integer("image_w", row["image_w"])
            array("boxes", row["boxes"], "<f4", count, 4)
        for column, _, dtype in _LABELS:
            if column in row:
                array(column, row[column], dtype, count, 1)
        array("features", row["features"], "<f4", count, None)
    except DamagedImage:
        return False
    return True


def read_row(row: dict[str, bytes]) -> ImageRegions:
    """The regions of an image; without columns for boxes and sizes these are empty."""
    try:
        name = plain_cell(row["image_id"]).decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedImage("the image's id is not UTF-8.") from None
    size = tuple(integer(side, row[column]) for column, side in _SIDES.items() if column in row)
    if "num_boxes" in row:
        count = integer("num_boxes", row["num_boxes"], MAX_REGIONS)
    elif "boxes" in row:
        count = len(array("boxes", row["boxes"], "<f4", None, 4))
    else:
        raise DamagedImage("the number of its regions is unknown: it has no num_boxes and no boxes.")
    labels = {
        label: array(column, row[column], dtype, count, 1).reshape(count)
        for column, label, dtype in _LABELS
        if column in row
    }
    boxes = array("boxes", row["boxes"], "<f4", count, 4) if "boxes" in row else np.zeros((0, 4), np.float32)
    return ImageRegions(name, array("features", row["features"], "<f4", count, None), boxes, size, **labels)
