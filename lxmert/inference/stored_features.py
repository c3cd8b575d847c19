"""Regions of images from region stores, for models that read other regions than this package finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features import RegionStore, open_regions
from lxmert.inference.question_models import QUESTION_MODELS
from lxmert.utils.setting_names import setting
from lxmert.vision.regions import FEATURE_SIZE
from lxmert.weights.open import open_checkpoint

Features = RegionStore | str | Path | Sequence[str | Path]
"""A region store, or its folder or folders."""
ImageRegions = tuple[np.ndarray, np.ndarray]  # features [R, F] and boxes [R, 4] of one image


def open_features(features: Features) -> RegionStore:
    """The region store that is given, or that is in some folders."""
    if isinstance(features, RegionStore):
        return features
    return open_regions([features] if isinstance(features, (str, Path)) else list(features))


def stored_regions(store: RegionStore, place: int) -> ImageRegions:
    """The regions of one image of a store."""
    batch = store.batch([place])
    return batch["visual_feats"][0], batch["visual_pos"][0]


def wanted_features(size: int) -> str:
    """What is missing to ask a model that reads the regions of an object detector."""
    return (
        f"{setting('features')}, region stores of the images: the model reads regions of {size} numbers, as an object "
        f"detector makes them; this package has no detector yet, and finds regions of {FEATURE_SIZE} numbers only"
    )


def missing_features(path: Path, overrides: Mapping[str, Any]) -> list[str]:
    """What is missing where a model cannot read the regions that this package finds."""
    with open_checkpoint(path, **overrides) as checkpoint:
        config = checkpoint.config
    size = getattr(config, QUESTION_MODELS[config.model_type].features)
    return [] if size == FEATURE_SIZE else [wanted_features(size)]
