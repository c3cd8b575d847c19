"""The regions of one image before they are stored, and their validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lxmert.utils.messages import shown

from .layout import BOX_DTYPE, LABEL_DTYPE, NO_LABEL, SIZE_DTYPE

# As in the original: boxes may exceed the image by this fraction of its width and height.
TOLERANCE = 1e-5
# The size (height, width) of an image whose boxes are fractions and whose real size is not known: a store's batches
# divide boxes by it, so they come out exactly as they went in.
FRACTIONS_SIZE = (1, 1)
_MAX_SIDE = 2**24  # pixels; float32 cannot count beyond it


@dataclass(frozen=True)
class ImageRegions:
    """The regions of one image.

    Attributes:
        name: of the image.
        features: ``[R, F]``.
        boxes: ``[R, 4]``, x1, y1, x2, y2 in pixels.
        size: height and width in pixels.
        object_ids, object_confidence: ``[R]``, or None; ids without confidences have the confidence 1. A region without
            a label has the id -100 and the confidence 0.
        attribute_ids, attribute_confidence: the same for attributes.
    """

    name: str
    features: ArrayLike
    boxes: ArrayLike
    size: ArrayLike
    object_ids: ArrayLike | None = None
    object_confidence: ArrayLike | None = None
    attribute_ids: ArrayLike | None = None
    attribute_confidence: ArrayLike | None = None


def check_features(features: ArrayLike) -> np.ndarray:
    """The features as an array of finite numbers ``[R, F]``, in their dtype.

    Raises:
        ValueError: otherwise; the message names the region.
    """
    values = np.asarray(features)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.shape[1] == 0:
        raise ValueError(f"features must be numbers [regions, size]; got {values.dtype} {list(values.shape)}.")
    if not np.isfinite(values).all():
        region, number = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(f"features must be finite; number {number} of region {region} is {values[region, number]}.")
    return values


def check_size(size: ArrayLike) -> np.ndarray:
    """An image's height and width, which must be positive integers, as `SIZE_DTYPE` ``[2]``."""
    values = np.asarray(size)
    if values.shape != (2,) or values.dtype.kind not in "fiu" or (values != np.floor(values)).any():
        raise ValueError(f"an image's size must be its height and width in whole pixels; got {shown(size)}.")
    if (values < 1).any() or (values > _MAX_SIDE).any():
        raise ValueError(f"an image must be 1 to {_MAX_SIDE:,} pixels high and wide; got {values.tolist()}.")
    return values.astype(SIZE_DTYPE)


def box_limits(size: np.ndarray) -> np.ndarray:
    """Width, height, width, height as float32 ``[4]``: the largest coordinates of a box in an image of `size`."""
    return np.asarray(size, np.float32)[[1, 0, 1, 0]]


def check_boxes(boxes: ArrayLike, size: np.ndarray, count: int, clip: bool = False) -> np.ndarray:
    """Boxes in the image as `BOX_DTYPE` ``[R, 4]``.

    Args:
        boxes: x1, y1, x2, y2 in pixels.
        size: height and width.
        count: R, the number of features.
        clip: whether to clip boxes at the border of the image.

    Raises:
        ValueError: another shape, NaN, or a box outside of the image or with swapped corners; the message names the
            box.
    """
    given = np.asarray(boxes)
    if given.shape != (count, 4) or given.dtype.kind not in "fiu":
        raise ValueError(
            f"boxes must be numbers [{count}, 4], one for each of the features; got {given.dtype} {list(given.shape)}."
        )
    values = given.astype(BOX_DTYPE)
    if (region := _first(~np.isfinite(values))) is not None:
        raise ValueError(f"boxes must be finite; box {region} is {values[region].tolist()}.")
    limits = box_limits(size)
    if clip:
        values = np.clip(values, 0, limits)
    if (region := _first((values < -TOLERANCE * limits) | (values > (1 + TOLERANCE) * limits))) is not None:
        height, width = size.tolist()
        raise ValueError(
            f"boxes must be in the image, {width} wide and {height} high; box {region} (x1, y1, x2, y2) is "
            f"{values[region].tolist()}."
        )
    if (region := _first(values[:, 2:] < values[:, :2] - TOLERANCE * limits[:2])) is not None:
        raise ValueError(
            f"boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; box {region} is {values[region].tolist()}."
        )
    return values


def check_labels(image: ImageRegions, count: int) -> np.ndarray:
    """The labels of R regions as one array of `LABEL_DTYPE`; a ValueError for wrong or missing ones."""
    labels = np.zeros(count, LABEL_DTYPE)
    _set_labels(labels, "object", image.object_ids, image.object_confidence)
    _set_labels(labels, "attribute", image.attribute_ids, image.attribute_confidence)
    return labels


def _set_labels(
    labels: np.ndarray, kind: Literal["object", "attribute"], ids: ArrayLike | None, confidence: ArrayLike | None
) -> None:
    if ids is None:
        if confidence is not None:
            raise ValueError(f"{kind}_confidence is of no use without {kind}_ids.")
        labels[f"{kind}_id"] = NO_LABEL
        return
    count, numbers = len(labels), np.asarray(ids)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        raise ValueError(f"{kind}_ids must be integers [{count}]; got {numbers.dtype} {list(numbers.shape)}.")
    unlabelled = numbers == NO_LABEL
    if (region := _first(((numbers < 0) & ~unlabelled) | (numbers >= 2**31))) is not None:
        raise ValueError(
            f"{kind}_ids must be 0 or more, or {NO_LABEL} for none; that of region {region} is {numbers[region]}."
        )
    values = np.where(unlabelled, np.float32(0), np.float32(1)) if confidence is None else np.asarray(confidence)
    if values.shape != (count,) or values.dtype.kind not in "fiu":
        raise ValueError(f"{kind}_confidence must be numbers [{count}]; got {values.dtype} {list(values.shape)}.")
    if (region := _first(~((values >= 0) & (values <= 1 + TOLERANCE)))) is not None:
        raise ValueError(f"{kind}_confidence must be in 0 to 1; that of region {region} is {values[region]}.")
    if (region := _first(unlabelled & (values != 0))) is not None:
        raise ValueError(
            f"{kind}_confidence must be 0 where there is no label; that of region {region}, whose id is "
            f"{NO_LABEL}, is {values[region]}."
        )
    labels[f"{kind}_id"], labels[f"{kind}_confidence"] = numbers, values


def _first(wrong: np.ndarray) -> int | None:
    """The first region for which something is wrong, None without one."""
    return int(np.argwhere(wrong)[0, 0]) if wrong.any() else None


def convert_features(features: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Features in the dtype of a store; a ValueError if a number is too large for it."""
    if features.dtype == dtype:
        return np.ascontiguousarray(features)
    with np.errstate(over="ignore"):  # checked below
        converted = features.astype(dtype, order="C")
    if dtype.itemsize < features.dtype.itemsize or features.dtype.kind != "f":
        overflowed = ~np.isfinite(converted)
        if overflowed.any():
            region, number = np.argwhere(overflowed)[0].tolist()
            raise ValueError(
                f"features must fit into {dtype.name}; number {number} of region {region} is "
                f"{features[region, number]}. Store them with dtype float32."
            )
    return converted
