"""What a detector finds in images: the regions of one image, and those of a batch as the models take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lxmert.common.tokenizer import BatchEncoding
from lxmert.vision.region_batch import pad_regions, visual_bert_regions

NO_ID = -100
"""The object or attribute of a region without one, and of padding; losses ignore it."""


@dataclass(frozen=True)
class ImageDetections:
    """The regions of one image, the most confident first unless the detector says otherwise.

    Attributes:
        features: float32 ``[R, F]``.
        boxes: float32 ``[R, 4]``, x1, y1, x2, y2 in pixels of the image, within it.
        size: height and width of the image in pixels, after its EXIF orientation was applied.
        object_ids, object_scores: ``[R]`` int64 and float32, the class of each region and its probability; None of a
            detector that names no objects.
        attribute_ids, attribute_scores: the same for attributes.
    """

    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    object_ids: np.ndarray | None = None
    object_scores: np.ndarray | None = None
    attribute_ids: np.ndarray | None = None
    attribute_scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def normalized_boxes(self) -> np.ndarray:
        """Float32 ``[R, 4]``: the boxes as fractions (0 to 1) of the image's width and height."""
        height, width = self.size
        return (self.boxes / np.array([width, height, width, height], np.float32)).astype(np.float32)


@dataclass(frozen=True)
class Detections:
    """The regions of several images, padded to the image with most regions.

    Attributes:
        features: float32 ``[B, R, F]``; zeros for padding.
        boxes: float32 ``[B, R, 4]``, x1, y1, x2, y2 in pixels of each image.
        normalized_boxes: float32 ``[B, R, 4]``, the same as fractions of width and height.
        mask: float32 ``[B, R]``, 1 for a region and 0 for padding.
        sizes: int64 ``[B, 2]``, height and width of each image in pixels.
        objects, object_scores: int64 and float32 ``[B, R]``; -100 and 0 for padding. None of a detector without them.
        attributes, attribute_scores: the same for attributes.
        images: the regions of each image alone.
    """

    features: np.ndarray
    boxes: np.ndarray
    normalized_boxes: np.ndarray
    mask: np.ndarray
    sizes: np.ndarray
    objects: np.ndarray | None
    object_scores: np.ndarray | None
    attributes: np.ndarray | None
    attribute_scores: np.ndarray | None
    images: tuple[ImageDetections, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[ImageDetections]:
        return iter(self.images)

    def lxmert_inputs(self, return_tensors: str = "np") -> BatchEncoding:
        """LXMERT's visual arguments by name: `model(**text, **regions.lxmert_inputs("pt"))`.

        Args:
            return_tensors: "np" for arrays, "pt" for PyTorch's tensors, "tf" for TensorFlow's, as a tokenizer has it.
        """
        named = dict(visual_feats=self.features, visual_pos=self.normalized_boxes, visual_attention_mask=self.mask)
        return BatchEncoding(named, tensor_type=return_tensors)

    def visual_bert_inputs(self, return_tensors: str = "np") -> BatchEncoding:
        """VisualBERT's visual arguments by name, as `lxmert_inputs`."""
        return BatchEncoding(visual_bert_regions(self.lxmert_inputs()), tensor_type=return_tensors)


def batch_detections(images: Sequence[ImageDetections]) -> Detections:
    """Pad the regions of several images to the most regions, and stack them.

    Raises:
        ValueError: no images.
    """
    padded = pad_regions([(image.features, image.normalized_boxes) for image in images])
    length = padded["visual_feats"].shape[1]

    def stacked(name: str, fill: float, dtype: type) -> np.ndarray | None:
        values = [getattr(image, name) for image in images]
        if any(value is None for value in values):
            return None
        rows: np.ndarray = np.full((len(images), length), fill, dtype)
        for row, value in zip(rows, values, strict=True):
            row[: len(value)] = value
        return rows

    boxes = np.zeros((len(images), length, 4), np.float32)
    for row, image in zip(boxes, images, strict=True):
        row[: len(image)] = image.boxes
    return Detections(
        features=padded["visual_feats"],
        boxes=boxes,
        normalized_boxes=padded["visual_pos"],
        mask=padded["visual_attention_mask"],
        sizes=np.array([image.size for image in images], np.int64),
        objects=stacked("object_ids", NO_ID, np.int64),
        object_scores=stacked("object_scores", 0.0, np.float32),
        attributes=stacked("attribute_ids", NO_ID, np.int64),
        attribute_scores=stacked("attribute_scores", 0.0, np.float32),
        images=tuple(images),
    )
