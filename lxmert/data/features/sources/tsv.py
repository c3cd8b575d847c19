"""The TSV files of LXMERT (10 columns) and of bottom-up-attention (6 columns), read line by line.

The columns are, in this order and without a header:

    10: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features
     6: image_id, image_w, image_h, num_boxes, boxes, features          (width before height, unlike the other one)

with base64 of little-endian arrays: ids int64, everything else float32.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.messages import escaped

from .base import KNOWN, DamagedImage, Entry

_LXMERT = (
    "img_id",
    "img_h",
    "img_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
)
_BOTTOM_UP = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_TITLES = {10: "TSV of LXMERT", 6: "TSV of bottom-up-attention"}
_LONGEST_LINE = 64 * 2**20  # bytes; a hundred regions have about one million
_LARGEST_COUNT = 10_000  # regions of an image
_BUFFER = 2**20


class Tsv:
    """A TSV file of either kind, told by the number of columns of its first line.

    Raises:
        ValueError: neither kind.
    """

    def __init__(self, path: Path):
        self.path = path
        self.size = path.stat().st_size
        self.rows_without_id = 0
        if not self.size:
            raise ValueError(f"{path} is empty; a file of features was expected.")
        with path.open("rb") as file:
            count = file.readline(_LONGEST_LINE).count(b"\t") + 1
        if count not in _TITLES:
            raise ValueError(
                f"{path} holds features in no known way: its first line has {count} columns, separated by tabs, and 10 "
                f"or 6 were expected. Read are {KNOWN}."
            )
        self.title = _TITLES[count]
        self._columns = count

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is where a line begins, and the checksum of the line before it."""
        offset, line = (position["offset"], position["line"]) if position else (0, 0)
        with self.path.open("rb", buffering=_BUFFER) as file:
            if position:
                self._check_same(file, position)
            file.seek(offset)
            while text := file.readline(_LONGEST_LINE):
                line += 1
                begin, offset = offset, offset + len(text)
                whole = text.endswith(b"\n")
                if not whole and len(text) == _LONGEST_LINE:
                    raise ValueError(
                        f"{self.path}, line {line}: it is longer than {_LONGEST_LINE:,} bytes; that is no image."
                    )
                where = f"{self.path}, line {line}"
                name = text[:300].partition(b"\t")[0].decode("utf-8", "replace")
                if len(name) < 300:
                    where += f", image {escaped(name)!r}"
                after = {"offset": offset, "line": line, "begin": begin, "crc": zlib.crc32(text)}
                yield Entry(where, len(text), after, partial(self._image, text, whole))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return position["offset"] if position else 0

    def _check_same(self, file: Any, position: dict[str, Any]) -> None:
        file.seek(position["begin"])
        last = file.read(min(position["offset"] - position["begin"], _LONGEST_LINE))
        if zlib.crc32(last) != position["crc"]:
            raise ValueError(
                f"{self.path} has changed since the import began: line {position['line']}, the last one that was read, "
                "is another one now. Give the file as it was, or begin anew (--restart)."
            )

    def _image(self, text: bytes, whole: bool) -> ImageRegions:
        columns = text.rstrip(b"\r\n").split(b"\t")
        if len(columns) != self._columns:
            cut = "; the file ends inside of this line, so it is cut off" if not whole else ""
            raise DamagedImage(f"a line has {self._columns} columns; this one has {len(columns)}{cut}.")
        try:
            return self._decoded(columns)
        except DamagedImage as error:
            if not whole:
                raise DamagedImage(f"{error} The file ends inside of this line, so it is cut off.") from None
            raise

    def _decoded(self, columns: list[bytes]) -> ImageRegions:
        names = _LXMERT if self._columns == 10 else _BOTTOM_UP
        given = dict(zip((name.removeprefix("image_").removeprefix("img_") for name in names), columns, strict=True))
        try:
            name = given["id"].decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedImage("the image's id is not UTF-8.") from None
        count = _check_integer("num_boxes", given["num_boxes"], _LARGEST_COUNT)
        size = _check_integer("the height", given["h"]), _check_integer("the width", given["w"])
        labels: dict[str, Any] = {}
        if self._columns == 10:
            for column, label, dtype in _LABELS:
                labels[label] = _payload(column, given[column], dtype, count, 1).reshape(count)
        boxes = _payload("boxes", given["boxes"], "<f4", count, 4)
        features = _payload("features", given["features"], "<f4", count, None)
        return ImageRegions(name, features, boxes, size, **labels)


_LABELS = (
    ("objects_id", "object_ids", "<i8"),
    ("objects_conf", "object_confidence", "<f4"),
    ("attrs_id", "attribute_ids", "<i8"),
    ("attrs_conf", "attribute_confidence", "<f4"),
)


def _check_integer(name: str, text: bytes, most: int = 2**31) -> int:
    if not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= most:
        raise DamagedImage(f"{name} must be an integer from 1; got {text[:20].decode('utf-8', 'replace')!r}.")
    return int(text)


def _payload(name: str, text: bytes, dtype: str, count: int, width: int | None) -> np.ndarray:
    """The array behind base64, [count, width]; with `width` None as wide as the bytes allow."""
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise DamagedImage(f"its {name} are damaged base64: {error}.") from None
    each = count * np.dtype(dtype).itemsize
    if len(content) != each * width if width else (len(content) % each or not content):
        wanted = f"{each * width:,}" if width else f"a multiple of {each:,}"
        raise DamagedImage(f"its {name} must have {wanted} bytes for num_boxes {count}; they have {len(content):,}.")
    return np.frombuffer(content, dtype).reshape(count, -1)
