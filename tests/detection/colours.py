"""A detector of a user, without a network."""

import numpy as np

from lxmert import RegionDetector
from lxmert.vision.detections import ImageDetections


class Colours(RegionDetector):
    """A detector of a user: two regions, the left and the right half, whose features are their mean colours."""

    name, feature_size = "colours", 3
    objects, attributes = ("left", "right"), ("plain",)
    settings = {"kind": "colours"}

    def detect(self, images):
        found = []
        for image in images:
            pixels = self.prepare(image)
            height, width = pixels.shape[:2]
            halves = np.array([[0, 0, width / 2, height], [width / 2, 0, width, height]], np.float32)
            means = [part.mean(axis=(0, 1)) / 255 for part in np.array_split(pixels, 2, axis=1)]
            scores = np.array([0.75, 0.5], np.float32)
            ids = np.array([0, -100])
            found.append(ImageDetections(np.float32(means), halves, (height, width), np.arange(2), scores, ids, scores))
        return found
