"""What the decisions in this folder ask of a detector's network, which is PyTorch's or Keras'."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from lxmert.common.config.detector import DetectorConfig


class Proposed(NamedTuple):
    """The first stage's outputs for a batch of images of one size.

    Attributes:
        feature_map: of the backbone's end, stride 16, in the backend's own form: it is only handed back.
        map_size: its height and width, h and w.
        objectness: float ``[B, h * w * A]``, the scores of the anchors; the order is row, column, anchor.
        deltas: float ``[B, h * w * A, 4]``, (dx, dy, dw, dh) of each anchor.
    """

    feature_map: Any
    map_size: tuple[int, int]
    objectness: np.ndarray
    deltas: np.ndarray


class DetectorNetwork(Protocol):
    """The network of a detector, with NumPy arrays at its doors."""

    config: DetectorConfig

    @property
    def anchors(self) -> np.ndarray:
        """The anchors of one cell, float32 ``[A, 4]``, x1, y1, x2, y2 around 0."""

    def propose(self, images: np.ndarray) -> Proposed:
        """The first stage: ``images`` is ``[B, H, W, 3]``, resized, in the config's channel order, mean subtracted."""

    def region_features(self, feature_map: Any, image: int, rois: np.ndarray) -> np.ndarray:
        """Pool regions of one image of the batch, and compute their features.

        Args:
            feature_map: of `propose`.
            image: its number in the batch.
            rois: int ``[P, 4]``, x1, y1, x2, y2 in cells of the map, both corners inside; see `vision.pooling`.

        Returns:
            ``[P, C]``, the mean of the second stage over each region.
        """

    def object_scores(self, features: np.ndarray) -> np.ndarray:
        """The scores of the classes before the softmax, background last: ``[P, C]`` to ``[P, K + 1]``."""

    def box_deltas(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The deltas of each region's box for one class each: ``[P, C]`` and ``[P]`` in 0..K-1 to ``[P, 4]``."""

    def attribute_scores(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        """The scores of attributes before the softmax, "no attribute" last: ``[P, C]``, ``[P]`` in 0..K, to
        ``[P, T + 1]``."""
