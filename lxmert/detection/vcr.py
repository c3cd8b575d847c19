"""The image network of VisualBERT's VCR models: features of the objects that VCR gives with each image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.data.datasets.vcr_metadata import metadata_path, read_vcr_metadata
from lxmert.hub import HubOptions
from lxmert.utils.messages import warn_caller
from lxmert.vision.detections import NO_ID, ImageDetections
from lxmert.vision.images import ImageInput, open_image
from lxmert.vision.vcr.images import VcrInputs, vcr_inputs
from lxmert.vision.vcr.objects import OBJECT_NAMES, ImageObjects

from .backends import load_network
from .region_detector import RegionDetector, register_source

SOURCE = "vcr:"


class VcrNetwork(Protocol):
    """`lxmert.pt.VcrDetector` or `lxmert.tf.TFVcrDetector`."""

    config: VcrDetectorConfig

    def region_features(self, inputs: VcrInputs) -> np.ndarray:
        """The features ``[B, R, F]`` of the boxes of images, zeros for padding."""


@dataclass(frozen=True)
class PreparedImage:
    """An image and its objects, as the network reads them.

    Attributes:
        inputs: of a batch of this image alone.
        objects: its objects.
        size: its height and width in pixels.
    """

    inputs: VcrInputs
    objects: ImageObjects
    size: tuple[int, int]


@register_source(SOURCE)
class VcrRegionDetector(RegionDetector):
    """The features of an image and of the objects that are given with it; nothing is found in the image.

    Region 0 is the whole image. The objects follow in their order, which tags in VCR's questions count. The objects of
    an image file are read from VCR's JSON file next to it. Those of an array or a PIL image are given to `prepare`:
    ``detector(detector.prepare(image, objects))``.

    Args:
        network: `lxmert.pt.VcrDetector` or `lxmert.tf.TFVcrDetector`.
        name: what messages call it.
        weights: what `settings` say of the network: its weights, SHA-256, backend and precision.
    """

    objects = OBJECT_NAMES

    def __init__(self, network: VcrNetwork, name: str = "the VCR detector", weights: dict[str, Any] | None = None):
        self.network, self.name, self._weights = network, name, dict(weights or {})
        self.feature_size = network.config.feature_size
        self._computing: Callable[[], AbstractContextManager[Any]] = nullcontext
        self._told = False

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        source: str | Path,
        *,
        backend: str = "pt",
        precision: str = "float32",
        device: str | None = None,
        sha256: str | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> VcrRegionDetector:
        """Load the network of the source "vcr:NAME".

        Args:
            source: NAME is a .th file of VisualBERT's authors, which holds the network beside the model; or a file, a
                folder or a repository on the hub that `lxmert.pt.VcrDetector.from_pretrained` loads.
            backend: "pt" (PyTorch) or "tf" (Keras).
            precision: dtype of the network: "float32", "bfloat16" or "float64".
            device: where it computes, such as "cpu" or "cuda"; a GPU by default where there is one.
            sha256: of the weights; others are refused.
            revision, cache_dir, token, local_files_only: of a repository on the hub.

        Raises:
            FileNotFoundError, OSError: no such weights.
            ImportError: the backend's framework is not installed.
            ValueError: the weights hold no such network, or an option has another value.
        """
        weights = str(source).removeprefix(SOURCE)
        if not weights:
            raise ValueError(f'{str(source)!r} names no weights. Write "vcr:vcr_fine_tune.th", or "vcr:FOLDER".')
        loaded = load_network(
            "VcrDetector",
            weights,
            backend=backend,
            precision=precision,
            device=device,
            sha256=sha256,
            hub=HubOptions(revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only),
        )
        detector = cls(loaded.network, str(source), loaded.origin)
        detector._computing = loaded.computing
        return detector

    def prepare(self, image: ImageInput | PreparedImage, objects: ImageObjects | None = None) -> PreparedImage:
        """Open an image, resize it, and place its objects in it.

        Args:
            image: a path, a PIL image or an RGB array ``[H, W, 3]``; see `open_image`.
            objects: the objects of the image; by default they are read from the JSON file next to the image file.

        Raises:
            FileNotFoundError: no image, or no JSON file next to it.
            ValueError, TypeError: the image cannot be opened, or the objects do not fit it; an image that is no file
                has no objects. The message names the file.
        """
        if isinstance(image, PreparedImage):
            return image
        size, place = None, ""
        if objects is None:
            objects, size, place = _given_objects(image)
        pixels = open_image(image)
        height, width = pixels.shape[:2]
        if size is not None and size != (height, width):
            raise ValueError(
                f"{place}the boxes must be in pixels of the image, {width} wide and {height} high; the file says that "
                f"it is {size[1]} wide and {size[0]} high."
            )
        try:
            inputs = vcr_inputs([pixels], [objects], self.network.config)
        except ValueError as error:
            raise ValueError(f"{place}{error}") from None
        if objects.polygons is None and len(objects) and self.network.config.use_semantics and not self._told:
            self._told = True
            warn_caller(
                f"{place}there are no outlines of the objects: they are taken to fill their boxes. {self.name} was "
                "trained with outlines; its features are not quite the same without."
            )
        return PreparedImage(inputs, objects, (height, width))

    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """See `RegionDetector.detect`."""
        with self._computing():
            return [self._detect(self.prepare(image)) for image in images]

    def _detect(self, image: PreparedImage) -> ImageDetections:
        height, width = image.size
        objects, count = image.objects, len(image.objects)
        whole = np.array([[0, 0, width, height]], np.float32)
        sure = np.ones(count, np.float32) if objects.confidence is None else objects.confidence
        return ImageDetections(
            self.network.region_features(image.inputs)[0].astype(np.float32),
            np.concatenate([whole, np.asarray(objects.boxes, np.float32).reshape(count, 4)]),
            image.size,
            object_ids=np.array([NO_ID, *objects.object_ids], np.int64),
            object_scores=np.concatenate([np.zeros(1, np.float32), sure]).astype(np.float32),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """See `RegionDetector.settings`."""
        return {"kind": "vcr", **self._weights}


def _given_objects(image: ImageInput) -> tuple[ImageObjects, tuple[int, int] | None, str]:
    """The objects in the JSON file next to an image file, the size that it says, and how errors name it."""
    if not isinstance(image, (str, os.PathLike)):
        raise ValueError(
            f"the objects of an image are read from the JSON file next to it; the image is {type(image).__name__}. "
            "Pass detector.prepare(image, ImageObjects(boxes, names, polygons)) instead of it."
        )
    if not Path(image).exists():
        open_image(image)  # says so
    path = metadata_path(Path(image))
    return *read_vcr_metadata(path), f"{path}: "
