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
