"""The Visual Genome detector's networks against every stage of the golden arrays."""

import importlib
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from lxmert.vision.faster_rcnn.anchors import map_anchors
from lxmert.vision.faster_rcnn.boxes import move_boxes
from lxmert.vision.faster_rcnn.detect import find_regions, prepare_image
from lxmert.vision.faster_rcnn.pooling import map_regions
from lxmert.vision.faster_rcnn.profiles import make_profile
from lxmert.vision.faster_rcnn.proposals import choose_proposals
from tests.vision.golden_detector import AT_YAML_SIZE, CAFFE, SMALL, arrays, hf_profile, network_input

from .detectors import channels_first, golden_network, tensor

# Absolute in float32, by stage: those of the golden README, some ten times the distance of its float32 run from its
# float64 run. In float64 1e-9 of the largest entry.
FLOAT32 = {
    "stem": 1e-4, "res2": 1e-4, "res3": 1e-4, "res4": 1e-4, "rpn_objectness": 5e-4, "rpn_deltas": 1e-4,
    "rpn_boxes": 1e-2, "proposals": 1e-2, "proposal_logits": 5e-4, "pooled_first4": 1e-4, "res5_first2": 1e-4,
    "features": 1e-4, "roi_features": 1e-4, "cls_logits": 5e-4, "attr_logits": 5e-4, "box_deltas": 1e-4,
    "boxes": 1e-2, "normalized_boxes": 1e-4, "obj_probs": 5e-5, "attr_probs": 5e-5,
}  # fmt: skip
# Boxes of the final regions go through float32 scales, in float64 too.
FLOAT64 = {"boxes": 1e-6, "normalized_boxes": 1e-8}


def check(found, golden, name, dtype):
    """Compare one stage."""
    stage = name.removesuffix("_sample").split("/")[-1]
    tolerance = FLOAT64.get(stage, 1e-9) * np.abs(golden).max() if dtype == "float64" else FLOAT32[stage]
    assert found.shape == golden.shape, name
    np.testing.assert_allclose(found, golden, rtol=0, atol=tolerance, err_msg=name)


