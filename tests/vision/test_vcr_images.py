"""What VisualBERT's image network for VCR reads of an image and its objects."""

import json
import re

import numpy as np
import pytest

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.vision.vcr.images import fit_canvas, normalized, vcr_inputs
from lxmert.vision.vcr.objects import OBJECT_NAMES, ImageObjects, polygon_mask

from .golden_vcr import FOLDER, arrays

SMALL = VcrDetectorConfig(canvas_height=96, canvas_width=128)


@pytest.fixture(scope="module")
def golden():
    return arrays("inputs")


def objects_of(golden, picture):
    """The objects of a picture of the golden data."""
    polygons = json.loads((FOLDER / "polygons.json").read_text())[f"pic{picture}"]
    boxes, rows = golden[f"pic{picture}_raw_boxes"], golden["objects"][picture][1:]
    return ImageObjects(boxes, [OBJECT_NAMES[row] for row in rows[rows >= 0]], polygons)


def test_classes():
    assert list(OBJECT_NAMES) == json.loads((FOLDER / "classes.json").read_text())
    boxes = np.array([[0, 0, 1, 1]] * 3)
    assert ImageObjects(boxes, ["dining table", "person", "hair drier"]).object_ids.tolist() == [61, 1, 79]


@pytest.mark.parametrize("picture", [0, 1])
def test_images_are_resized_and_padded(golden, picture):
    canvas = fit_canvas(golden[f"pic{picture}_raw"], SMALL)
    resized = golden[f"pic{picture}_resized"]
    # Pillow's versions may round a pixel differently.
    assert np.abs(canvas.pixels.astype(int) - resized).max() <= 1
    assert canvas.scale == golden[f"pic{picture}_scale"]
    assert canvas.padding == tuple(golden[f"pic{picture}_padding"])
    assert canvas.window == tuple(golden[f"pic{picture}_window"])
    np.testing.assert_array_equal(normalized(resized, SMALL), golden["images"][picture].transpose(1, 2, 0))


def test_the_inputs_of_a_batch(golden):
    found = vcr_inputs([golden[f"pic{n}_raw"] for n in (0, 1)], [objects_of(golden, n) for n in (0, 1)], SMALL)
    np.testing.assert_array_equal(found.boxes, golden["boxes"])
    np.testing.assert_array_equal(found.box_mask, golden["box_mask"])
    np.testing.assert_array_equal(found.object_ids, golden["objects"])
    np.testing.assert_array_equal(found.masks, golden["segms"])
    step = 1 / (255 * min(SMALL.image_std))
    assert np.abs(found.images - golden["images"].transpose(0, 2, 3, 1)).max() < 1.01 * step
    assert {array.dtype.name for array in found} == {"float32", "int64"}


def test_masks():
    """Of the classical figures whose inside is in question; and of outlines that cover nothing."""
    box, square = [0, 0, 4, 4], [[0, 0], [4, 0], [4, 4], [0, 4]]
    np.testing.assert_array_equal(polygon_mask(box, [square], 4), np.ones((4, 4)))
    twice = [*square, [0, 0], [2, 0], [2, 4], [0, 4]]  # the left half is enclosed twice
    np.testing.assert_array_equal(polygon_mask(box, [twice], 4), [[0, 0, 1, 1]] * 4)
    np.testing.assert_array_equal(polygon_mask(box, [[[0, 0], [4, 4]], [[1, 1]], []], 4), np.zeros((4, 4)))
    triangle = [[0, 0], [3, 0], [0, 4]]
    np.testing.assert_array_equal(
        polygon_mask(box, [triangle], 4), [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    )
    one = ImageObjects(np.array([[1.0, 1, 3, 3]]), ["cat"])
    assert vcr_inputs([np.zeros((4, 4, 3), np.uint8)], [one], SMALL).masks.all()


def test_images_of_any_shape():
    """An image far too wide for the canvas keeps a row; the size of the canvas itself is left alone."""
    nothing = ImageObjects(np.zeros((0, 4)), [])
    images = [np.full((2, 3000, 3), 9, np.uint8), np.full((96, 128, 3), 9, np.uint8), np.full((1, 1, 3), 9, np.uint8)]
    found = vcr_inputs(images, [nothing] * 3, SMALL)
    assert found.boxes[:, 0].tolist() == [[0, 47, 128, 48], [0, 0, 128, 96], [16, 0, 112, 96]]
    assert found.box_mask.tolist() == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((2, 5))}, "boxes must be numbers [N, 4]; got float64 [2, 5]"),
        ({"names": ["cat"]}, "names must be one for each of the 2 boxes; got 1"),
        ({"polygons": [[]]}, "polygons must be one for each of the 2 boxes; got 1"),
        ({"confidence": [1.0] * 3}, "confidence must be one for each of the 2 boxes; got 3"),
        ({"boxes": np.array([[0, 0, 9, 5], [1, 1, np.nan, 2]])}, "box 1 [1.0, 1.0, nan, 2.0] is not within it"),
        ({"boxes": np.array([[0, 0, 9, 11], [1, 1, 2, 2]])}, "box 0 [0, 0, 9, 11] is not within it"),
        ({"boxes": np.array([[0, 0, 5, 5], [2, 1, 1, 2]])}, "box 1 [2, 1, 1, 2] must be x1, y1, x2, y2"),
        ({"names": ["cat", "persn"]}, "'persn' is none of the 80 classes of COCO (did you mean 'person'?)"),
        ({"polygons": [[], [[1, 2, 3]]]}, "a polygon of object 1 must be finite numbers [P, 2]; got [3]"),
    ],
)
def test_objects_that_do_not_fit(changes, message):
    right = {"boxes": np.array([[0, 0, 9, 5], [1, 1, 2, 2]]), "names": ["cat", "dog"]}
    with pytest.raises(ValueError, match=re.escape(message)):
        vcr_inputs([np.zeros((5, 10, 3), np.uint8)], [ImageObjects(**{**right, **changes})], SMALL)


def test_every_fault_is_named():
    wrong = ImageObjects(np.array([[0, 0, 99, 5], [0, 0, 5, 99]]), ["cta", "dog", "cow"])
    with pytest.raises(ValueError, match=r"10 wide and 5 high: names .*; box 0 .*; box 1 .*; 'cta' is none"):
        wrong.check(5, 10)
