"""The TSV files of LXMERT (10 columns) and of bottom-up-attention (6 columns), read line by line.

The columns, without a header line, are:

    10: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features
     6: image_id, image_w, image_h, num_boxes, boxes, features          (width before height, unlike the other)

Arrays are little-endian in base64: ids int64, everything else float32.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.messages import escaped

from .base import KNOWN_LAYOUTS, DamagedImage, Entry

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
        self.path = path
        self.size = path.stat().st_size
        self.rows_without_id = 0
        if not self.size:
            raise ValueError(f"{path} is empty; a file of features was expected.")
        with path.open("rb") as file:
            count = file.readline(_MAX_LINE_BYTES).count(b"\t") + 1
        if count not in _COLUMNS:
            raise ValueError(
                f"{path} holds features in an unknown layout: its first line has {count} columns, separated by tabs, "
                f"and 10 or 6 were expected. Known are {KNOWN_LAYOUTS}."
            )
        self._columns = _COLUMNS[count]

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is the offset of a line, and the checksum of the line before it."""
        offset, line = (position["offset"], position["line"]) if position else (0, 0)
        with self.path.open("rb", buffering=_BUFFER) as file:
            if position:
                self._check_unchanged(file, position)
            file.seek(offset)
            while text := file.readline(_MAX_LINE_BYTES):
                line += 1
                start, offset = offset, offset + len(text)
                complete = text.endswith(b"\n")
                where = f"{self.path}, line {line}"
                if not complete and len(text) == _MAX_LINE_BYTES:
                    raise ValueError(f"{where}: it is longer than {_MAX_LINE_BYTES:,} bytes, too long for an image.")
                name = text[:300].partition(b"\t")[0].decode("utf-8", "replace")
                if len(name) < 300:
                    where += f", image {escaped(name)!r}"
                after = {"offset": offset, "line": line, "begin": start, "crc": zlib.crc32(text)}
                yield Entry(where, len(text), after, partial(self._read, text, complete))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return position["offset"] if position else 0

    def _check_unchanged(self, file: BinaryIO, position: dict[str, Any]) -> None:
        file.seek(position["begin"])
        last = file.read(min(position["offset"] - position["begin"], _MAX_LINE_BYTES))
        if zlib.crc32(last) != position["crc"]:
            raise ValueError(
                f"{self.path} has changed since the import began: line {position['line']}, the last one read, is "
                "different now. Pass the file as it was, or start over (--restart)."
            )

    def _read(self, text: bytes, complete: bool) -> ImageRegions:
        columns = text.rstrip(b"\r\n").split(b"\t")
        try:
            if len(columns) != len(self._columns):
                raise DamagedImage(f"a line has {len(self._columns)} columns; this one has {len(columns)}.")
            return _decode(dict(zip(self._columns, columns, strict=True)))
        except DamagedImage as error:
            if complete:
                raise
            raise DamagedImage(f"{error} The file ends inside of this line, so it is truncated.") from None


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
