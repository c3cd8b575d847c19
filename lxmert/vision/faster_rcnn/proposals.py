"""From scored and moved anchors to the proposals of an image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lxmert.common.config.detector import DetectorConfig
from lxmert.vision.faster_rcnn.boxes import box_sides, clip_boxes, move_boxes
from lxmert.vision.faster_rcnn.suppression import suppress


class Proposals(NamedTuple):
    """Boxes that may show an object, the most likely first.

    Attributes:
        boxes: ``[P, 4]``, in pixels of the network's input, within it and not empty.
        scores: ``[P]``, of the anchors that they come from.
        anchors: int64 ``[P]``, the numbers of those; -1 for the whole image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    anchors: np.ndarray


def choose_proposals(
    objectness: np.ndarray,
    deltas: np.ndarray,
    anchors: np.ndarray,
    size: tuple[int, int],
    config: DetectorConfig,
    least_sides: tuple[float, float] | None = None,
) -> Proposals:
    """The proposals of one image: the best anchors, moved, clipped, without small ones, suppressed.

    Where not one is left, the whole image is the only proposal: a model has to see something.

    Args:
        objectness: ``[N]``, the scores of the anchors.
        deltas: ``[N, 4]``.
        anchors: ``[N, 4]``.
        size: height and width of the network's input.
        config: of the network.
        least_sides: width and height in pixels; smaller boxes are dropped first, and the best are taken of the others,
            as in Caffe. Without them the best are taken first, and then those dropped whose sides are not above the
            config's `min_proposal_side`.
    """
    order = np.argsort(-objectness, kind="stable")
    if least_sides is not None:
        boxes = clip_boxes(move_boxes(anchors, deltas, config.proposal_box_weights), size)
        sides = box_sides(boxes)
        # Caffe's sides count the last pixel.
        large = (sides + sides.dtype.type(1) >= np.array(least_sides, sides.dtype)).all(axis=1)
        order = order[(large & (sides > 0).all(axis=1))[order]][: config.proposals_before_suppression]
        boxes = boxes[order]
    else:
        order = order[: config.proposals_before_suppression]
        boxes = clip_boxes(move_boxes(anchors[order], deltas[order], config.proposal_box_weights), size)
        large = (box_sides(boxes) > config.min_proposal_side).all(axis=1)
        order, boxes = order[large], boxes[large]
    if not len(order):
        whole = np.array([[0, 0, size[1], size[0]]], deltas.dtype)
        return Proposals(whole, np.full(1, -np.inf, objectness.dtype), np.array([-1]))
    kept = suppress(boxes, objectness[order], config.proposal_threshold, config.num_proposals)
    return Proposals(boxes[kept], objectness[order[kept]], order[kept])
