"""The regions of one image of a store, as a detector gives them."""

from __future__ import annotations

import numpy as np

from lxmert.vision.detections import ImageDetections

from .store import RegionStore


def stored_regions(store: RegionStore, place: int) -> ImageDetections:
    """The regions of the image at a place; of fractions whose image has no known size, the size is (1, 1)."""
    batch = store.batch([place], labels=True)
    height, width = store.sizes([place])[0].tolist()
    labels = {}
    for kind, held in (("object", store.has_objects), ("attribute", store.has_attributes)):
        if held:
            labels[f"{kind}_ids"] = batch[f"{kind}_ids"][0]
            labels[f"{kind}_scores"] = batch[f"{kind}_confidence"][0]
    boxes = batch["visual_pos"][0] * np.array([width, height, width, height], np.float32)
    return ImageDetections(batch["visual_feats"][0], boxes, (height, width), **labels)
