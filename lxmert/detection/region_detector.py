"""What every detector of regions is: images in, features and boxes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from lxmert.vision.detections import Detections, ImageDetections, batch_detections
from lxmert.vision.images import ImageInput, open_image


class RegionDetector(ABC):
    """Finds the regions of images and computes their features.

    Attributes:
        name: what messages call the detector, such as "unc-nlp/frcnn-vg-finetuned".
        feature_size: F, the numbers of a region's features.
    """

    name: str
    feature_size: int

    def prepare(self, image: ImageInput) -> Any:
        """Open an image, and do what else needs no network, such as resizing; threads call it ahead of `detect`.

        Raises:
            FileNotFoundError, ValueError, TypeError: the image cannot be opened; the message names it.
        """
        return open_image(image)

    @abstractmethod
    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """The regions of each image; an image's are the same whichever images are beside it.

        Args:
            images: paths, PIL images or RGB arrays ``[H, W, 3]``, see `open_image`; or what `prepare` made of them.

        Raises:
            FileNotFoundError, ValueError, TypeError: an image that cannot be opened, which the message names.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that decides the regions, as JSON values: kind, weights (name and SHA-256), profile, counts.

        A region store keeps them; extraction that is resumed must have the same.
        """

    def __call__(self, images: ImageInput | Sequence[ImageInput]) -> Detections:
        """The regions of one image or several, padded to the image with most regions.

        Args:
            images: one image or a list or tuple of images; see `detect`.
        """
        several = list(images) if isinstance(images, (list, tuple)) else [images]
        if not several:
            raise ValueError("images must hold at least one image; got none.")
        return batch_detections(self.detect(several))


def check_images(images: Sequence[ImageInput]) -> None:
    """Refuse an array of several images, whose axis 0 would be taken for the batch or not by guess."""
    for image in images:
        if isinstance(image, np.ndarray) and image.ndim == 4:
            raise ValueError(
                f"each image must be an array [H, W, 3]; got one of shape {image.shape}. Pass list(images)."
            )
