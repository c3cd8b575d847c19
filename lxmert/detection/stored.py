"""The regions of a store as a detector, whose images are names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxmert.data.features import RegionStore
from lxmert.data.features.stored_regions import stored_regions
from lxmert.vision.detections import ImageDetections

from .region_detector import RegionDetector


class StoredRegions(RegionDetector):
    """Looks the regions of images up in a store; images are given by their names in it.

    Args:
        store: of `open_regions`.
    """

    def __init__(self, store: RegionStore):
        self.store = store
        self.name = ", ".join(map(str, store.folders))
        self.feature_size = store.feature_size

    def prepare(self, image: Any) -> str:
        """The name of an image."""
        return str(image)

    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """The regions of images by name.

        Raises:
            ValueError: the store does not have one of them.
        """
        return [stored_regions(self.store, place) for place in self.store.places(map(str, images)).tolist()]

    @property
    def settings(self) -> dict[str, Any]:
        """See `RegionDetector.settings`."""
        return {"kind": "stored", "stores": [self.store.facts(number) for number in range(len(self.store.folders))]}
