"""The parts of the detector's decisions, each against the golden arrays of `units.npz`."""

import numpy as np
import pytest

from lxmert.common.cell_anchors import cell_anchors
from lxmert.vision.faster_rcnn.anchors import map_anchors
from lxmert.vision.faster_rcnn.boxes import MOST_ENLARGED, box_sides, clip_boxes, move_boxes, overlaps
from lxmert.vision.faster_rcnn.pooling import distinct_regions, map_regions, pooling_bins
from lxmert.vision.faster_rcnn.preprocess import resize, resized_size
from lxmert.vision.faster_rcnn.suppression import suppress, suppress_classes

from .golden_detector import arrays

UNITS = arrays("units")
DTYPES = [("float32", ""), ("float64", "_float64")]


@pytest.mark.parametrize("sizes", [(16, 32, 64, 128), (64, 128, 256, 512)])
def test_anchors_to_the_bit(sizes):
    cell = cell_anchors(sizes, (0.5, 1.0, 2.0))
    np.testing.assert_array_equal(cell, UNITS[f"cell_anchors_{'_'.join(map(str, sizes))}"])
    assert cell.dtype == np.float32
    if sizes[0] == 16:
        np.testing.assert_array_equal(map_anchors(cell, (2, 3)), UNITS["grid_anchors_2x3"])
        shifted = map_anchors(cell, (2, 3), offset=0.5, dtype="float64")
        np.testing.assert_allclose(shifted, UNITS["grid_anchors_2x3"] + 8.0, rtol=0, atol=1e-5)


def test_sizes_after_resizing():
    for height, width, short, long, *wanted in UNITS["resize_sizes"].tolist():
        assert list(resized_size(height, width, short, long)) == wanted


@pytest.mark.parametrize("name", ["up", "down"])
def test_resizing(name):
    wanted = UNITS[f"resize_out_{name}"].transpose(1, 2, 0)
    given = resize(UNITS["resize_in_7x5"], wanted.shape[:2])
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-4)  # of 255; libraries differ by so much


@pytest.mark.parametrize(("dtype", "ending"), DTYPES)
@pytest.mark.parametrize(("name", "weights"), [("w1", (1, 1, 1, 1)), ("w10", (10, 10, 5, 5))])
def test_box_coding(dtype, ending, name, weights):
    boxes = UNITS["coder_boxes"].repeat(3, axis=0)
    deltas = UNITS["coder_deltas"].reshape(-1, 4).astype(dtype)
    wanted = UNITS[f"coder_out_{name}{ending}"].reshape(-1, 4)
    given = move_boxes(boxes, deltas, weights)
    assert given.dtype == wanted.dtype
    # The exponential differs in the last digit between libraries.
    np.testing.assert_allclose(
        given, wanted, rtol=1e-14 if dtype == "float64" else 3e-6, atol=1e-4 * (dtype != "float64")
    )
    assert UNITS["coder_scale_clamp"] == MOST_ENLARGED


def test_clipping():
    clipped = clip_boxes(UNITS["clip_in"], (80, 100))
    np.testing.assert_array_equal(clipped, UNITS["clip_out_h80_w100"])
    np.testing.assert_array_equal((box_sides(clipped) > 0).all(axis=1), UNITS["clip_nonempty"])


