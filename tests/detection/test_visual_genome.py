"""The Visual Genome detector on real photographs: narrow networks with random weights, in both backends."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from lxmert import RegionDetector
from lxmert.data.features import check_regions, open_regions
from lxmert.detection.extraction import extract_features
from lxmert.detection.visual_genome import VisualGenomeRegionDetector
from lxmert.pt import VisualGenomeDetector
from lxmert.utils.included_models import included_models
from tests.detection.photographs import CAMERA, CAT, CHINA, FLOWER, ROCKET, make_kinds
from tests.reference.detectors import golden_network
from tests.vision.golden_detector import SMALL

FIELDS = ("features", "boxes", "object_ids", "object_scores", "attribute_ids", "attribute_scores")


@pytest.fixture(scope="module")
def network():
    return golden_network("pt", SMALL, "float32")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return make_kinds(tmp_path_factory.mktemp("photographs"))


def assert_same(found, expected):
    """Every number of two images' regions is the same."""
    assert found.size == expected.size
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def assert_within(found):
    height, width = found.size
    x1, y1, x2, y2 = found.boxes.T
    assert ((x1 >= 0) & (x1 <= x2) & (x2 <= width) & (y1 >= 0) & (y1 <= y2) & (y2 <= height)).all()
    assert np.isfinite(found.features).all()
    assert ((found.object_scores > 0) & (found.object_scores <= 1)).all()
    assert ((found.object_ids >= 0) & (found.object_ids < 100)).all()
    assert ((found.attribute_ids >= 0) & (found.attribute_ids < 25)).all()


def test_photographs_of_every_kind(network, kinds):
    """No failure, regions within the picture, and beside others the numbers of each alone."""
    photographs = [CHINA, CAT, CAMERA, ROCKET, *kinds.values()]
    detector = VisualGenomeRegionDetector(network, regions=(10, 36))
    together = detector(photographs)
    assert together.features.shape == (10, 36, 128)
    np.testing.assert_array_equal(together.sizes[0], (427, 640))
    np.testing.assert_array_equal(together.sizes[4], (640, 427), err_msg="the photograph that is to be turned")
    for number, found in enumerate(together):
        assert_within(found)
        if number in (2, 4):
            assert_same(detector(photographs[number]).images[0], found)


def test_a_path_an_array_and_a_pil_image_have_the_same_regions(network, kinds):
    detector = VisualGenomeRegionDetector(network, profile="hf")
    path = kinds["exif.jpg"]
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        found = detector([path, image, shown, str(path)])
    assert_within(found.images[0])
    for other in found.images[1:]:
        assert_same(other, found.images[0])
    assert_same(detector(shown[..., ::-1], channel_order="BGR").images[0], found.images[0])
    assert np.abs(detector(shown[..., ::-1]).features - found.features[0]).max() > 0.1


def test_a_store_of_photographs(network, tmp_path):
    """What the detector finds in each, whichever are beside it, with objects, attributes and settings."""
    detector = VisualGenomeRegionDetector(network, regions=(10, 36))
    assert extract_features([CHINA, CAT, CAMERA], tmp_path / "store", detector).skipped == []
    store, found = open_regions(tmp_path / "store"), detector([CHINA, CAT, CAMERA])
    assert store.names == ["china", "chelsea", "camera"]
    batch = store.batch([0, 1, 2], labels=True)
    np.testing.assert_array_equal(batch["visual_feats"], found.features)
    np.testing.assert_array_equal(batch["visual_pos"], found.normalized_boxes)
    for kind in ("object", "attribute"):
        np.testing.assert_array_equal(batch[f"{kind}_ids"], getattr(found, f"{kind}s"))
        np.testing.assert_array_equal(batch[f"{kind}_confidence"], getattr(found, f"{kind}_scores"))
    assert store.facts(0)["detector"] == detector.settings
    assert check_regions([tmp_path / "store"]).good


