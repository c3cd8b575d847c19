"""The boxes of a batch one after another, without its padding; and what a network must be given with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lxmert.common.config.vcr_detector import VcrDetectorConfig


class RealBoxes(NamedTuple):
    """The P boxes of a batch that are none of its padding, image by image.

    Attributes:
        image, place: int64 ``[P]``, where each is in the batch: row ``[image, place]``.
        boxes: ``[P, 4]``, x1, y1, x2, y2 in pixels of the network's input.
        object_ids: int64 ``[P]``; zeros of a network that reads none.
        masks: float32 ``[P, M, M]``; ones of a network that reads none.
    """

    image: np.ndarray
    place: np.ndarray
    boxes: np.ndarray
    object_ids: np.ndarray
    masks: np.ndarray

    def of(self, image: int) -> np.ndarray:
        """The boxes of one image, ``[P', 4]``."""
        return self.boxes[self.image == image]


def real_boxes(
    config: VcrDetectorConfig, batch: int, boxes: Any, box_mask: Any = None, object_ids: Any = None, masks: Any = None
) -> RealBoxes:
    """Check what describes the boxes of a batch, and leave out its padding.

    Args:
        config: of the network.
        batch: B, the number of images.
        boxes: ``[B, R, 4]``.
        box_mask: ``[B, R]``, 0 for padding; by default a box is padding if it has a negative coordinate.
        object_ids: ``[B, R]``, the class of each box.
        masks: ``[B, R, M, M]``; all ones by default.

    Raises:
        ValueError: arrays that do not fit each other or the config, no box at all, or a class that there is not.
    """
    boxes = np.asarray(boxes)
    if boxes.ndim != 3 or len(boxes) != batch or boxes.shape[2] != 4:
        raise ValueError(f"boxes must be [B, R, 4] for the {batch} images; got {list(boxes.shape)}.")
    shape = boxes.shape[:2]
    if not np.isfinite(boxes).all():
        raise ValueError("boxes must be finite; some coordinates are NaN or infinite.")
    mask = (boxes >= 0).all(axis=2) if box_mask is None else _fitting("box_mask", box_mask, shape) != 0
    image, place = np.nonzero(mask)
    if not len(image):
        raise ValueError("boxes must hold at least one box that is not padding; all of box_mask is 0.")
    ids, cells = np.zeros(len(image), np.int64), config.mask_size
    drawn = np.ones((len(image), cells, cells), np.float32)
    if config.use_semantics:
        if object_ids is None:
            raise ValueError("object_ids [B, R], the class of each box, are needed by this network; got None.")
        ids = _fitting("object_ids", object_ids, shape)[mask].astype(np.int64)
        if ids.min() < 0 or ids.max() >= config.num_objects:
            raise ValueError(
                f"object_ids must be 0 to {config.num_objects - 1} where box_mask is 1; got {ids.min()} to {ids.max()}."
            )
        if masks is not None:
            drawn = _fitting("masks", masks, (*shape, cells, cells))[mask].astype(np.float32)
    return RealBoxes(image, place, boxes[mask], ids, drawn)


def _fitting(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} must be {list(shape)}, as boxes have it; got {list(array.shape)}.")
    return array
