"""Photographs for the tests of extraction, and a detector that shows how it was called."""

import filecmp
from pathlib import Path

import numpy as np
from PIL import Image

from lxmert.detection.region_detector import RegionDetector
from lxmert.vision.detections import ImageDetections

REFUSED = 255  # the red of a photograph that the detector refuses


class Halves(RegionDetector):
    """Two regions, the left and the right half. The features are their means, and the size of the batch.

    So regions differ where batches do.

    Args:
        batch_size: how many images it gets at a time.
        stop_after: raise `error` instead of the batch after so many.
    """

    name, feature_size = "halves", 4

    def __init__(self, kind="halves", stop_after=None, error=KeyboardInterrupt, batch_size=3):
        self.batch_size = batch_size
        self.settings, self.stop_after, self.error = {"kind": kind, "scale": (1, 2)}, stop_after, error
        self.batches, self.opened = [], 0

    settings = None

    def prepare(self, image):
        self.opened += 1
        return super().prepare(image)

    def detect(self, images):
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise self.error
        if any(image[0, 0, 0] == REFUSED for image in images):
            raise ValueError("no region can be found in it.")
        self.batches.append([int(image[0, 0, 0]) for image in images])
        return [self._found(image, len(images)) for image in images]

    def _found(self, pixels, batch):
        height, width = pixels.shape[:2]
        halves = np.array([[0, 0, width / 2, height], [width / 2, 0, width, height]], np.float32)
        means = [part.mean(axis=(0, 1)) / 255 for part in np.array_split(pixels, 2, axis=1)]
        features = np.float32([[*mean, batch] for mean in means])
        ids, scores = np.array([3, -100]), np.array([0.75, 0.5], np.float32)
        return ImageDetections(features, halves, (height, width), np.arange(2), scores, ids, scores)


def photographs(folder: Path, count: int, damaged=(), refused=()) -> Path:
    """Images `p00.png`, `p01.png`, ... of unequal sizes whose red is their number; some are no images, or refused."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(count):
        red = REFUSED if number in refused else number
        path = folder / f"p{number:02}.png"
        pixels = random.integers(0, 256, (6, 8 + number % 3, 3), np.uint8)
        pixels[..., 0] = red
        Image.fromarray(pixels).save(path)
        if number in damaged:
            path.write_bytes(path.read_bytes()[:-60])
    return folder


def same_stores(one: Path, other: Path) -> bool:
    """Whether two stores have the same files, byte for byte."""
    names = sorted(path.name for path in one.iterdir())
    equal, _, _ = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(equal) == names == sorted(path.name for path in other.iterdir())
