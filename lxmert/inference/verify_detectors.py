"""What `verify` compares of a detector: the outputs of its network on a random image and a few regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lxmert.vision.vcr.images import VcrInputs

HEIGHT, WIDTH = 64, 96


def detector_outputs(model: Any, seed: int = 0) -> dict[str, tuple[np.ndarray, ...]]:
    """The outputs of a detector of either backend by name, each as a tuple of one array.

    Args:
        model: the detector.
        seed: of the random image and regions.
    """
    outputs = _OUTPUTS[model.config.model_type](model, np.random.default_rng(seed))
    return {name: (values,) for name, values in outputs.items()}


def _visual_genome(model: Any, draw: np.random.Generator) -> dict[str, np.ndarray]:
    images = draw.normal(0, 60, (1, HEIGHT, WIDTH, 3)).astype("float32")
    proposed = model.propose(images)
    bottom, right = (side - 1 for side in proposed.map_size)
    rois = np.array([[0, 0, right, bottom], [1, 1, 2, 2], [right, 0, right, bottom]])
    features = model.region_features(proposed.feature_map, 0, rois)
    objects = draw.integers(0, model.config.num_objects, len(rois))
    return {
        "anchors": model.anchors,
        "objectness": proposed.objectness,
        "deltas": proposed.deltas,
        "features": features,
        "object_scores": model.object_scores(features),
        "box_deltas": model.box_deltas(features, objects),
        "attribute_scores": model.attribute_scores(features, objects),
    }


def _vcr(model: Any, draw: np.random.Generator) -> dict[str, np.ndarray]:
    config = model.config
    boxes = np.array([[[0, 0, WIDTH, HEIGHT], [10, 4, 50, 60], [70, 20, 90, 40], [-1, -1, -1, -1]]], "float32")
    real = np.array([[1, 1, 1, 0]])
    masks = draw.integers(0, 2, (1, 4, config.mask_size, config.mask_size)).astype("float32")
    inputs = VcrInputs(
        images=draw.standard_normal((1, HEIGHT, WIDTH, 3), dtype="float32"),
        boxes=boxes,
        box_mask=real,
        object_ids=np.where(real, draw.integers(0, config.num_objects, (1, 4)), -1),
        masks=masks * real[..., None, None].astype("float32"),
    )
    return {"features": model.region_features(inputs)}


_OUTPUTS: Mapping[str, Callable[[Any, np.random.Generator], dict[str, np.ndarray]]] = {
    "visual_genome_detector": _visual_genome,
    "vcr_detector": _vcr,
}
