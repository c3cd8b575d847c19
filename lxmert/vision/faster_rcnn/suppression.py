"""Non-maximum suppression: of boxes that overlap, the one of the highest score is kept.

Of equal scores the box of the lower index comes first. A box is dropped if its intersection over union with a kept box
is above the threshold, not if it equals it. Two empty boxes, whose ratio is 0/0, do not suppress each other.
"""

from __future__ import annotations

import numpy as np

from lxmert.vision.faster_rcnn.boxes import overlaps

_BLOCK = 256


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float, most: int | None = None) -> np.ndarray:
    """The indices of the boxes that are kept, by falling score.

    Args:
        boxes: ``[N, 4]``.
        scores: ``[N]``.
        threshold: above which a box is dropped.
        most: stop at so many.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, limit = boxes[order], _limit(threshold, boxes.dtype)
    kept: list[int] = []
    # In blocks, so that boxes after the last that is wanted are not looked at.
    for start in range(0, len(order), _BLOCK):
        block = ranked[start : start + _BLOCK]
        free = np.flatnonzero(~(overlaps(ranked[kept], block) > limit).any(axis=0))
        near = overlaps(block[free], block[free]) > limit
        gone = np.zeros(len(free), bool)
        for place, number in enumerate(free):
            if not gone[place]:
                kept.append(start + int(number))
                gone |= near[place]
        if most is not None and len(kept) >= most:
            break
    return np.asarray(order[kept[:most]])


def suppress_classes(boxes: np.ndarray, scores: np.ndarray, threshold: float, whole_pixels: bool = False) -> np.ndarray:
    """Which boxes are kept in each of several classes, that know nothing of each other: bool ``[K, P]``.

    All classes take their next best box at the same time.

    Args:
        boxes: ``[P, 4]``, of all classes.
        scores: ``[K, P]``.
        threshold: above which a box is dropped.
        whole_pixels: see `overlaps`.
    """
    classes, count = scores.shape
    near = _packed(overlaps(boxes, boxes, whole_pixels) > _limit(threshold, boxes.dtype))  # [P, words]
    order = np.argsort(-scores, axis=1, kind="stable")
    kept, gone = np.zeros((classes, count), bool), np.zeros((classes, near.shape[1]), np.uint64)
    rows = np.arange(classes)
    for place in order.T:  # a box of each class
        bits = gone[rows, place >> 6] >> (place & 63).astype(np.uint64)
        new = (bits & np.uint64(1)) == 0
        kept[rows, place] = new
        gone |= np.where(new[:, None], near[place], np.uint64(0))
    return kept


def _packed(flags: np.ndarray) -> np.ndarray:
    """Bool ``[N, P]`` as bits of 64-bit words, the first in the lowest bit."""
    bits = np.packbits(flags, axis=1, bitorder="little")
    words = np.zeros((len(flags), -(-flags.shape[1] // 64) * 8), np.uint8)
    words[:, : bits.shape[1]] = bits
    return words.view("<u8").astype(np.uint64)


def _limit(threshold: float, dtype: np.dtype) -> np.generic:
    """The threshold in a dtype, such that a value of it is above both or none.

    The threshold is a double: a ratio of exactly 0.6 in float32, 0.60000002, is above it.
    """
    limit = dtype.type(threshold)
    return limit if float(limit) <= threshold else np.nextafter(limit, dtype.type(-np.inf))