@cache
def network(backend, dtype):
    """The narrow network with the golden weights."""
    return golden_network(backend, SMALL, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("picture", range(3))
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_every_stage(backend, picture, dtype):
    made, image = network(backend, dtype), network_input(picture, dtype)
    golden = golden_of(picture, f"outputs_single_{dtype}")
    proposed = made.propose(image.pixels[None])
    height, width = proposed.map_size
    anchors = map_anchors(made.anchors, proposed.map_size, dtype=dtype)
    proposals = choose_proposals(proposed.objectness[0], proposed.deltas[0], anchors, image.size, SMALL)
    rois = map_regions(proposals.boxes)
    features = made.region_features(proposed.feature_map, 0, rois)
    rows = len(golden["box_deltas"])  # the float64 file has the first ones alone
    best = golden["best_id"][:rows]
    golden["box_deltas"] = golden["box_deltas"].reshape(rows, -1, 4)[np.arange(rows), best]
    found = {
        "res4": channels_first(backend, proposed.feature_map)[0],
        "rpn_objectness": proposed.objectness.reshape(height, width, -1).transpose(2, 0, 1),
        "rpn_deltas": proposed.deltas.reshape(height, width, -1).transpose(2, 0, 1),
        "rpn_boxes": move_boxes(anchors, proposed.deltas[0], SMALL.proposal_box_weights),
        "proposals": proposals.boxes,
        "proposal_logits": proposals.scores,
        "features": features,
        "cls_logits": made.object_scores(features),
        "box_deltas": made.box_deltas(features[:rows], best),
        "attr_logits": made.attribute_scores(features, golden["embedding_id"]),
    }
    for name, values in found.items():
        check(values, golden[name], name, dtype)
    np.testing.assert_array_equal(proposals.anchors, golden["proposal_index"])
    np.testing.assert_array_equal(rois, golden["rois_on_map"])
    np.testing.assert_array_equal(found["cls_logits"].argmax(1), golden["embedding_id"])
    np.testing.assert_array_equal(found["cls_logits"][:, :-1].argmax(1), golden["best_id"])
    np.testing.assert_array_equal(found["attr_logits"][:, :-1].argmax(1), golden["best_attr_id"])
    # The other settings are those of the same numbers, in tests/vision.
    regions = find_regions(made, proposed, 0, image, hf_profile("m36"))
    check_regions(regions, {name.removeprefix("m36_"): values for name, values in golden.items()}, dtype)
    regions = find_regions(made, proposed, 0, image, CAFFE)
    np.testing.assert_array_equal(regions.rows, arrays("caffe_profile")[f"img{picture}_m36_keep"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_region_pooling(backend, dtype):
    """Bit for bit: exact halves, negative, inverted and outside regions, and sides whose bins are rounded."""
    pool, units = importlib.import_module(f"lxmert.{backend}.region_pooling").pool_regions, arrays("units")
    long_boxes, long_map = units["roi_boxes_long"], units["roi_map_long"]
    for boxes, maps, wanted in (
        (units["roi_boxes"], units["roi_map"], units["roi_out_14"]),
        (long_boxes, long_map, units[f"roi_out_long_{dtype}"]),
        (np.array([[0, 1200.0, 0, 1300, 50], [0, -90, -90, -50, -50]]), long_map, np.zeros((2, 2, 14, 14))),
        (long_boxes[:0], long_map, np.zeros((0, 2, 14, 14))),
    ):
        for image in range(len(maps)):
            rows = boxes[:, 0] == image
            feature_map = tensor(backend, maps[image : image + 1].astype(dtype).transpose(0, 2, 3, 1))[0]
            found = channels_first(backend, pool(feature_map, map_regions(boxes[rows, 1:]), 14))
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, wanted[rows])


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_the_layers_when_they_are_called(backend):
    """As users call them, without folded norms; and the stages that no method returns."""
    pooling, resnet = (importlib.import_module(f"lxmert.{backend}.{name}") for name in ("region_pooling", "resnet"))
    made, golden = network(backend, "float32"), golden_of(0, "outputs_single_float32")
    pixels = tensor(backend, network_input(0).pixels[None])
    called, backbone = made(pixels), made.backbone
    found = {"stem": backbone.pool(relu(backend, backbone.stem(pixels)))}
    for before, stage in pairwise(["stem", "res2", "res3", "res4"]):
        found[stage] = resnet.run_stage(getattr(backbone, stage), found[before])
    found["pooled_first4"] = pooling.pool_regions(called.feature_map[0], golden["rois_on_map"][:4], SMALL.pool_size)
    found["res5_first2"] = resnet.run_stage(made.res5, found["pooled_first4"][:2])
    for name, values in found.items():
        values = channels_first(backend, values)
        check(values if name in ("pooled_first4", "res5_first2") else values[0], golden[name], name, "float32")
    features = made.pooled_features(called.feature_map[0], golden["rois_on_map"])
    check(np.asarray(features.detach() if backend == "pt" else features), golden["features"], "features", "float32")
    objectness = np.asarray(called.objectness.detach() if backend == "pt" else called.objectness)
    check(objectness.reshape(8, 11, 12).transpose(2, 0, 1), golden["rpn_objectness"], "rpn_objectness", "float32")


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_a_padded_batch_straight_into_the_network(backend):
    """Its numbers are those of the port, and not those of each picture alone."""
    golden, made = arrays("outputs_batch_float32"), network(backend, "float32")
    proposed = made.propose(arrays("inputs")["batch"].transpose(0, 2, 3, 1))
    shape = (3, *proposed.map_size, -1)
    check(channels_first(backend, proposed.feature_map), golden["res4"], "res4", "float32")
    for name, values in (("rpn_objectness", proposed.objectness), ("rpn_deltas", proposed.deltas)):
        check(values.reshape(shape).transpose(0, 3, 1, 2), golden[name], name, "float32")
    for picture in range(3):
        regions = find_regions(made, proposed, picture, network_input(picture), hf_profile("m8"))
        wanted = golden_of(picture, "outputs_batch_float32")
        # Some proposals have scores that are equal but for rounding, and may change their places.
        wanted["m8_keep"] = regions.rows
        check_regions(regions, {n.removeprefix("m8_"): v for n, v in wanted.items()}, "float32")


@pytest.mark.full
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_the_published_sizes(backend):
    made = golden_network(backend, AT_YAML_SIZE, "float32", arrays("units")["cell_anchors_64_128_256_512"])
    profile = make_profile("hf", AT_YAML_SIZE)
    for picture in range(3):
        golden = golden_of(picture, "outputs_yaml_size_float32")
        image = prepare_image(arrays("inputs")[f"image_{picture}"], made, profile)
        assert image.size == tuple(golden["size"])
        proposed = made.propose(image.pixels[None])
        height, width = proposed.map_size
        objectness = proposed.objectness.reshape(height, width, -1).transpose(2, 0, 1)
        deltas = proposed.deltas.reshape(height, width, -1).transpose(2, 0, 1)
        found = {
            "res4_sample": channels_first(backend, proposed.feature_map)[0, ::4, ::3, ::3],
            "rpn_objectness_sample": objectness[:, ::4, ::4],
            "rpn_deltas_sample": deltas[:, ::6, ::6],
        }
        for name, values in found.items():
            check(values, golden[name], name, "float32")
        check_regions(find_regions(made, proposed, 0, image, profile), golden, "float32")


def golden_of(picture, name):
    """The golden arrays of one picture in one file."""
    prefix = f"img{picture}_"
    return {key.removeprefix(prefix): values for key, values in arrays(name).items() if key.startswith(prefix)}


def relu(backend, x):
    """The rectified x."""
    if backend == "pt":
        return x.relu()
    import tensorflow

    return tensorflow.nn.relu(x)


def check_regions(found, golden, dtype):
    """Compare the final regions of an image with those of one of the golden settings."""
    count = len(golden["keep"])
    assert found.threshold == golden["nms_threshold"]
    np.testing.assert_array_equal(found.rows, golden["keep"])
    np.testing.assert_array_equal(found.object_ids, golden["obj_ids"][:count])
    np.testing.assert_array_equal(found.attribute_ids, golden["attr_ids"][:count])
    for name, values in (
        ("obj_probs", found.object_scores),
        ("attr_probs", found.attribute_scores),
        ("boxes", found.boxes),
    ):
        check(values, golden[name][:count], name, dtype)
    if "roi_features" in golden:
        check(found.features, golden["roi_features"][:count], "roi_features", dtype)
