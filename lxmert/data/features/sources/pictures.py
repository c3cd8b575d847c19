"""The arrays of one image by name, however its file spells them, as `ImageRegions`.

Boxes are x1, y1, x2, y2: in pixels, with the image's size; or as fractions of its width and height, with or without
the size. Every reader of arrays by name comes here.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain, islice
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import TOLERANCE, ImageRegions
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import first_few, shown

from .arrays.rows import MAX_IMAGE_BYTES
from .base import DamagedImage, Entry, SourceOptions
from .base64_arrays import check_float32
from .boxes import BoxReader
from .ids import read_sizes

LABELS = {
    "object_ids": ("object_ids", "objects_id", "obj_id", "obj_ids", "objects"),
    "object_confidence": ("object_confidence", "objects_conf", "obj_conf", "obj_probs"),
    "attribute_ids": ("attribute_ids", "attrs_id", "attr_id", "attr_ids"),
    "attribute_confidence": ("attribute_confidence", "attrs_conf", "attr_conf", "attr_probs"),
}
SPELLINGS: dict[str, tuple[str, ...]] = {
    "features": ("features", "roi_features", "image_features", "visual_feats", "feats", "x"),
    "boxes": ("boxes", "bbox", "bboxes", "image_bb"),
    "normalized": ("normalized_boxes", "norm_bb", "norm_boxes", "visual_pos"),
    "size": ("sizes", "size", "image_sizes", "image_size"),
    "height": ("height", "heights", "image_height", "image_heights", "image_h", "img_h"),
    "width": ("width", "widths", "image_width", "image_widths", "image_w", "img_w"),
    "count": ("num_boxes", "num_bbox", "preds_per_image"),
    "ids": ("ids", "image_ids", "image_id", "img_ids", "img_id", "names"),
    "scores": ("cls_prob",),
    **LABELS,
}
_PER_REGION = ("features", "boxes", "normalized", "scores", *LABELS)
_CORNERS = (4, 5, 6, 7)  # columns of normalized boxes: corners; then often width, height and area
FIRST = 20  # images whose boxes show whether they are in pixels


def spelled(names: Any) -> dict[str, str]:
    """What is in a file, under which of its names."""
    found = {}
    for part, spellings in SPELLINGS.items():
        name = next((spelling for spelling in spellings if spelling in names), None)
        if name is not None:
            found[part] = name
    return found


def missing_parts(found: Any, with_ids: bool) -> list[str]:
    """What features need and `found` (parts of `SPELLINGS`) lacks, in words for a message."""
    missing = [] if "features" in found else ["features [R, F]"]
    if "boxes" not in found and "normalized" not in found:
        missing.append("boxes [R, 4] (x1, y1, x2, y2 in pixels, or as fractions: normalized_boxes)")
        if "size" not in found and not {"height", "width"} <= set(found):
            missing.append("height and width (of images whose boxes are in pixels)")
    if with_ids and "ids" not in found:
        missing.append("ids (the images' names; or --ids FILE)")
    return missing


class PictureReader:
    """Makes `ImageRegions` of arrays by name; one for a source, as its boxes have one unit.

    Args:
        options: `sizes`, a file with the sizes of images; `boxes`, "xywh" for boxes of a corner and a size.
    """

    def __init__(self, options: SourceOptions | None = None):
        self._options = options or SourceOptions()
        self._sizes = read_sizes(self._options.sizes) if self._options.sizes else {}
        self.boxes = BoxReader(self._options.boxes or "xyxy")

    def regions(self, name: str, given: Mapping[str, Any]) -> ImageRegions:
        """The regions of an image.

        Args:
            name: of the image.
            given: its arrays, numbers and strings, under any of `SPELLINGS`.

        Raises:
            DamagedImage: something is missing (all of it is named), or does not fit.
        """
        names = spelled(given)
        missing = missing_parts(names, with_ids=False)
        if missing:
            raise DamagedImage(f"it lacks {'; '.join(missing)}. It has {first_few(map(str, given)) or 'nothing'}.")
        found = {part: given[key] for part, key in names.items()}
        count = _integer(names["count"], found["count"]) if "count" in found else None
        if count is not None and count < 1:
            raise DamagedImage(f"its {names['count']} must be an integer from 1; it is {count}.")
        arrays = {part: _array(names[part], found[part], part, count) for part in _PER_REGION if part in found}
        features = arrays["features"] = _upright(arrays, names["features"])
        if count is not None:
            if any(array.ndim == 0 or len(array) < count for array in arrays.values()):
                raise DamagedImage(f"its arrays must have {count} regions, as {names['count']} says.")
            arrays = {part: array[:count] for part, array in arrays.items()}
            features = arrays["features"]
        boxes, size = self._boxes_and_size(name, arrays, self._size(name, names, found))
        return ImageRegions(name, features, boxes, size, **_labels(arrays))

    def _size(self, name: str, names: Mapping[str, str], found: Mapping[str, Any]) -> tuple[int, int] | None:
        """Height and width, None if the file does not say them."""
        if name in self._sizes:
            return self._sizes[name]
        if "height" in found and "width" in found:
            return _integer(names["height"], found["height"]), _integer(names["width"], found["width"])
        if "size" not in found:
            return None
        values = _numbers(names["size"], found["size"]).reshape(-1)
        if len(values) != 2:
            raise DamagedImage(f"its {names['size']} must be height and width; it has {len(values)} numbers.")
        return _integer(names["size"], values[0]), _integer(names["size"], values[1])

    def _boxes_and_size(
        self, name: str, arrays: Mapping[str, np.ndarray], size: tuple[int, int] | None
    ) -> tuple[np.ndarray, tuple[int, int]]:
        boxes = arrays["normalized"] if "normalized" in arrays else arrays["boxes"]
        if boxes.ndim == 2 and "normalized" in arrays and boxes.shape[1] in _CORNERS:
            boxes = boxes[:, :4]
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise DamagedImage(f"its boxes must be [regions, 4]; they are {list(boxes.shape)}.")
        return self.boxes.read(boxes, "normalized" in arrays, size)


def read_first(reader: PictureReader, entries: Iterable[Entry]) -> None:
    """Read the first images of a source: they show the unit of its boxes, also to an import that is resumed."""
    for entry in islice(entries, FIRST):
        with suppress(InvalidFileError):
            entry.read()
    reader.boxes.decide_unit()


def _labels(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels = {part: arrays[part].reshape(-1) for part in LABELS if part in arrays}
    if "object_ids" in labels and "object_confidence" not in labels and "scores" in arrays:
        found = _confidence(arrays["scores"], labels["object_ids"])
        if found is not None:
            labels["object_confidence"] = found
    for kind in ("object", "attribute"):
        if f"{kind}_ids" not in labels:
            labels.pop(f"{kind}_confidence", None)
    return labels


def _confidence(scores: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """The probability of each region's class, of scores [R, C] with or without the background in front."""
    for start in (1, 0):
        part = scores[:, start:] if scores.ndim == 2 else scores[:0]
        if part.size and len(part) == len(ids) and (part.argmax(1) == ids).all():
            best = part.max(1)
            if (best >= 0).all() and (best <= 1 + TOLERANCE).all():
                return best
    return None


