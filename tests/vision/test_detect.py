"""From the first stage to the regions of an image: proposals, both profiles, batches, and what cannot be chosen."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from lxmert.utils.softmax import softmax
from lxmert.vision.faster_rcnn import choice
from lxmert.vision.faster_rcnn.anchors import map_anchors
from lxmert.vision.faster_rcnn.choice import choose_caffe, choose_hf, confidences
from lxmert.vision.faster_rcnn.detect import detect_regions, find_regions, prepare_image
from lxmert.vision.faster_rcnn.network import Proposed
from lxmert.vision.faster_rcnn.pooling import inside_map, map_regions, pooling_bins
from lxmert.vision.faster_rcnn.profiles import CaffeProfile, HfProfile, make_profile
from lxmert.vision.faster_rcnn.proposals import choose_proposals
from lxmert.vision.faster_rcnn.suppression import suppress_classes
from tests.compare import assert_same

from .golden_detector import AT_YAML_SIZE, CAFFE, SMALL, StoredNetwork, arrays, hf_profile, network_input

DTYPES = ["float64", "float32"]
# Boxes in pixels: those of the float64 file come from the deltas of the float32 file, whose error is 1.4e-5 of a side.
PIXELS = {"float64": 2e-4, "float32": 1e-2}
CAFFE_SETTINGS = {"m36": (36, 36), "m10_100": (10, 100), "m10_20": (10, 20)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("picture", range(3))
def test_proposals(picture, dtype):
    network, image = StoredNetwork(picture, dtype), network_input(picture, dtype)
    proposed, golden = network.propose(image.pixels[None]), network.arrays
    anchors = map_anchors(network.anchors, proposed.map_size, dtype=dtype)
    if dtype == "float32":
        np.testing.assert_array_equal(anchors, golden["anchors"])
    found = choose_proposals(proposed.objectness[0], proposed.deltas[0], anchors, image.size, SMALL)
    np.testing.assert_array_equal(found.anchors, golden["proposal_index"])
    np.testing.assert_array_equal(found.scores, golden["proposal_logits"])
    np.testing.assert_array_equal(map_regions(found.boxes), golden["rois_on_map"])
    # 1e-12 relative of the largest coordinate
    np.testing.assert_allclose(found.boxes, golden["proposals"], rtol=0, atol=2e-10 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("setting", ["m8", "m36", "m10_100", "m56", "m60"])
@pytest.mark.parametrize("picture", range(3))
def test_profile_hf(picture, setting, dtype):
    network, image = StoredNetwork(picture, dtype), network_input(picture, dtype)
    found = find_regions(network, network.propose(image.pixels[None]), 0, image, hf_profile(setting))
    golden, count = network.arrays, int(network.arrays[f"{setting}_preds_per_image"])
    assert found.threshold == golden[f"{setting}_nms_threshold"]
    np.testing.assert_array_equal(found.rows, golden[f"{setting}_keep"])
    np.testing.assert_array_equal(found.object_ids, golden[f"{setting}_obj_ids"][:count])
    np.testing.assert_array_equal(found.attribute_ids, golden[f"{setting}_attr_ids"][:count])
    tolerance = 1e-9 if dtype == "float64" else 1e-6
    for name, values in (("obj_probs", found.object_scores), ("attr_probs", found.attribute_scores)):
        np.testing.assert_allclose(values, golden[f"{setting}_{name}"][:count], rtol=tolerance)
    np.testing.assert_allclose(found.boxes, golden[f"{setting}_boxes"][:count], rtol=0, atol=PIXELS[dtype])
    np.testing.assert_array_equal(found.features, golden["features"][found.rows])
    # Attributes are computed for what is chosen alone.
    assert network.asked == {"features": 64, "objects": 64, "boxes": 64, "attributes": count}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("setting", CAFFE_SETTINGS)
@pytest.mark.parametrize("picture", range(3))
def test_profile_caffe(picture, setting, dtype):
    network, image = StoredNetwork(picture, dtype), network_input(picture, dtype)
    least, most = CAFFE_SETTINGS[setting]
    profile = replace(CAFFE, min_regions=least, max_regions=most)
    found = find_regions(network, network.propose(image.pixels[None]), 0, image, profile)
    names = ("keep", "boxes", "obj_ids", "obj_probs", "attr_ids", "attr_probs")
    golden = {name: arrays("caffe_profile")[f"img{picture}_{setting}_{name}"] for name in names}
    np.testing.assert_array_equal(found.rows, golden["keep"])
    np.testing.assert_array_equal(found.object_ids, golden["obj_ids"])
    np.testing.assert_array_equal(found.attribute_ids, golden["attr_ids"])
    tolerance = 1e-9 if dtype == "float64" else 5e-5
    np.testing.assert_allclose(found.object_scores, golden["obj_probs"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.attribute_scores, golden["attr_probs"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.boxes, golden["boxes"], rtol=1e-9, atol=0 if dtype == "float64" else 1e-2)
    assert "boxes" not in network.asked
    assert network.asked["attributes"] == len(golden["keep"])


@pytest.mark.parametrize("picture", range(3))
@pytest.mark.parametrize("whole_pixels", [True, False])
def test_every_confidence_of_profile_caffe(picture, whole_pixels, monkeypatch):
    network, scale = StoredNetwork(picture), network_input(picture).scale
    boxes, scores = network.arrays["proposals"] * scale, softmax(network.arrays["cls_logits"])[:, :-1]
    if not whole_pixels:
        monkeypatch.setattr(choice, "suppress_classes", lambda *given, whole_pixels: suppress_classes(*given))
    ending = "" if whole_pixels else "_no_plus1"
    wanted = arrays("caffe_profile")[f"img{picture}_max_conf{ending}"]
    np.testing.assert_allclose(confidences(boxes, scores.T, 0.3, 0.2, enough=len(boxes)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("picture", range(3))
def test_profile_hf_at_the_published_sizes(picture):
    golden = arrays("outputs_yaml_size_float32")
    # The final boxes suppress each other no more than the threshold that was taken lets them.
    boxes = golden[f"img{picture}_boxes"] / golden[f"img{picture}_scale_yx"][[1, 0, 1, 0]]
    rows, threshold = choose_hf(boxes, golden[f"img{picture}_obj_probs"], make_profile("hf", AT_YAML_SIZE))
    np.testing.assert_array_equal(rows, np.arange(36))
    assert threshold <= golden[f"img{picture}_nms_threshold"]


# What no golden array has


class MadeNetwork:
    """Makes numbers of the images' own pixels, with as many regions that round to the same cells as wanted.

    Attributes:
        batches: the shapes that the first stage was given.
    """

    config = SMALL.replace(proposals_before_suppression=400, num_proposals=20, proposal_threshold=0.9)

    def __init__(self, fault=None, shift=0.3):
        self.batches, self.computed, self.fault, self.shift = [], [], fault, shift

    @property
    def anchors(self):
        return arrays("units")["cell_anchors_16_32_64_128"]

    def propose(self, images):
        self.batches.append(images.shape)
        height, width = (max(1, -(-(side - 2) // 16)) for side in images.shape[1:3])
        count = height * width * 12
        seeds = [int(abs(image).sum()) for image in images]
        draws = [np.random.default_rng(seed) for seed in seeds]
        objectness = np.stack([draw.standard_normal(count) for draw in draws]).astype(np.float32)
        deltas = np.stack([draw.normal(0, self.shift, (count, 4)) for draw in draws]).astype(np.float32)
        if self.fault == "anchors":
            objectness[-1, 3] = np.nan
        return Proposed(seeds, (height, width), objectness, deltas)

    def region_features(self, feature_map, image, rois):
        self.computed.append(len(rois))
        keys = rois @ np.array([1, 7, 31, 101]) + feature_map[image]
        return np.stack([np.random.default_rng(abs(int(key))).standard_normal(8) for key in keys]).astype(np.float32)

    def object_scores(self, features):
        scores = features @ np.random.default_rng(1).standard_normal((8, 101)).astype(np.float32)
        if self.fault == "objects":
            scores[0, 5] = np.inf
        return scores

    def box_deltas(self, features, object_ids):
        return features[:, :4] / (0 if self.fault == "boxes" else 10)

    def attribute_scores(self, features, object_ids):
        scores = features @ np.random.default_rng(2).standard_normal((8, 26)).astype(np.float32)
        return scores * np.float32(np.nan) if self.fault == "attributes" else scores


PICTURES = [
    np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    for seed, size in enumerate([(60, 80, 3), (40, 56, 3), (30, 40, 3), (60, 80, 3), (1, 1, 3), (90, 120), (2, 700, 3)])
]
PROFILES = [
    CaffeProfile(min_size=64, max_size=100, min_regions=5, max_regions=12),
    HfProfile(min_size=64, max_size=100, min_regions=5, max_regions=12),
]


def values(found):
    return {name: np.asarray(getattr(found, name)) for name in found.__dataclass_fields__}


@pytest.mark.parametrize("profile", PROFILES, ids=["caffe", "hf"])
def test_an_image_has_the_regions_that_it_has_alone(profile):
    network = MadeNetwork()
    together = detect_regions(network, PICTURES, profile, batch_size=3)
    assert sorted(shape[0] for shape in network.batches) == [1, 1, 1, 1, 3]  # four are 64x85, three of any other size
    for picture, found in zip(PICTURES, together, strict=True):
        (alone,) = detect_regions(MadeNetwork(), [picture], profile)
        assert_same(values(found), values(alone), 0.0)
        assert (found.features.dtype, found.boxes.dtype, found.object_ids.dtype) == ("float32", "float32", "int64")
        assert 5 <= len(found) <= 12
        assert found.size == picture.shape[:2]
        assert (found.boxes >= 0).all()
        assert (found.boxes[:, 2:] <= [found.size[1], found.size[0]]).all()
        assert found.normalized_boxes.max() <= 1


def test_prepared_images_are_not_prepared_again():
    network, profile = MadeNetwork(), PROFILES[0]
    prepared = [prepare_image(picture, network, profile) for picture in PICTURES]
    for one, other in zip(
        detect_regions(network, prepared, profile), detect_regions(network, PICTURES, profile), strict=True
    ):
        assert_same(values(one), values(other), 0.0)


def test_equal_regions_are_computed_once(monkeypatch):
    def with_computed(profile):
        network = MadeNetwork(shift=0.01)  # so that boxes stay near their anchors, some of them after the map
        network.config = network.config.replace(num_proposals=300)
        (found,) = detect_regions(network, [PICTURES[4]], profile)
        return found, network.computed

    profile = replace(PROFILES[1], min_regions=5, max_regions=300)
    once, (count,) = with_computed(profile)
    monkeypatch.setattr(
        "lxmert.vision.faster_rcnn.detect.distinct_regions", lambda regions: (regions, np.arange(len(regions)))
    )
    every, (more,) = with_computed(profile)
    assert count < more
    assert_same(values(once), values(every), 0.0)


def test_regions_after_the_map_are_one():
    # A map of 3 rows and 4 columns: what begins after it pools to zeros.
    regions = np.array([[4, 0, 4, 1], [5, 0, 6, 2], [0, 3, 1, 3], [3, 2, 5, 5], [-2, -1, 0, 0]])
    given = inside_map(regions, (3, 4))
    assert given.tolist() == [[4, 3, 4, 3]] * 3 + regions[3:].tolist()
    rows, columns = pooling_bins(regions[:3], (3, 4), 14)
    assert not ((rows[0] < rows[1]).any(axis=1) & (columns[0] < columns[1]).any(axis=1)).any()


@pytest.mark.parametrize("name", ["caffe", "hf"])
def test_fewer_proposals_than_regions_wanted(name):
    profile = replace(PROFILES[name == "hf"], min_regions=30, max_regions=40)
    with pytest.warns(UserWarning, match=r"2 of 2 images have fewer proposals than the 30 regions wanted, .*\[0\] has"):
        found = detect_regions(MadeNetwork(), PICTURES[:2], profile)
    assert [len(one) for one in found] == [20, 20]  # all that there are


def test_an_image_without_proposals_is_a_region():
    nothing = np.full((12, 4), -50.0, np.float32)  # every box shrinks to nothing and lies outside
    anchors = np.zeros((12, 4), np.float32)
    found = choose_proposals(np.zeros(12, np.float32), nothing, anchors, (48, 32), SMALL)
    assert (found.boxes.tolist(), found.anchors.tolist()) == ([[0, 0, 32, 48]], [-1])


def test_profile_hf_fills_up_from_what_the_last_threshold_dropped():
    # Three piles of equal boxes: each threshold leaves one of each pile.
    boxes = np.repeat([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [3, 2, 1], axis=0).astype(np.float32)
    scores = np.array([0.2, 0.9, 0.5, 0.4, 0.8, 0.1], np.float32)
    profile = HfProfile(min_size=64, max_size=100, min_regions=5, max_regions=5)
    rows, threshold = choose_hf(boxes, scores, profile)
    assert (rows.tolist(), threshold) == ([1, 4, 2, 3, 5], 0.7)  # 1, 4 and 5 are kept; 2 and 3 are the best dropped
    rows, threshold = choose_hf(boxes, scores, replace(profile, min_regions=3, max_regions=3))
    assert (rows.tolist(), threshold) == ([1, 4, 5], 0.5)
    rows, _ = choose_hf(boxes, scores, replace(profile, min_regions=9, max_regions=9))
    assert rows.tolist() == [1, 4, 2, 3, 0, 5]


def test_profile_caffe_keeps_the_order_of_proposals_between_its_bounds():
    boxes = np.array([[0, 0, 9, 9], [30, 0, 39, 9], [60, 0, 69, 9], [0, 0, 9, 9]], np.float64)
    scores = np.array([[0.3, 0.0], [0.5, 0.1], [0.1, 0.05], [0.6, 0.25]])
    # Row 0 is dropped in class 0 by row 3, and in class 1 too.
    for (least, most), wanted in {(1, 4): [1, 3], (1, 1): [3], (3, 4): [3, 1, 2], (4, 4): [3, 1, 2, 0]}.items():
        assert choose_caffe(boxes, scores, replace(CAFFE, min_regions=least, max_regions=most)).tolist() == wanted
    at_threshold = replace(CAFFE, min_regions=1, max_regions=4, score_threshold=0.5)
    assert choose_caffe(boxes, scores, at_threshold).tolist() == [1, 3]


@pytest.mark.parametrize("seed", range(6))
def test_classes_that_cannot_matter_are_left_out(seed):
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(5, 40, (40, 2))], axis=1)
    scores = softmax(draw.normal(0, 3, (40, 90)))[:, :-1]
    every = confidences(boxes, scores.T, 0.3, 0.2, enough=40)
    for enough in (1, 10, 25):
        some = confidences(boxes, scores.T, 0.3, 0.2, enough)
        best = np.argsort(-every, kind="stable")[: max(enough, int((every >= 0.2).sum()))]
        np.testing.assert_array_equal(some[best], every[best])
        assert (some <= every).all()


def test_small_proposals_are_dropped_as_in_the_original():
    # Sides of 15 and 14 pixels of the image; the original counts the last pixel.
    profile = CaffeProfile(min_size=600, max_size=1000)
    assert profile.least_sides((300, 400), (600, 800)) == (32, 32)
    assert profile.least_sides((20, 400), (50, 1000)) == (40, 12.5)  # a quarter of the side
    anchors = np.array([[0, 0, 31, 40], [0, 0, 30, 40], [50, 50, 90, 90]], np.float32)
    scores, still = np.array([3, 2, 1], np.float32), np.zeros((3, 4), np.float32)
    found = choose_proposals(scores, still, anchors, (600, 800), SMALL, (32, 32))
    assert found.anchors.tolist() == [0, 2]
    # They are dropped before the best are taken.
    one = SMALL.replace(proposals_before_suppression=1)
    assert choose_proposals(scores, still, anchors[[1, 0, 2]], (600, 800), one, (32, 32)).anchors.tolist() == [1]
    assert choose_proposals(scores, still, anchors[[1, 0, 2]], (600, 800), one).anchors.tolist() == [0]


@pytest.mark.parametrize(
    ("fault", "image", "what"),
    [
        ("anchors", 1, "scores of anchors"),
        ("objects", 0, "scores of objects"),
        ("attributes", 0, "scores of attributes"),
        ("boxes", 0, "deltas of boxes"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_numbers_that_are_not_finite_are_refused_with_the_image(fault, image, what):
    message = rf"images\[{image}\]: the detector's {what} are not all finite numbers: its weights are damaged"
    profile = PROFILES[fault == "boxes"]  # only profile "hf" moves boxes
    with pytest.raises(ValueError, match=message):
        detect_regions(MadeNetwork(fault), [PICTURES[0], PICTURES[3]], profile, batch_size=2)


def test_an_image_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    profile = PROFILES[0]
    with pytest.raises(ValueError, match=r"Pillow cannot read .*a\.jpg \(8 bytes\)"):
        detect_regions(MadeNetwork(), [PICTURES[0], tmp_path / "a.jpg"], profile)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*b\.jpg"):
        detect_regions(MadeNetwork(), [tmp_path / "b.jpg"], profile)
    with pytest.raises(ValueError, match=r"^images\[1\]: image must have float values from 0 to 1; got nan to nan"):
        detect_regions(MadeNetwork(), [PICTURES[0], np.full((4, 4), np.nan)], profile)
    with pytest.raises(TypeError, match=r"^images\[0\]: image must be a path, a PIL image"):
        detect_regions(MadeNetwork(), [None], profile)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="detectron"), "profile must be one of caffe, hf; got 'detectron'"),
        (dict(name="hf", score_threshold=0.2), "score_threshold has no meaning for profile 'hf'"),
        (dict(name="caffe", score_threshold=2), "score_threshold must be from 0 to 1; got 2"),
        (dict(name="caffe", score_threshold="0.2"), "score_threshold must be a number from 0 to 1; got '0.2'"),
        (dict(name="caffe", score_threshold=True), "score_threshold must be a number from 0 to 1; got True"),
        (dict(name="caffe", regions=0), "regions must be at least 1, and the least not above the most; got 0"),
        (dict(name="hf", regions=(100, 10)), r"regions must be at least 1, .*; got \(100, 10\)"),
        (dict(name="hf", regions="36"), "regions must be a number of regions, or the least and the most; got '36'"),
        (dict(name="hf", regions=True), "regions must be a number of regions"),
    ],
)
def test_profiles_that_do_not_exist(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make_profile(config=SMALL, **arguments)


def test_profiles():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caffe, hf = make_profile("caffe", SMALL, (np.int64(10), 100), 0.3), make_profile("hf", SMALL)
    assert (caffe.min_size, caffe.max_size, caffe.min_regions, caffe.max_regions) == (600, 1000, 10, 100)
    assert (caffe.score_threshold, caffe.suppression_threshold, caffe.least_side) == (0.3, 0.3, 16.0)
    assert (hf.min_size, hf.max_size, hf.min_regions, hf.max_regions) == (128, 176, 8, 8)
    assert make_profile("caffe", SMALL) == CaffeProfile()
    for profile in (caffe, hf):
        assert json.loads(json.dumps(profile.settings())) == profile.settings()
    assert caffe.settings()["profile"] == "caffe"
    assert hf.settings()["suppression_thresholds"] == [0.5, 0.6, 0.7]
