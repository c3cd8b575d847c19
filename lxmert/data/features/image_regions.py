"""The regions of one image on their way into a store, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .layout import BOX_DTYPE, LABEL_DTYPE, NO_LABEL, SIZE_DTYPE

# The original's tolerance, of the image's width and height.
TOLERANCE = 1e-5
_LARGEST_SIDE = 2**24  # pixels; beyond it float32 does not count them


@dataclass(frozen=True)
class ImageRegions:
    """The regions of one image.

    Attributes:
        name: of the image.
        features: ``[R, F]``.
        boxes: ``[R, 4]``, x1, y1, x2, y2 in pixels.
        size: height and width in pixels.
        object_ids, object_confidence: ``[R]``, or None; ids without confidences count as sure (1). A region without a
            label has the id -100 and the confidence 0.
        attribute_ids, attribute_confidence: likewise.
    """

    name: str
    features: Any
    boxes: Any
    size: tuple[int, int]
    object_ids: Any = None
    object_confidence: Any = None
    attribute_ids: Any = None
    attribute_confidence: Any = None


def feature_array(features: Any) -> np.ndarray:
    """Features as they are, seen to be finite numbers ``[R, F]``.

    Raises:
        ValueError: another shape or kind, or a value that is NaN or infinite; it says where.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "fiu" or features.shape[1] == 0:
        raise ValueError(f"features must be numbers [regions, size]; got {features.dtype} {list(features.shape)}.")
    if not np.isfinite(features).all():
        region, number = np.argwhere(~np.isfinite(features))[0].tolist()
        raise ValueError(f"features must be finite; number {number} of region {region} is {features[region, number]}.")
    return features


def size_array(size: Any) -> np.ndarray:
    """An image's height and width.

    Raises:
        ValueError: other than two positive integers.
    """
    values = np.asarray(size)
    if values.shape != (2,) or values.dtype.kind not in "fiu" or (values != np.floor(values)).any():
        raise ValueError(f"an image's size must be its height and width in whole pixels; got {size!r}.")
    if (values < 1).any() or (values > _LARGEST_SIDE).any():
        raise ValueError(f"an image must be 1 to {_LARGEST_SIDE:,} pixels high and wide; got {values.tolist()}.")
    return values.astype(SIZE_DTYPE)


def box_array(boxes: Any, size: np.ndarray, count: int, clip: bool = False) -> np.ndarray:
    """Boxes ``[R, 4]``, seen to lie in the image.

    Args:
        boxes: x1, y1, x2, y2 in pixels.
        size: height and width.
        count: R, by the features.
        clip: whether boxes that reach out of the image are cut at its border.

    Raises:
        ValueError: another shape, NaN, a box outside of the image or with its corners the wrong way round; it says
            which.
    """
    boxes = np.asarray(boxes)
    if boxes.shape != (count, 4) or boxes.dtype.kind not in "fiu":
        raise ValueError(
            f"boxes must be numbers [{count}, 4], one for each of the features; got {boxes.dtype} {list(boxes.shape)}."
        )
    boxes = boxes.astype(BOX_DTYPE)
    if not np.isfinite(boxes).all():
        region = int(np.argwhere(~np.isfinite(boxes))[0, 0])
        raise ValueError(f"boxes must be finite; box {region} is {boxes[region].tolist()}.")
    height, width = size.tolist()
    whole = np.array([width, height, width, height], np.float32)
    if clip:
        boxes = np.clip(boxes, 0, whole)
    outside = (boxes < -TOLERANCE * whole) | (boxes > (1 + TOLERANCE) * whole)
    if outside.any():
        region = int(np.argwhere(outside)[0, 0])
        raise ValueError(
            f"boxes must lie in the image, {width} wide and {height} high; box {region} (x1, y1, x2, y2) is "
            f"{boxes[region].tolist()}."
        )
    turned = boxes[:, 2:] < boxes[:, :2] - TOLERANCE * whole[:2]
    if turned.any():
        region = int(np.argwhere(turned)[0, 0])
        raise ValueError(
            f"boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; box {region} is {boxes[region].tolist()}."
        )
    return boxes


def label_array(image: ImageRegions, count: int) -> np.ndarray:
    """The labels of R regions as one array of `LABEL_DTYPE`.

    Raises:
        ValueError: ids or confidences of another number or kind, or out of their ranges.
    """
    labels = np.zeros(count, LABEL_DTYPE)
    for kind in ("object", "attribute"):
        ids, confidence = getattr(image, f"{kind}_ids"), getattr(image, f"{kind}_confidence")
        if ids is None:
            if confidence is not None:
                raise ValueError(f"{kind}_confidence is of no use without {kind}_ids.")
            labels[f"{kind}_id"] = NO_LABEL
            continue
        ids = np.asarray(ids)
        if ids.shape != (count,) or ids.dtype.kind not in "iu":
            raise ValueError(f"{kind}_ids must be integers [{count}]; got {ids.dtype} {list(ids.shape)}.")
        none = ids == NO_LABEL
        bad = ((ids < 0) & ~none) | (ids >= 2**31)
        if bad.any():
            region = int(np.argmax(bad))
            raise ValueError(
                f"{kind}_ids must be 0 or more, or {NO_LABEL} for none; that of region {region} is {ids[region]}."
            )
        sure = np.where(none, np.float32(0), np.float32(1)) if confidence is None else np.asarray(confidence)
        if sure.shape != (count,) or sure.dtype.kind not in "fiu":
            raise ValueError(f"{kind}_confidence must be numbers [{count}]; got {sure.dtype} {list(sure.shape)}.")
        bad = ~((sure >= 0) & (sure <= 1 + TOLERANCE))
        if bad.any():
            region = int(np.argmax(bad))
            raise ValueError(f"{kind}_confidence must lie in 0 to 1; that of region {region} is {sure[region]}.")
        bad = none & (sure != 0)
        if bad.any():
            region = int(np.argmax(bad))
            raise ValueError(
                f"{kind}_confidence must be 0 where there is no label; that of region {region}, whose id is "
                f"{NO_LABEL}, is {sure[region]}."
            )
        labels[f"{kind}_id"], labels[f"{kind}_confidence"] = ids, sure
    return labels


def narrowed(features: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Features in the dtype of a store.

    Raises:
        ValueError: a number that is too large for it.
    """
    if features.dtype == dtype:
        return np.ascontiguousarray(features)
    with np.errstate(over="ignore"):  # looked at below
        narrow = features.astype(dtype, order="C")
    if dtype.itemsize < features.dtype.itemsize or features.dtype.kind != "f":
        lost = ~np.isfinite(narrow)
        if lost.any():
            region, number = np.argwhere(lost)[0].tolist()
            raise ValueError(
                f"features must fit into {dtype.name}; number {number} of region {region} is "
                f"{features[region, number]}. Give the store the dtype float32."
            )
    return narrow