def _upright(arrays: Mapping[str, np.ndarray], spelling: str) -> np.ndarray:
    """Features [R, F]: the extractor that calls them "x" writes them transposed."""
    features = arrays["features"]
    boxes = arrays.get("normalized", arrays.get("boxes"))
    if spelling != "x" or features.ndim != 2 or boxes is None or not boxes.ndim:
        return features
    return np.ascontiguousarray(features.T) if len(features) != len(boxes) == features.shape[1] else features


def _array(spelling: str, values: Any, part: str, count: int | None) -> np.ndarray:
    """Numbers as an array; bytes are base64, or the numbers themselves: int64 for ids, float32 for all else."""
    if isinstance(values, (bytes, str)):
        values = _unpack(spelling, values, "<i8" if part.endswith("_ids") else "<f4", count)
    array = _numbers(spelling, values)
    if array.dtype.kind not in "fiu":
        raise DamagedImage(f"its {spelling} must be numbers; they are {array.dtype}.")
    return array


def _numbers(spelling: str, values: Any) -> np.ndarray:
    try:
        with reading(spelling):
            _check_room(spelling, values)
            return np.asarray(values)
    except DamagedImage:
        raise
    except InvalidFileError:
        raise DamagedImage(f"its {spelling} must be numbers, as many in every row.") from None


def _check_room(spelling: str, values: Any) -> None:
    """Refuse lists of which NumPy makes far more: all texts as long as the longest, and an array again and again."""
    lists, count, widest = [values] if isinstance(values, (list, tuple)) else [], 0, 1
    while lists:
        parts, lists = list(chain.from_iterable(lists)), []
        if set(map(type, parts)) <= {int, float}:
            count, widest = count + len(parts), max(widest, 8)
            break
        for part in parts:
            if isinstance(part, (list, tuple)):
                lists.append(part)
            else:
                size = 4 * len(part) if isinstance(part, (str, bytes)) else getattr(part, "itemsize", 8)
                count, widest = count + getattr(part, "size", 1), max(widest, size)
    if count * widest > MAX_IMAGE_BYTES:
        raise DamagedImage(f"its {spelling} are larger than {MAX_IMAGE_BYTES:,} bytes, too large for an image.")


def _unpack(spelling: str, text: bytes | str, dtype: str, count: int | None) -> np.ndarray:
    each = (count or 0) * np.dtype(dtype).itemsize
    if not each:
        raise DamagedImage(f"its {spelling} are bytes, which need num_boxes beside them.")
    content = text.encode("latin-1", "replace") if isinstance(text, str) else text
    with suppress(binascii.Error):  # then they are the numbers themselves
        content = binascii.a2b_base64(content, strict_mode=True)
    if not content or len(content) % each:
        raise DamagedImage(f"its {spelling} must have a multiple of {each:,} bytes; they have {len(content):,}.")
    values = np.frombuffer(content, dtype).reshape(count or 0, -1)
    check_float32(spelling, values)
    return values[:, 0] if spelling in sum(LABELS.values(), ()) else values


def _integer(spelling: str, value: Any) -> int:
    digits = isinstance(value, (str, bytes)) and value.isdigit() and len(value) < 20
    values = _numbers(spelling, int(value) if digits else value)
    single = values.size == 1 and values.dtype.kind in "fiu"
    number = values.reshape(()).item() if single else value
    if not single or not abs(number) < 2**63 or number % 1:
        raise DamagedImage(f"its {spelling} must be one integer; it is {shown(number)}.")
    return int(number)
