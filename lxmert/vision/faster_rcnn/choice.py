"""Which proposals become the regions of an image, and in which order."""

from __future__ import annotations

import numpy as np

from lxmert.vision.faster_rcnn.profiles import CaffeProfile, HfProfile
from lxmert.vision.faster_rcnn.suppression import suppress, suppress_classes


def choose_caffe(boxes: np.ndarray, scores: np.ndarray, profile: CaffeProfile) -> np.ndarray:
    """The rows of the proposals that are chosen, in order.

    Args:
        boxes: ``[P, 4]``, in pixels of the image.
        scores: ``[P, K]``, the probabilities of the objects, without background.
        profile: see `CaffeProfile`.
    """
    enough = min(profile.min_regions, len(boxes))
    confidence = confidences(boxes, scores.T, profile.suppression_threshold, profile.score_threshold, enough)
    rows = np.flatnonzero(confidence >= profile.score_threshold)
    if profile.min_regions <= len(rows) <= profile.max_regions:
        return rows
    count = profile.min_regions if len(rows) < profile.min_regions else profile.max_regions
    return np.argsort(-confidence, kind="stable")[:count]


def confidences(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, sure: float, enough: int
) -> np.ndarray:  # [P, 4], [K, P] -> [P]
    """The highest score of each box in a class where it is kept, 0 in none, as far as a choice needs it.

    A class whose scores are all below a level cannot lift a box to it. So only classes are looked at that reach
    ``sure``, and then lower levels until ``enough`` boxes reach one. A confidence below that level may be too low.
    """
    best = scores.max(axis=1)
    falling = -np.sort(-best)
    count, level = int((best >= sure).sum()), sure
    while True:
        used = scores[best >= level]
        kept = suppress_classes(boxes, used, threshold, whole_pixels=True)
        found = np.where(kept, used, 0).max(axis=0, initial=0)
        if count >= len(scores) or int((found >= level).sum()) >= enough:
            return np.asarray(found)
        count = min(max(4 * count, 16), len(scores))
        level = falling[count - 1]
        count = int((best >= level).sum())


def choose_hf(boxes: np.ndarray, scores: np.ndarray, profile: HfProfile) -> tuple[np.ndarray, float]:
    """The rows of the proposals that are chosen, by falling score, and the threshold that left enough.

    Args:
        boxes: ``[P, 4]``, moved.
        scores: ``[P]``, of each one's best class.
        profile: see `HfProfile`.
    """
    for threshold in profile.suppression_thresholds:
        kept = suppress(boxes, scores, threshold)[: profile.max_regions]
        if len(kept) >= profile.min_regions:
            return kept, threshold
    others = np.setdiff1d(np.arange(len(boxes)), kept)
    others = others[np.argsort(-scores[others], kind="stable")]
    rows = np.sort(np.concatenate([kept, others[: profile.min_regions - len(kept)]]))
    return rows[np.argsort(-scores[rows], kind="stable")], threshold
