"""The TSV files of LXMERT (10 columns) and of bottom-up-attention (6 columns), read line by line.

The columns, without a header line, are:

    10: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features
     6: image_id, image_w, image_h, num_boxes, boxes, features          (width before height, unlike the other)

Arrays are little-endian in base64: ids int64, everything else float32.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.messages import escaped

from .base import DamagedImage, Entry
from .found import Found
from .records import Record, RecordFile

_COLUMNS = {
    10: ["id", "h", "w", "objects_id", "objects_conf", "attrs_id", "attrs_conf", "num_boxes", "boxes", "features"],
    6: ["id", "w", "h", "num_boxes", "boxes", "features"],
}
_LABELS = (
    ("objects_id", "object_ids", "<i8"),
    ("objects_conf", "object_confidence", "<f4"),
    ("attrs_id", "attribute_ids", "<i8"),
    ("attrs_conf", "attribute_confidence", "<f4"),
)
_MAX_LINE_BYTES = 64 * 2**20  # a hundred regions have about one million
_MAX_REGIONS = 10_000  # of an image
_BUFFER = 2**20


class Tsv:
    """A TSV file of either kind; the number of columns of its first line shows which.

    Raises:
        ValueError: neither.
    """

    def __init__(self, path: Path):
        self._file = RecordFile(path)
        self.path, self.size, self.rows_without_id = path, self._file.size, 0
        first = self._file.first()
        self._columns = _COLUMNS[len(first.cells) if first else 0]

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`."""
        before = self.consumed(position)
        for record in self._file.records(position, len(self._columns)):
            where = f"{self.path}, line {record.line}"
            name = record.cells[0][:300].decode("utf-8", "replace")
            if len(name) < 300:
                where += f", image {escaped(name)!r}"
            size, before = record.packed_end - before, record.packed_end
            yield Entry(where, size, record.position(), partial(self._read, record))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return self._file.consumed(position)

    def _read(self, record: Record) -> ImageRegions:
        columns = record.cells
        try:
            if len(columns) != len(self._columns):
                raise DamagedImage(f"a line has {len(self._columns)} columns; this one has {len(columns)}.")
            return _decode(dict(zip(self._columns, columns, strict=True)))
        except DamagedImage as error:
            if record.complete:
                raise
            raise DamagedImage(f"{error} The file ends inside of this line, so it is truncated.") from None


def has_columns(found: Found, count: int) -> bool:
    """Whether a text's first line has so many columns."""
    return bool(found.first_record and len(found.first_record.cells) == count)


def _decode(columns: dict[str, bytes]) -> ImageRegions:
    try:
        name = columns["id"].decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedImage("the image's id is not UTF-8.") from None
    count = _integer("num_boxes", columns["num_boxes"], _MAX_REGIONS)
    size = _integer("the height", columns["h"]), _integer("the width", columns["w"])
    labels = {
        label: _array(column, columns[column], dtype, count, 1).reshape(count)
        for column, label, dtype in _LABELS
        if column in columns
    }
    boxes = _array("boxes", columns["boxes"], "<f4", count, 4)
    features = _array("features", columns["features"], "<f4", count, None)
    return ImageRegions(name, features, boxes, size, **labels)


def _integer(name: str, text: bytes, most: int = 2**31) -> int:
    if not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= most:
        raise DamagedImage(f"{name} must be an integer from 1; got {text[:20].decode('utf-8', 'replace')!r}.")
    return int(text)


def _array(name: str, text: bytes, dtype: str, count: int, width: int | None) -> np.ndarray:
    """The array in base64, [count, width]; without a width, as wide as the number of bytes makes it."""
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise DamagedImage(f"its {name} are damaged base64: {error}.") from None
    each = count * np.dtype(dtype).itemsize
    if len(content) != each * width if width else (len(content) % each or not content):
        wanted = f"{each * width:,}" if width else f"a multiple of {each:,}"
        raise DamagedImage(f"its {name} must have {wanted} bytes for num_boxes {count}; they have {len(content):,}.")
    return np.frombuffer(content, dtype).reshape(count, -1)