def test_regions_are_rounded_away_from_zero():
    np.testing.assert_array_equal(map_regions(UNITS["roi_boxes"][:, 1:]), UNITS["roi_rounded"])
    just_below = np.nextafter(np.float32(8), np.float32(0))  # of half a cell; adding a half would round it up
    np.testing.assert_array_equal(map_regions(np.array([[just_below, 8, -8, -just_below]])), [[0, 1, -1, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bins_of_every_side(dtype):
    sides = np.arange(1, 129)
    rois = np.stack([0 * sides, 0 * sides, sides - 1, sides - 1], axis=1)
    (top, bottom), (left, right) = pooling_bins(rois, (200, 200), 14, dtype)
    np.testing.assert_array_equal(np.stack([top, bottom], axis=1), UNITS[f"roi_bins_14_{dtype}"])
    np.testing.assert_array_equal(np.stack([left, right], axis=1), UNITS[f"roi_bins_14_{dtype}"])


def pooled(maps, boxes, bins, dtype):
    """The slow way: the maximum of the cells of each bin, 0 without cells."""
    regions = map_regions(boxes[:, 1:])
    height, width = maps.shape[2:]
    (top, bottom), (left, right) = pooling_bins(regions, (height, width), max(bins), dtype)
    if bins[0] != bins[1]:
        (top, bottom), _ = pooling_bins(regions, (height, width), bins[0], dtype)
        _, (left, right) = pooling_bins(regions, (height, width), bins[1], dtype)
    out = np.zeros((len(boxes), maps.shape[1], *bins), maps.dtype)
    for region, image in enumerate(boxes[:, 0].astype(int)):
        for row, column in np.ndindex(*bins):
            cells = maps[image, :, top[region, row] : bottom[region, row], left[region, column] : right[region, column]]
            if cells.size:
                out[region, :, row, column] = cells.max(axis=(1, 2))
    return out


@pytest.mark.parametrize(
    ("name", "bins", "dtype"),
    [
        ("14", (14, 14), "float32"),
        ("3x2", (3, 2), "float32"),
        ("long_float32", (14, 14), "float32"),
        ("long_float64", (14, 14), "float64"),
    ],
)
def test_pooling_of_regions_to_the_bit(name, bins, dtype):
    long = "_long" if "long" in name else ""
    given = pooled(UNITS[f"roi_map{long}"].astype(dtype), UNITS[f"roi_boxes{long}"], bins, dtype)
    np.testing.assert_array_equal(given, UNITS[f"roi_out_{name}"])


def test_equal_regions_are_found():
    regions = np.array([[5, 1, 6, 2], [0, 0, 3, 3], [5, 1, 6, 2], [0, 0, 3, 4], [0, 0, 3, 3]])
    distinct, rows = distinct_regions(regions)
    np.testing.assert_array_equal(distinct, regions[[0, 1, 3]])
    np.testing.assert_array_equal(distinct[rows], regions)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.7])
def test_suppression(threshold):
    kept = suppress(UNITS["nms_boxes"], UNITS["nms_scores"], threshold)
    np.testing.assert_array_equal(kept, UNITS[f"nms_keep_{threshold}"])
    first = suppress(UNITS["nms_boxes"], UNITS["nms_scores"], threshold, most=7)
    np.testing.assert_array_equal(first, kept[:7])


@pytest.mark.parametrize(("dtype", "ending"), DTYPES)
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7])
def test_suppression_with_ties_and_empty_boxes(threshold, dtype, ending):
    boxes, scores = UNITS["nms_tie_boxes"].astype(dtype), UNITS["nms_tie_scores"].astype(dtype)
    kept = suppress(boxes, scores, threshold)
    np.testing.assert_array_equal(kept, UNITS[f"nms_tie_keep_{threshold}{ending}"])
    in_class = suppress_classes(boxes, scores[None], threshold)[0]
    np.testing.assert_array_equal(np.flatnonzero(in_class), np.sort(kept))


def slow(boxes, scores, threshold, extra):
    """Greedy suppression, pair by pair."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: (-scores[index], index)):
        a = boxes[index]
        for other in kept:
            b = boxes[other]
            wide = max(min(a[2], b[2]) - max(a[0], b[0]) + extra, 0)
            high = max(min(a[3], b[3]) - max(a[1], b[1]) + extra, 0)
            areas = [(c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b)]
            union = sum(areas) - wide * high
            if union > 0 and wide * high / union > threshold:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_suppression_is_the_greedy_one(seed, monkeypatch):
    monkeypatch.setattr("lxmert.vision.faster_rcnn.suppression._BLOCK", 16)
    draw = np.random.default_rng(seed)
    count = int(draw.integers(0, 100))  # more than the bits of a word too
    corners = draw.integers(0, 30, (count, 2))
    boxes = np.concatenate([corners, corners + draw.integers(0, 25, (count, 2))], axis=1).astype(np.float64)
    scores = draw.integers(0, 20, (5, count)) / 20  # many ties
    threshold = float(draw.choice([0.0, 0.3, 0.5, 1.0]))
    assert suppress(boxes, scores[0], threshold).tolist() == slow(boxes, scores[0], threshold, 0)
    for extra in (0, 1):
        kept = suppress_classes(boxes, scores, threshold, whole_pixels=bool(extra))
        for row, of_class in zip(kept, scores, strict=True):
            assert np.flatnonzero(row).tolist() == sorted(slow(boxes, of_class, threshold, extra))


def test_overlaps_that_count_the_last_pixel():
    boxes = np.array([[0.0, 0, 9, 9], [0, 0, 9, 4], [10, 0, 19, 9]])
    np.testing.assert_allclose(overlaps(boxes[0], boxes, whole_pixels=True), [1, 0.5, 0])
    np.testing.assert_allclose(overlaps(boxes[0], boxes), [1, 4 / 9, 0])
