"""What the networks of detectors return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lxmert.common.outputs import ModelOutput


@dataclass(eq=False)
class DetectorOutput(ModelOutput):
    """The first stage of `VisualGenomeDetector`.

    Attributes:
        feature_map: the map of stride 16, [B, C, h, w] in PyTorch and [B, h, w, C] in Keras.
        objectness: [B, h·w·A], the scores of the anchors; the order is row, column, anchor.
        deltas: [B, h·w·A, 4], (dx, dy, dw, dh) of each anchor.
    """

    feature_map: Any = None
    objectness: Any = None
    deltas: Any = None


@dataclass(eq=False)
class VcrDetectorOutput(ModelOutput):
    """What a call of VisualBERT's image network for VCR returns; zeros where there is no box.

    Attributes:
        features: [B, R, F], what VisualBERT reads of each box.
        pooled_features: [B, R, C], the mean of the last stage, before the class of the box joins.
        object_logits: [B, R, K], a score of every class, of which the features know nothing.
    """

    features: Any = None
    pooled_features: Any = None
    object_logits: Any = None


def check_precision(name: Any) -> None:
    """Refuse the name of a dtype in which no detector computes; None is that of its weights."""
    if name not in (None, "float32", "bfloat16", "float64"):
        raise ValueError(f'precision must be "float32", "bfloat16" or "float64", or None; got {name!r}.')
