"""RoIAlign as two matrix products: against the golden arrays, and sample by sample."""

import math

import numpy as np
import pytest

from lxmert.vision.vcr.align_weights import align_weights

from .golden_vcr import arrays


def aligned(feature_map, boxes, size=7):  # [C, h, w] -> [P, C, n, n]
    rows, columns = align_weights(boxes, feature_map.shape[1:], size, feature_map.dtype.name)
    return np.einsum("chw,pyh,pxw->pcyx", feature_map, rows, columns)


def test_against_the_golden_arrays():
    golden = arrays("outputs_float64")
    for image in (0, 1):
        mine = golden["rois"][:, 0] == image
        found = aligned(golden["layer3"][image], golden["rois"][mine, 1:])
        assert np.abs(found[:, :40] - golden["roi_align"][mine]).max() < 1e-11


def sampled(feature_map, box, size):
    """The same by its definition: the mean of samples of each bin."""
    height, width = feature_map.shape
    x1, y1, x2, y2 = (value / 16 for value in box)
    sides = max(y2 - y1, 1) / size, max(x2 - x1, 1) / size
    counts = [math.ceil(side) for side in sides]
    result = np.zeros((size, size))
    for (row, column), _ in np.ndenumerate(result):
        values = []
        for i in range(counts[0]):
            for j in range(counts[1]):
                y = y1 + (row + (i + 0.5) / counts[0]) * sides[0]
                x = x1 + (column + (j + 0.5) / counts[1]) * sides[1]
                if not (-1 <= y <= height and -1 <= x <= width):
                    values.append(0)
                    continue
                y, x = (min(max(at, 0), side - 1) for at, side in ((y, height), (x, width)))
                low_y, low_x = int(y), int(x)
                high_y, high_x = min(low_y + 1, height - 1), min(low_x + 1, width - 1)
                top = feature_map[low_y, low_x] * (1 - x + low_x) + feature_map[low_y, high_x] * (x - low_x)
                below = feature_map[high_y, low_x] * (1 - x + low_x) + feature_map[high_y, high_x] * (x - low_x)
                values.append(top * (1 - y + low_y) + below * (y - low_y))
        result[row, column] = np.mean(values)
    return result


@pytest.mark.parametrize("size", [1, 2, 7])
def test_sample_by_sample(size):
    """Also of boxes that leave the map, of some without area, and of some far larger than the bins."""
    random = np.random.default_rng(size)
    corners = random.uniform(-60, 200, (20, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    boxes[0] = (5, 5, 5, 5)
    boxes[1] = (-400, -400, 500, 500)
    feature_map = random.standard_normal((5, 9))
    found = aligned(feature_map[None], boxes, size)
    for box, features in zip(boxes, found, strict=True):
        np.testing.assert_allclose(features[0], sampled(feature_map, box, size), atol=1e-12)
    assert aligned(feature_map[None], boxes[:0], size).shape == (0, 1, size, size)
