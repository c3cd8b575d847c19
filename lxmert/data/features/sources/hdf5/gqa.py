"""GQA's object features: features [P, 100, F] and bboxes [P, 100, 4] in gqa_objects_*.h5.

The images' ids, sizes and numbers of objects are in gqa_objects_info.json next to them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, SourceOptions
from lxmert.data.features.sources.ids import read_large_json
from lxmert.data.features.sources.size_order import SizeOrder
from lxmert.utils.messages import shown

from .file import Hdf5FeatureFile, Hdf5Source

_SAMPLE = 1000  # images whose boxes are examined to infer their layout


class _Image(NamedTuple):
    """An entry of gqa_objects_info.json: the row in its file, the number of objects, and the image's size."""

    row: int
    objects: int
    height: int
    width: int


class GqaObjects(Hdf5Source):
    """One of GQA's files. Whether its boxes are two corners, or a corner and a size, is inferred unless it is given.

    Raises:
        ValueError: no gqa_objects_info.json next to it, or boxes that could be either.
    """

    def __init__(self, file: Hdf5FeatureFile, options: SourceOptions):
        self._features, self._boxes = file.array("features"), file.array("bboxes")
        if () in (self._features.shape, self._boxes.shape):
            raise ValueError(f"{file.path} must have features [P, R, F] and bboxes [P, R, 4].")
        number = re.search(r"(\d+)\.h(df)?5$", file.path.name)
        if not number:
            raise ValueError(f"{file.path} must end in its number, as gqa_objects_0.h5 does: it selects the images.")
        info = file.path.with_name("gqa_objects_info.json")
        if not info.is_file():
            raise ValueError(f"{file.path} needs {info.name} next to it, which says which images are in which file.")
        images = self._images_of(info, file.path, int(number[1]))
        self._images = dict(sorted(images.items(), key=lambda item: item[1].row))
        rows = {image.row for image in self._images.values()}
        super().__init__(file, list(self._images), self._features.shape[0] - len(rows))
        self.boxes = options.boxes or self._infer_boxes()
        self._order = SizeOrder((), stated=True)

    def _images_of(self, info: Path, features: Path, number: int) -> dict[str, _Image]:
        """The images that are in file `number`, by name."""
        most = self._features.shape[1] if len(self._features.shape) == 3 else 0
        images: dict[str, _Image] = {}
        for name, entry in read_large_json(info, dict).items():
            try:
                file, *values = (entry[key] for key in ("file", "idx", "objectsNum", "height", "width"))
            except (KeyError, TypeError):
                raise ValueError(f"{info}: {shown(name)} must have file, idx, objectsNum, height and width.") from None
            if any(not isinstance(value, int) or abs(value) >= 2**31 for value in (file, *values)):
                raise ValueError(f"{info}: {shown(name)} must have integers; it has {shown([file, *values])}.")
            if file != number:
                continue
            images[name] = image = _Image(*values)
            if not (0 <= image.row < self._features.shape[0] and 0 <= image.objects <= most):
                raise ValueError(
                    f"{info}: {shown(name)} is row {image.row} with {image.objects} objects, but features of "
                    f"{features} are {list(self._features.shape)}."
                )
        return images

    def _infer_boxes(self) -> str:
        possible = {"xyxy", "xywh"}
        for name in self.names[:_SAMPLE]:
            row, count, height, width = self._images[name]
            try:
                boxes = self.file.row(self._boxes, row, count)
            except DamagedImage:
                continue  # an error when the image is read
            if boxes.shape != (count, 4) or not np.isfinite(boxes).all():
                continue
            if (boxes[:, 2:] < boxes[:, :2]).any():
                possible.discard("xyxy")
            if (boxes[:, :2] + boxes[:, 2:] > np.array([width, height]) * (1 + 1e-4) + 1).any():
                possible.discard("xywh")
        if len(possible) != 1:
            state = "could be either" if possible else "are neither"
            raise ValueError(
                f"{self.path}: bboxes {state} of two corners (x1, y1, x2, y2) and a corner with width and height; "
                "say which with --boxes xyxy or --boxes xywh."
            )
        return possible.pop()

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        name = self.names[number]
        row, count, height, width = self._images[name]
        features = self.file.row(self._features, row, count)
        boxes = self.file.row(self._boxes, row, count)
        if self.boxes == "xywh" and boxes.ndim == 2 and boxes.shape[1] == 4:
            boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        image = ImageRegions(name, features, boxes, (height, width))
        self._order.check(image)
        return image
