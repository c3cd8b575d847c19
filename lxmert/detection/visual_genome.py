"""The detector that the published LXMERT weights were trained on: objects and attributes of Visual Genome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from lxmert.data.features.label_names import label_names
from lxmert.hub import HubOptions
from lxmert.utils.counts import check_integer
from lxmert.utils.paths import ATTRIBUTES_NAME, OBJECTS_NAME
from lxmert.utils.setting_names import setting
from lxmert.vision.detections import ImageDetections
from lxmert.vision.faster_rcnn.detect import detect_regions, prepare_image
from lxmert.vision.faster_rcnn.network import DetectorNetwork
from lxmert.vision.faster_rcnn.preprocess import NetworkInput
from lxmert.vision.faster_rcnn.profiles import Regions, make_profile
from lxmert.vision.images import ImageInput

from .backends import load_network
from .region_detector import ANY_SOURCE, RegionDetector, register_source

Names = Sequence[str] | str | Path | None
"""Names of classes in the order of their ids, or the file that lists them."""


@register_source(ANY_SOURCE)
class VisualGenomeRegionDetector(RegionDetector):
    """Finds regions by a Faster R-CNN of 1,600 objects and 400 attributes, of "bottom-up attention".

    Args:
        network: `lxmert.pt.VisualGenomeDetector` or `lxmert.tf.TFVisualGenomeDetector`.
        profile: how regions are chosen, "caffe" or "hf"; see `lxmert.vision.faster_rcnn.profiles`.
        regions: how many an image has: a number, 36 by default, or the least and the most, such as (10, 100).
        score_threshold: of profile "caffe", the least score of a region where there are enough; 0.2 by default.
        objects, attributes: the names of the classes, or the files that list them.
        batch_size: the most images of one size that go through the first stage together. With more than one, the
            last bits of an image's numbers may depend on the others.
        name: what messages call it.
        weights: what `settings` say of the network: its weights, SHA-256, backend and precision.
    """

    def __init__(
        self,
        network: DetectorNetwork,
        *,
        profile: str = "caffe",
        regions: Regions | None = None,
        score_threshold: float | None = None,
        objects: Names = None,
        attributes: Names = None,
        batch_size: int = 1,
        name: str = "the Visual Genome detector",
        weights: dict[str, Any] | None = None,
    ):
        config = network.config
        self.network, self.name, self.feature_size = network, name, config.feature_size
        self.profile = make_profile(profile, config, regions, score_threshold)
        self.objects = label_names(objects, "objects", config.num_objects, config.num_objects)
        self.attributes = label_names(attributes, "attributes", config.num_attributes, config.num_attributes)
        self.batch_size = check_integer(setting("batch_size"), batch_size)
        self._weights = dict(weights or {})
        self._computing: Callable[[], AbstractContextManager[Any]] = nullcontext

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        source: str | Path,
        *,
        backend: str = "pt",
        profile: str = "caffe",
        regions: Regions | None = None,
        score_threshold: float | None = None,
        precision: str = "float32",
        device: str | None = None,
        objects: Names = None,
        attributes: Names = None,
        batch_size: int = 1,
        sha256: str | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> VisualGenomeRegionDetector:
        """Load the weights of a Visual Genome detector.

        Args:
            source: a file or a folder of weights in any published format, or a model on the hub, such as
                "unc-nlp/frcnn-vg-finetuned".
            backend: "pt" for PyTorch, "tf" for Keras.
            profile, regions, score_threshold, batch_size: see the class.
            precision: the dtype of the network: "float32", or "bfloat16", which is faster where the processor has it.
            device: "cpu", "cuda" or "cuda:1"; by default a GPU where there is one.
            objects, attributes: see the class; by default the files objects_vocab.txt and attributes_vocab.txt next to
                the weights, where they are.
            sha256: that of the weights; others are refused before they are read.
            revision, cache_dir, token, local_files_only: of a model on the hub.

        Raises:
            FileNotFoundError, PermissionError, ConnectionError, OSError: no such weights, or they cannot be downloaded.
            ValueError: damaged weights or those of another model, another SHA-256, or a setting of another value.
            ImportError: the backend's framework is not installed.
        """
        loaded = load_network(
            "VisualGenomeDetector",
            source,
            backend=backend,
            precision=precision,
            device=device,
            sha256=sha256,
            hub=HubOptions(revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only),
        )
        detector = cls(
            loaded.network,
            profile=profile,
            regions=regions,
            score_threshold=score_threshold,
            objects=_beside(loaded.folder / OBJECTS_NAME) if objects is None else objects,
            attributes=_beside(loaded.folder / ATTRIBUTES_NAME) if attributes is None else attributes,
            batch_size=batch_size,
            name=str(source),
            weights=loaded.origin,
        )
        detector._computing = loaded.computing
        return detector

    def prepare(self, image: ImageInput) -> NetworkInput:
        """See `RegionDetector.prepare`: open and resize an image."""
        return prepare_image(image, self.network, self.profile)

    def detect(self, images: Sequence[ImageInput | NetworkInput]) -> list[ImageDetections]:
        """See `RegionDetector.detect`."""
        with self._computing():
            return detect_regions(self.network, images, self.profile, self.batch_size)

    @property
    def settings(self) -> dict[str, Any]:
        """See `RegionDetector.settings`."""
        batches = {"batch_size": self.batch_size} if self.batch_size > 1 else {}
        return {"kind": "visual_genome", **self._weights, **self.profile.settings(), **batches}


def _beside(path: Path) -> Path | None:
    return path if path.is_file() else None
