"""The detector of the demos: shapes of one colour on a smooth background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.vision.detections import ImageDetections
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import FEATURE_SIZE, MAX_SHAPES, are_plain_shapes, image_regions

from .region_detector import RegionDetector, register_source


@register_source("shapes")
class ShapeDetector(RegionDetector):
    """Finds the whole image and its shapes; see `lxmert.vision.shapes.regions`.

    Args:
        max_shapes: the most shapes of an image.
    """

    name = "shapes"
    feature_size = FEATURE_SIZE

    def __init__(self, max_shapes: int = MAX_SHAPES):
        self.max_shapes = max_shapes

    @classmethod
    def from_pretrained(cls, source: str | Path, *, max_shapes: int = MAX_SHAPES) -> ShapeDetector:  # type: ignore[override]
        """The detector of the source "shapes", which needs no weights and no framework."""
        return cls(max_shapes)

    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """See `RegionDetector.detect`."""
        found = []
        for image in images:
            pixels = open_image(image)
            height, width = pixels.shape[:2]
            features, boxes = image_regions(pixels, self.max_shapes)
            scale = np.array([width, height, width, height], np.float32)
            found.append(ImageDetections(features, boxes * scale, (height, width)))
        return found

    def doubt(self, found: ImageDetections, image: str = "image") -> str | None:
        """See `RegionDetector.doubt`: no shape, or a photograph."""
        if len(found) == 1:
            return f"no shape was found in {image}"
        if are_plain_shapes(found.features):
            return None
        return f"{image} looks like a photograph; only shapes of one colour on a smooth background can be found in it"

    @property
    def settings(self) -> dict[str, Any]:
        """See `RegionDetector.settings`."""
        return {"kind": "shapes", "max_shapes": self.max_shapes}
