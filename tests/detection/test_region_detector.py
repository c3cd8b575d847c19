"""What every region detector has: its source, the order of channels, names, drawings, and the models' arguments."""

import numpy as np
import pytest
from PIL import Image

from lxmert import RegionDetector
from lxmert.data.features import RegionWriter, open_regions
from lxmert.detection.stored import StoredRegions
from tests.detection.colours import Colours
from tests.inference.conftest import draw


@pytest.fixture
def photo(tmp_path):
    """Reddish, 40 high and 60 wide: an array, a PIL image and a PNG file."""
    pixels = np.random.default_rng(0).integers(0, 200, (40, 60, 3)).astype(np.uint8)
    pixels[..., 0] += 50
    image = Image.fromarray(pixels)
    image.save(tmp_path / "photo.png")
    return pixels, image, tmp_path / "photo.png"


def test_one_or_several_images_of_any_kind(photo):
    detector = Colours()
    found = detector([*photo, str(photo[2])])
    assert found.features.shape == (4, 2, 3)
    np.testing.assert_array_equal(found.features, np.broadcast_to(found.features[0], (4, 2, 3)))
    np.testing.assert_array_equal(found.sizes, [[40, 60]] * 4)
    np.testing.assert_array_equal(found.normalized_boxes[0], [[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    np.testing.assert_array_equal(detector(photo[0]).features, found.features[:1])
    with pytest.raises(ValueError, match="at least one"):
        detector([])
    with pytest.raises(ValueError, match=r"Pass list\(images\)"):
        detector(np.stack([photo[0]] * 2))


def test_the_order_of_channels_is_that_of_arrays_alone(photo):
    """OpenCV's array, the file and the PIL image have the same regions; opacity stays the fourth channel."""
    pixels, image, path = photo
    detector = Colours()
    right = detector(path).features[0]
    reversed_channels = np.ascontiguousarray(pixels[..., ::-1])
    found = detector([reversed_channels, image, path, pixels[..., 1]], channel_order="BGR")
    for row in found.features[:3]:
        np.testing.assert_array_equal(row, right)
    assert np.abs(detector(reversed_channels).features[0] - right).max() > 0.1
    opaque = np.dstack([reversed_channels, np.full((40, 60), 255, np.uint8)])
    np.testing.assert_array_equal(detector(opaque, "BGR").features[0], right)
    with pytest.raises(ValueError, match='channel_order must be "RGB" or "BGR"; got \'rgb\''):
        detector(path, channel_order="rgb")


def test_names_and_the_arguments_of_the_models(photo):
    detector = Colours()
    found = detector([photo[0]] * 2)
    assert detector.object_names(found.objects) == [["left", "right"]] * 2
    assert detector.attribute_names(found.attributes[0]) == ["plain", ""]
    for wrong in (-1, 2):
        with pytest.raises(ValueError, match=f"ids of objects must be 0 to 1, or -100 for none; got {wrong}"):
            detector.object_names([0, wrong])
    assert set(found.lxmert_inputs()) == {"visual_feats", "visual_pos", "visual_attention_mask"}
    assert set(found.visual_bert_inputs()) == {"visual_embeds", "visual_attention_mask", "visual_token_type_ids"}
    np.testing.assert_array_equal(found.visual_bert_inputs()["visual_embeds"], found.features)
    with pytest.raises(ValueError, match="the names of the objects of shapes are not known; pass objects"):
        RegionDetector.from_pretrained("shapes").object_names([0])


def test_sources():
    shapes = RegionDetector.from_pretrained("shapes", max_shapes=1, backend="tf", profile=None)
    assert shapes.settings == {"kind": "shapes", "max_shapes": 1}
    assert len(shapes(draw((160, 60), count=3)).images[0]) == 2
    with pytest.raises(ValueError, match="profile has no meaning for the detector 'shapes'; it takes max_shapes"):
        RegionDetector.from_pretrained("shapes", profile="hf")
    with pytest.raises(ValueError, match="profile, regions have no meaning for the detector 'shapes'"):
        RegionDetector.from_pretrained("shapes", profile="hf", regions=36)
    with pytest.raises(TypeError, match=r"unexpected keyword 'profil'\. Did you mean 'profile'\?"):
        RegionDetector.from_pretrained("shapes", profil="hf")
    with pytest.raises(FileNotFoundError, match="there is no file or folder 'no/such/detector'"):
        RegionDetector.from_pretrained("no/such/detector")
    for wrong, near in (("shape", "shapes"), ("Grid:ResNet50", "grid:"), ("gird:x", "grid:"), ("vrc:x.th", "vcr:")):
        with pytest.raises(ValueError, match=f"{wrong}' is no file, and names no kind .* Did you mean {near}"):
            RegionDetector.from_pretrained(wrong)
    with pytest.raises(ValueError, match=r"'keras_hub:x' is no file, .* OWNER/NAME\.$"):
        RegionDetector.from_pretrained("keras_hub:x")
    for wrong in ("", 3):
        with pytest.raises(TypeError, match="must be a source of a region detector"):
            RegionDetector.from_pretrained(wrong)


def test_a_store_gives_what_was_put_in(photo, tmp_path):
    (found,) = Colours()(photo[0]).images
    with RegionWriter(tmp_path / "store") as writer:
        writer.add("one", found.features, found.boxes, found.size, object_ids=found.object_ids)
    detector = StoredRegions(open_regions(tmp_path / "store"))
    stored = detector("one").images[0]
    np.testing.assert_array_equal(stored.features, found.features)
    np.testing.assert_array_equal(stored.boxes, found.boxes)
    np.testing.assert_array_equal(stored.object_ids, [0, 1])
    assert (stored.size, stored.attribute_ids) == ((40, 60), None)


def test_a_detector_draws_what_it_found(photo, tmp_path):
    detector = Colours()
    assert detector.draw(detector(photo[2]).images[0], tmp_path / "regions.png", photo[2]) == 2
    with Image.open(tmp_path / "regions.png") as drawing:
        assert drawing.size == (320, 213)
    with pytest.raises(TypeError, match=r"the regions of one image, detector\(photo\).images\[0\]; got Detections"):
        detector.draw(detector(photo[2]), tmp_path / "regions.png")
