"""Where the regions of images come from: a detector, or a region store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.data.features import RegionStore, open_regions
from lxmert.detection.region_detector import RegionDetector
from lxmert.detection.shapes import ShapeDetector
from lxmert.detection.stored import StoredRegions
from lxmert.inference.question_models import QUESTION_MODELS
from lxmert.utils.messages import warn_caller
from lxmert.utils.setting_names import setting
from lxmert.vision.detections import Detections, ImageDetections
from lxmert.vision.images import ImageInput
from lxmert.vision.shapes.regions import FEATURE_SIZE
from lxmert.weights.open import open_checkpoint

Features = RegionStore | str | Path | Sequence[str | Path]
"""A region store, or its folder or folders."""
Detector = RegionDetector | str | Path
"""A region detector, or what `RegionDetector.from_pretrained` takes as its source."""
Images: TypeAlias = "ImageInput | ImageDetections | Sequence[ImageInput | ImageDetections] | Detections"
"""One image or several, or their regions."""
SEVERAL_IMAGES = (list, tuple, Detections)
ImageRegions = tuple[np.ndarray, np.ndarray]  # features [R, F] and boxes [R, 4] of one image


def images_of(images: Images) -> list[ImageInput | ImageDetections]:
    """A list of images, or of their regions, that are given as a list or alone."""
    return list(images) if isinstance(images, SEVERAL_IMAGES) else [images]


def check_sources(features: Features | None, detector: Detector | None) -> None:
    """Refuse two sources of regions: one would be ignored."""
    if features is not None and detector is not None:
        raise ValueError(
            f"{setting('features')} and {setting('detector')} exclude each other: regions come from a store, or are "
            "found in the images."
        )


def choose_detector(
    features: Features | None,
    detector: Detector | None,
    options: Mapping[str, Any] | None,
    size: int,
    model: str,
    backend: str,
) -> RegionDetector | None:
    """The detector of a model: that of a region store, or a given one, or the shapes if the model reads them.

    Args:
        features, detector: as given by the user, not both.
        options: of a detector that is given by its source.
        size: how many numbers of a region the model reads.
        model: what messages call it.
        backend: "pt" or "tf".

    Raises:
        ValueError: both are given, options without a source, or the sizes of the features differ.
    """
    check_sources(features, detector)
    if options and (detector is None or isinstance(detector, RegionDetector)):
        raise ValueError("detector_options are of a detector that is given by its source, which must be given too.")
    name = "detector"
    found: RegionDetector | None = None
    if features is not None:
        store = features if isinstance(features, RegionStore) else open_regions(features)
        name, found = "features", StoredRegions(store)
    elif isinstance(detector, RegionDetector):
        found = detector
    elif detector is not None:
        found = RegionDetector.from_pretrained(detector, **{"backend": backend, **(options or {})})
    elif size == FEATURE_SIZE:
        found = ShapeDetector()
    if found is not None and found.feature_size != size:
        raise ValueError(
            f"{setting(name)} must give regions of {size:,} numbers, as {model} reads; those of {found.name} have "
            f"{found.feature_size:,}."
        )
    return found


def wanted_regions(config: ModelConfig) -> str:
    """What is missing to ask a model that reads the regions of an object detector."""
    size = getattr(config, QUESTION_MODELS[config.model_type].features)
    of_lxmert = config.model_type == "lxmert" and size == 2048
    published = " (that of the published LXMERT is unc-nlp/frcnn-vg-finetuned on the hub)" if of_lxmert else ""
    return (
        f"{setting('detector')}, the detector whose regions of {size:,} numbers the model was trained on{published}, "
        f"or {setting('features')}, region stores of the images"
    )


def missing_regions(path: Path, overrides: Mapping[str, Any]) -> list[str]:
    """What is missing where a model cannot read the shapes, which need no detector."""
    with open_checkpoint(path, **overrides) as checkpoint:
        config = checkpoint.config
    if config.model_type not in QUESTION_MODELS:  # a detector; the error says so
        return []
    size = getattr(config, QUESTION_MODELS[config.model_type].features)
    return [] if size == FEATURE_SIZE else [wanted_regions(config)]


def find_regions(detector: RegionDetector, images: Sequence[ImageInput]) -> list[ImageDetections]:
    """The regions of images, each image once, with a warning where they may not describe it."""
    # A photograph takes a detector seconds, and several questions about it may name it as often.
    keys = [image if isinstance(image, (str, Path)) else id(image) for image in images]
    first = {key: image for key, image in reversed(list(zip(keys, images, strict=True)))}
    order = list(dict.fromkeys(keys))
    found = dict(zip(order, detector.detect([first[key] for key in order]), strict=True))
    for key in order:
        number = f"image {keys.index(key) + 1}" if len(images) > 1 else "image"
        doubt = detector.doubt(found[key], number)
        if doubt is not None:
            warn_caller(f"{doubt}, so the answer is a guess.")
    return [found[key] for key in keys]