def test_a_folder_of_weights(network, tmp_path):
    """It holds the names of the classes; its SHA-256 is shown and checked; the regions are those of the network."""
    network.save_pretrained(tmp_path / "weights")
    (tmp_path / "weights" / "objects_vocab.txt").write_text("".join(f"thing {n},synonym\n" for n in range(100)))
    digest = hashlib.sha256((tmp_path / "weights" / "model.safetensors").read_bytes()).hexdigest()
    detector = RegionDetector.from_pretrained(tmp_path / "weights", sha256=digest.upper(), device="cpu")
    assert detector.settings["sha256"] == digest
    assert {**detector.settings, "weights": "weights", "backend": "pt", "precision": "float32"} == detector.settings
    found = detector(CAT)
    assert_same(found.images[0], VisualGenomeRegionDetector(network)(CAT).images[0])
    assert detector.object_names(found.objects)[0][0] == f"thing {found.objects[0, 0]}"
    assert detector.attributes is None
    narrow = RegionDetector.from_pretrained(tmp_path / "weights", precision="bfloat16")(CAT)
    assert np.abs(narrow.features).max() > 0
    assert not np.array_equal(narrow.features, found.features)


def test_what_cannot_be_loaded(network, tmp_path):
    network.save_pretrained(tmp_path / "weights")
    for options, message in (
        ({"sha256": "0" * 64}, "has the SHA-256 [0-9a-f]{64}, and not 0{64}, as sha256 says"),
        ({"sha256": "abc"}, "sha256 must be 64 hexadecimal digits; got 'abc'"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, float64; got 'float16'"),
        ({"device": "cuda:99"}, "device must be one that PyTorch has here; got 'cuda:99'"),
        ({"device": "meta"}, "device must be one that PyTorch has here; got 'meta'"),
        ({"backend": "jax"}, r'backend must be "pt" \(PyTorch\) or "tf" \(Keras\); got \'jax\''),
        ({"profile": "coco"}, "profile must be one of caffe, hf; got 'coco'"),
        ({"regions": (36, 10)}, "regions must be at least 1, and the least not above the most"),
        ({"objects": ["one"]}, "objects must be 100 names"),
        ({"objects": [None] * 100}, "objects must be a list of names in the order of their ids, or its file"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            RegionDetector.from_pretrained(tmp_path / "weights", **options)
    for source, message in (
        (included_models()["easy-vqa"], r"another model \(LXMERT\) .* \(Visual Genome detector\). Such a model reads"),
        (f"vcr:{tmp_path / 'weights'}", r"\(Visual Genome detector\) .* \(VCR detector\). Name it without"),
    ):
        with pytest.raises(ValueError, match=message):
            RegionDetector.from_pretrained(source)
    path = tmp_path / "weights" / "config.json"
    values = json.loads(path.read_text())
    del values["pixel_mean"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="pixel_mean"):
        RegionDetector.from_pretrained(tmp_path / "weights")


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_weights_that_are_not_finite_are_refused(tmp_path, backend):
    """A network of them may find regions: oneDNN's ReLU makes 0 of NaN."""
    network = VisualGenomeDetector(SMALL.replace(res2_blocks=1, res3_blocks=1, res4_blocks=1, res5_blocks=1))
    with torch.no_grad():
        network.backbone.res2[0].spatial.conv.weight[0, 0, 1, 1] = np.nan
        network.predictor.attributes.bias[3] = -np.inf
    network.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is damaged: .*backbone.*spatial.*attributes.* hold NaN or infinite values"):
        RegionDetector.from_pretrained(tmp_path, backend=backend)


@pytest.mark.full
def test_the_backends_find_the_same():
    """In float64, in both profiles."""
    detectors_of = [golden_network(backend, SMALL, "float64") for backend in ("pt", "tf")]
    for profile in ("caffe", "hf"):
        found = [VisualGenomeRegionDetector(each, profile=profile)([CAT, FLOWER]) for each in detectors_of]
        np.testing.assert_array_equal(*(each.objects for each in found))
        np.testing.assert_array_equal(*(each.attributes for each in found))
        np.testing.assert_allclose(*(each.boxes for each in found), rtol=1e-6)
        np.testing.assert_allclose(*(each.features for each in found), rtol=1e-6, atol=1e-6)


def test_settings_and_names(network):
    names = [f"object {number}" for number in range(100)]
    detector = VisualGenomeRegionDetector(network, regions=(10, 100), score_threshold=0.1, objects=names)
    settings = detector.settings
    wanted = {"kind": "visual_genome", "profile": "caffe", "min_regions": 10, "max_regions": 100}
    assert {**settings, **wanted, "score_threshold": 0.1} == settings
    found = detector(CAT)
    assert detector.object_names(found.objects)[0][0] == f"object {found.objects[0, 0]}"
    with pytest.raises(ValueError, match="attributes must be 25 names, one for each id in order; those given are 1"):
        VisualGenomeRegionDetector(network, attributes=["red"])
