"""HDF5 files with a group per image: features, boxes, img_w, img_h, and maybe obj_id, obj_conf, attr_id, attr_conf."""

from __future__ import annotations

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.messages import first_few

from .base import DamagedImage
from .hdf5_file import Hdf5FeatureFile, Hdf5Source

_REQUIRED = ("features", "boxes", "img_h", "img_w")
_LABELS = {
    "obj_id": "object_ids",
    "obj_conf": "object_confidence",
    "attr_id": "attribute_ids",
    "attr_conf": "attribute_confidence",
}


class Hdf5Groups(Hdf5Source):
    """A group per image; its name is the image's."""

    def __init__(self, file: Hdf5FeatureFile):
        super().__init__(file, file.names())

    def read_image(self, number: int) -> ImageRegions:
        """The regions of an image."""
        group = self.file.group(self.names[number])
        known = (*_REQUIRED, *_LABELS)
        values = {key: self.file.values(self.file.array(key, group), ()) for key in group if key in known}
        missing = [key for key in _REQUIRED if key not in values]
        if missing:
            raise DamagedImage(f"its group must have {', '.join(missing)}; it has {first_few(group)}.")
        height, width = (values[key].reshape(-1) for key in ("img_h", "img_w"))
        if len(height) != 1 or len(width) != 1:
            raise DamagedImage("img_h and img_w must be one number each.")
        features, boxes = values["features"], values["boxes"]
        labels = {name: _flat(values[key], len(features)) for key, name in _LABELS.items() if key in values}
        for kind in ("object", "attribute"):
            if f"{kind}_ids" not in labels:
                labels.pop(f"{kind}_confidence", None)
        return ImageRegions(self.names[number], features, boxes, (height[0], width[0]), **labels)


def _flat(values: np.ndarray, count: int) -> np.ndarray:
    return values.reshape(count) if values.size == count else values
