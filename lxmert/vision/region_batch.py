"""The regions of several images as the arrays that models take: padded, and by the names of their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np


class RegionBatch(TypedDict):
    """The models' visual inputs as a dict by argument name: ``model(**text, **batch)``.

    Attributes:
        visual_feats: float32 ``[B, R, F]`` in -1..1; zeros for padding.
        visual_pos: float32 ``[B, R, 4]``, boxes (x1, y1, x2, y2) as fractions of the image's width and height.
        visual_attention_mask: float32 ``[B, R]``, 1 for a region and 0 for padding.
    """

    visual_feats: np.ndarray
    visual_pos: np.ndarray
    visual_attention_mask: np.ndarray


def pad_regions(regions: Sequence[tuple[np.ndarray, np.ndarray]], length: int | None = None) -> RegionBatch:
    """Pad (features ``[R, F]``, boxes ``[R, 4]``) of several images to ``length`` regions, and stack them.

    Args:
        regions: from `image_regions`.
        length: R of the batch; by default the largest R of the images, or 1 if none has a region, which is padding.
    """
    if not regions:
        raise ValueError("images must hold at least one image; got none.")
    most = max(len(boxes) for _, boxes in regions)
    length = max(1, most) if length is None else length
    if length < most:
        raise ValueError(f"length must be at least the most regions of an image, {most}; got {length}.")
    feats = np.zeros((len(regions), length, regions[0][0].shape[1]), np.float32)
    pos = np.zeros((len(regions), length, 4), np.float32)
    mask = np.zeros((len(regions), length), np.float32)
    for row, (features, boxes) in enumerate(regions):
        count = len(boxes)
        feats[row, :count], pos[row, :count], mask[row, :count] = features, boxes, 1.0
    return RegionBatch(visual_feats=feats, visual_pos=pos, visual_attention_mask=mask)


def visual_bert_regions(regions: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A `RegionBatch` by the names of VisualBERT's arguments: it was trained on regions without boxes, of type 0."""
    mask = regions["visual_attention_mask"]
    return {
        "visual_embeds": regions["visual_feats"],
        "visual_attention_mask": mask,
        "visual_token_type_ids": np.zeros(mask.shape, np.int64),
    }
