"""The objects that VCR gives with an image as regions: their order, their files, and what does not fit."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from lxmert import RegionDetector
from lxmert.common.config.vcr_detector import VcrDetectorConfig
from lxmert.detection.vcr import VcrRegionDetector
from lxmert.vision.vcr.objects import ImageObjects

METADATA = {
    "boxes": [[10, 5, 30, 35, 0.9], [0, 0, 60, 40, 0.75]],
    "names": ["dog", "person"],
    "segms": [[[[10, 5], [30, 5], [30, 20], [10, 20]]], []],
    "width": 60,
    "height": 40,
}


class Shown:
    """A network whose features are what it is given: the box, the class, and how much of the mask is 1."""

    config = VcrDetectorConfig(canvas_height=80, canvas_width=120, feature_size=6)

    def region_features(self, inputs):
        parts = [inputs.boxes, inputs.object_ids[..., None], inputs.masks.mean(axis=(2, 3))[..., None]]
        return np.concatenate(parts, axis=2).astype(np.float64)


@pytest.fixture
def detector():
    return VcrRegionDetector(Shown())


@pytest.fixture
def image(tmp_path):
    """An image file with its metadata, 40 high and 60 wide: half as large as the canvas."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "frame@0.png")
    (tmp_path / "frame@0.json").write_text(json.dumps(METADATA))
    return tmp_path / "frame@0.png"


def test_regions_are_the_image_and_its_objects_in_order(detector, image):
    (found,) = detector.detect([image])
    assert found.features.dtype == np.float32
    assert found.features.tolist() == [
        [0, 0, 120, 80, 0, 1],
        [20, 10, 60, 70, 17, 0.5],
        [0, 0, 120, 80, 1, 0],
    ]
    assert found.boxes.tolist() == [[0, 0, 60, 40], [10, 5, 30, 35], [0, 0, 60, 40]]
    assert found.size == (40, 60)
    assert found.object_ids.tolist() == [-100, 17, 1]
    assert found.object_scores.tolist() == pytest.approx([0, 0.9, 0.75])
    assert detector.object_names(found.object_ids) == ["", "dog", "person"]
    batch = detector([str(image), detector.prepare(image)])
    assert batch.features.shape == (2, 3, 6)
    np.testing.assert_array_equal(batch.features[0], batch.features[1])
    np.testing.assert_array_equal(detector(detector.prepare(image)).features, batch.features[:1])


def test_objects_of_an_array(detector):
    """They are given to `prepare`; without outlines they fill their boxes, which is said once."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    objects = ImageObjects(np.array([[10, 5, 30, 35]]), ["dog"])
    with pytest.warns(UserWarning, match="no outlines of the objects: they are taken to fill their boxes"):
        prepared = detector.prepare(pixels, objects)
    (found,) = detector.detect([prepared])
    assert found.features[:, 5].tolist() == [1, 1]
    assert found.object_scores.tolist() == [0, 1]
    (alone,) = detector.detect([detector.prepare(pixels, ImageObjects(np.zeros((0, 4)), []))])
    assert alone.boxes.tolist() == [[0, 0, 60, 40]]
    detector.prepare(pixels, objects)
    with pytest.raises(ValueError, match=r"the image is ndarray. Pass detector.prepare\(image, ImageObjects"):
        detector([pixels])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 61}, "60 wide and 40 high; the file says that it is 61 wide and 40 high"),
        ({"boxes": [[10, 5, 30, 35, 1], [0, 0, 60, 41, 1]]}, "box 1 [0.0, 0.0, 60.0, 41.0] is not within it"),
        ({"names": ["dog", "pson"]}, "'pson' is none of the 80 classes of COCO (did you mean 'person'?)"),
        ({"names": ["dog"]}, "names must be as many as boxes, 2; got 1"),
        ({"segms": [[[1, 2]], []]}, "the segms of object 0 must be polygons"),
    ],
)
def test_metadata_that_does_not_fit(changes, message, detector, image):
    path = image.with_suffix(".json")
    path.write_text(json.dumps({**METADATA, **changes}))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        detector.prepare(image)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_are_missing(detector, image):
    image.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"frame@0\.json, the metadata of the image, is missing"):
        detector.prepare(image)
    image.unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*frame@0\.png"):
        detector.prepare(image)
    with pytest.raises(ValueError, match="max_shapes has no meaning for the detector 'vcr:x'; it takes backend, prec"):
        RegionDetector.from_pretrained("vcr:x", max_shapes=3)
    with pytest.raises(ValueError, match="'vcr:' names no weights"):
        RegionDetector.from_pretrained("vcr:")
    with pytest.raises(FileNotFoundError, match=r"x\.th"):
        RegionDetector.from_pretrained(f"vcr:{image.parent / 'x.th'}")
