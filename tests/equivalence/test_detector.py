"""The Visual Genome detector: PyTorch against Keras, and the folded norms against the layers that they are made of."""

import numpy as np
import pytest
import torch

from lxmert.common.config import DetectorConfig
from lxmert.vision.faster_rcnn.anchors import map_anchors
from lxmert.vision.faster_rcnn.detect import find_regions
from lxmert.vision.faster_rcnn.pooling import map_regions
from lxmert.vision.faster_rcnn.preprocess import NetworkInput, network_input
from lxmert.vision.faster_rcnn.profiles import make_profile
from lxmert.vision.faster_rcnn.proposals import choose_proposals
from tests.reference.detectors import channels_first, draw_weights, make_network, tensor

# Narrow networks that differ in everything that a config can say, and pictures of sides 3 to 700.
CONFIGS = {
    "short": dict(res2_blocks=1, res3_blocks=1, res4_blocks=2, res5_blocks=1, pool_size=3),
    "no shortcut in stage 2": dict(
        stem_channels=8, res2_channels=8, width_per_group=3, res3_blocks=2, res5_dilation=1, ceil_pooling=False
    ),
    "long": dict(res4_blocks=5, res5_dilation=3, batch_norm_eps=1e-3, anchor_ratios=(1.0,), pool_size=14),
}
SIZES = {"short": [(3, 700), (700, 3), (61, 64)], "no shortcut in stage 2": [(3, 3), (37, 250)], "long": [(333, 128)]}
NARROW = dict(
    num_objects=12,
    num_attributes=5,
    stem_channels=5,
    width_per_group=3,
    res2_channels=8,
    res2_blocks=1,
    res3_blocks=1,
    res4_blocks=1,
    res5_blocks=2,
    proposal_channels=6,
    anchor_sizes=(16.0, 40.0, 90.0),
    proposals_before_suppression=200,
    num_proposals=40,
    min_regions=5,
    max_regions=20,
)
# Of random networks: the most of what a config counts, and the values of the rest.
MOST = dict(stem_channels=9, width_per_group=5, res2_blocks=3, res3_blocks=3, res4_blocks=4, res5_blocks=3)
MOST |= dict(num_objects=30, num_attributes=9, proposal_channels=9, pool_size=14)
CHOICES = dict(
    res5_dilation=(1, 2, 3),
    ceil_pooling=(True, False),
    batch_norm_eps=(1e-5, 1e-3),
    anchor_sizes=((32.0,), (16.0, 40.0, 90.0), (20.0, 300.0)),
    anchor_ratios=((1.0,), (0.5, 1.0, 2.0), (0.3, 3.0)),
    proposal_threshold=(0.5, 0.7),
    suppression_thresholds=((0.5, 0.6, 0.7), (0.3,), (0.5, 0.99)),
)
# Relative to the largest entry. The dtype keeps 16 and 7 digits, and networks of this depth lose two.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


def assert_close(found, expected, tolerance, what):
    """Within a part of the largest entry."""
    assert found.shape == expected.shape, what
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * np.abs(expected).max(initial=1e-30), err_msg=what
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_both_backends(name):
    check_both_backends(DetectorConfig(**{**NARROW, **CONFIGS[name]}), SIZES[name], seed=len(name))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_both_backends_on_random_networks(seed):
    config, sizes = random_case(np.random.default_rng(seed))
    check_both_backends(config, sizes, seed)


def random_case(draws):
    """A configuration and sizes of pictures."""
    integers = {name: int(draws.integers(1, most + 1)) for name, most in MOST.items()}
    choices = {name: values[int(draws.integers(len(values)))] for name, values in CHOICES.items()}
    config = DetectorConfig(**{**NARROW, **integers, **choices, "res2_channels": 8 * int(draws.integers(1, 3))})
    # Two sides in this range; both long ones would take seconds.
    sizes = [tuple(int(3 * (700 / 3) ** part) for part in draws.dirichlet((1, 1, 1))[:2]) for _ in range(2)]
    return config, sizes


def check_both_backends(config, sizes, seed):
    """The maps, scores and deltas of both backends, and the regions that both profiles choose of them."""
    weights = draw_weights(config, seed=seed)
    networks = {backend: make_network(backend, config, weights, "float64") for backend in ("pt", "tf")}
    draws = np.random.default_rng(seed)
    profiles = [make_profile("hf", config), make_profile("caffe", config, regions=(5, 20))]
    for height, width in sizes:
        pixels = draws.normal(0, 60, (height, width, 3))
        found = {}
        for backend, network in networks.items():
            proposed = network.propose(pixels[None])
            regions = [find_regions(network, proposed, 0, NetworkInput(pixels, (height, width)), p) for p in profiles]
            found[backend] = channels_first(backend, proposed.feature_map), proposed, *regions
        (pt_map, pt_proposed, *pt_regions), (tf_map, tf_proposed, *tf_regions) = found["pt"], found["tf"]
        what = f"{config}, {height} x {width}"
        assert pt_proposed.map_size == tf_proposed.map_size == pt_map.shape[2:]
        assert_close(tf_map, pt_map, 1e-9, what)
        assert_close(tf_proposed.objectness, pt_proposed.objectness, 1e-9, what)
        assert_close(tf_proposed.deltas, pt_proposed.deltas, 1e-9, what)
        for mine, theirs in zip(tf_regions, pt_regions, strict=True):
            assert len(mine.rows)
            for field, values in mine._asdict().items():
                wanted = np.asarray(getattr(theirs, field))
                if wanted.dtype.kind == "i":
                    np.testing.assert_array_equal(values, wanted, err_msg=f"{what}: {field}")
                elif field == "threshold":
                    np.testing.assert_equal(values, wanted)
                else:
                    assert_close(values, wanted, 1e-9, f"{what}: {field}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_folded_norms(backend, dtype):
    """What the methods for inference compute is what a call computes, within the rounding of other products."""
    config = DetectorConfig(**{**NARROW, **CONFIGS["short"], "pool_size": 14})
    network = make_network(backend, config, draw_weights(config, seed=3), dtype)
    pixels = np.random.default_rng(3).normal(0, 60, (2, 90, 120, 3)).astype(dtype)
    called, proposed = network(tensor(backend, pixels)), network.propose(pixels)
    pairs = {"map": (channels_first(backend, proposed.feature_map), channels_first(backend, called.feature_map))}
    pairs["objectness"] = proposed.objectness, called.objectness
    pairs["deltas"] = proposed.deltas, called.deltas
    # More regions than are computed at once, some of them twice, empty, or outside of the map.
    corners = np.random.default_rng(4).integers(-2, 9, (75, 4))
    rois = np.concatenate([np.sort(corners.reshape(75, 2, 2), axis=1).reshape(75, 4), corners[:5], corners[:5]])
    features = network.region_features(proposed.feature_map, 1, rois)
    pairs["features"] = features, network.pooled_features(called.feature_map[1], rois)
    for what, (found, expected) in pairs.items():
        assert_close(found, as_array(expected), TOLERANCE[dtype], what)
    assert network.region_features(proposed.feature_map, 0, rois[:0]).shape == (0, config.feature_size)


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_bfloat16_for_the_convolutions(backend):
    """Scores and deltas are float32; they differ from those of float32 as the digits of bfloat16 let them."""
    config = DetectorConfig(**{**NARROW, **CONFIGS["short"]})
    network = make_network(backend, config, draw_weights(config, seed=5), "float32")
    pixels = np.random.default_rng(5).normal(0, 60, (1, 90, 120, 3)).astype(np.float32)
    rois = np.array([[0, 0, 3, 4], [1, 2, 5, 5]])
    assert network.precision == "float32"
    found = {}
    for precision in ("float32", "bfloat16"):
        network.precision = precision
        proposed = network.propose(pixels)
        features = network.region_features(proposed.feature_map, 0, rois)
        found[precision] = proposed.objectness, proposed.deltas, features, network.object_scores(features)
    for wide, narrow in zip(*found.values(), strict=True):
        assert narrow.dtype == wide.dtype == np.float32
        assert not np.array_equal(narrow, wide)
        assert_close(narrow, wide, 0.05, "bfloat16")
    with pytest.raises(ValueError, match="precision must be"):
        network.precision = "float16"


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_a_replaced_layer_is_called(backend):
    """Adapters, hooks and quantizers change what a layer computes; its weights alone do not say what."""
    config = DetectorConfig(**{**NARROW, **CONFIGS["short"]})
    network = make_network(backend, config, draw_weights(config, seed=6), "float64")
    pixels = np.random.default_rng(6).normal(0, 60, (1, 50, 70, 3))
    rois = np.array([[0, 0, 3, 2], [1, 0, 2, 1]])
    proposed = network.propose(pixels)
    features = network.region_features(proposed.feature_map, 0, rois)
    deltas = network.box_deltas(features, np.array([3, 0]))

    def double(layer):
        kind, call = type(layer), "forward" if backend == "pt" else "call"
        own = {call: lambda self, x, kind=kind, call=call: 2 * getattr(kind, call)(self, x)}
        layer.__class__ = type("Doubled", (kind,), own)

    for block in (network.backbone.res3[0], network.res5[0]):
        double(block.expand.conv)
    called, changed = network(tensor(backend, pixels)), network.propose(pixels)
    assert_close(changed.objectness, as_array(called.objectness), 1e-12, "objectness")
    assert np.abs(changed.objectness - proposed.objectness).max() > 1e-6
    again = network.region_features(proposed.feature_map, 0, rois)
    assert_close(again, as_array(network.pooled_features(proposed.feature_map[0], rois)), 1e-12, "features")
    assert np.abs(again - features).max() > 1e-6
    double(network.predictor.boxes)
    assert_close(network.box_deltas(features, np.array([3, 0])), 2 * deltas, 1e-12, "deltas")
    # And another one, after the first was called.
    double(network.backbone.res4[0].expand.conv)
    double(network.proposal_head.hidden)
    called, third = network(tensor(backend, pixels)), network.propose(pixels)
    assert_close(third.objectness, as_array(called.objectness), 1e-12, "objectness")
    assert np.abs(third.objectness - changed.objectness).max() > 1e-6
    network.precision = "bfloat16"
    assert_close(network.propose(pixels).objectness, third.objectness, 0.05, "objectness in bfloat16")


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_float16(backend):
    """Anchors are coordinates and stay exact; norms are computed in float32, whose statistics float16 may not hold."""
    config = DetectorConfig(**{**NARROW, **CONFIGS["short"], "anchor_sizes": (33.3, 777.7)})
    weights = draw_weights(config, seed=8)
    variance = "backbone.stem.norm.running_var"
    weights[variance] = np.full_like(weights[variance], 1e5)
    if backend == "pt":
        network = make_network(backend, config, weights, "float32").half()
        assert network.backbone.stem.conv.weight.dtype == torch.float16
        network.backbone.stem.norm.float()
    else:
        network = make_network(backend, config, weights, "mixed_float16")
    np.testing.assert_array_equal(network.anchors, weights["proposal_head.anchors"])
    pixels = np.random.default_rng(8).normal(0, 60, (1, 50, 70, 3)).astype(np.float16)
    called, proposed = network(tensor(backend, pixels)), network.propose(pixels)
    assert np.abs(proposed.objectness).max() > 1e-3
    assert_close(as_array(called.objectness).astype(np.float32), proposed.objectness, 0.05, "objectness")


@pytest.mark.full
def test_pytorch_exports_the_first_stage():
    """The output is a class of this package, which is known to torch.export."""
    config = DetectorConfig(**{**NARROW, **CONFIGS["short"]})
    network = make_network("pt", config, draw_weights(config, seed=9), "float32")
    pixels = torch.randn(1, 3, 48, 64)
    exported = torch.export.export(network, (pixels,)).module()
    assert_close(as_array(exported(pixels).deltas), as_array(network(pixels).deltas), 1e-6, "deltas")


def test_gradients():
    """Through the calls, which keep the layers; of the first convolution, so through everything."""
    import tensorflow as tf

    config = DetectorConfig(**{**NARROW, **CONFIGS["short"]})
    weights = draw_weights(config, seed=7)
    pixels = np.random.default_rng(7).normal(0, 60, (1, 40, 50, 3))
    rois = np.array([[0, 0, 2, 1], [1, 0, 2, 2]])
    ours, theirs = (make_network(backend, config, weights, "float64") for backend in ("pt", "tf"))
    out = ours(tensor("pt", pixels))
    features = ours.pooled_features(out.feature_map[0], rois)
    (out.objectness.sum() + out.deltas.square().sum() + features.square().sum()).backward()
    with tf.GradientTape() as tape:
        out = theirs(tensor("tf", pixels))
        features = theirs.pooled_features(out.feature_map[0], rois)
        loss = tf.reduce_sum(out.objectness) + tf.reduce_sum(out.deltas**2) + tf.reduce_sum(features**2)
    gradient = tape.gradient(loss, theirs.backbone.stem.conv.kernel.value)
    expected = ours.backbone.stem.conv.weight.grad.numpy()
    assert_close(np.asarray(gradient).transpose(3, 2, 0, 1), expected, 1e-9, "the gradient")


def as_array(x):
    """A tensor of either backend as an array."""
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def test_the_number_of_parameters():
    import torch

    from lxmert.pt import VisualGenomeDetector

    with torch.device("meta"):
        network = VisualGenomeDetector(DetectorConfig())
    parts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in (*network.named_children(), *network.backbone.named_children())
    }
    del parts["backbone"]
    assert parts == {
        "stem": 9_536,
        "res2": 215_808,
        "res3": 1_219_584,
        "res4": 26_090_496,
        "proposal_head": 4_749_884,
        "res5": 14_964_736,
        "predictor": 18_189_778,
    }
    assert sum(parts.values()) == 65_439_822


@pytest.mark.full
def test_full_size():
    """One photograph at 800 x 1067 through both networks in float32, with the same random weights.

    They differ by 1.2e-6 to 2.5e-6 of the largest entry, with all 300 proposals too. A fifth of them takes half
    a minute less.
    """
    from skimage.data import coffee

    config = DetectorConfig()
    weights = draw_weights(config, seed=0)
    image = network_input(coffee()[:, :533], config, 800, 1333)
    found = {}
    for backend in ("pt", "tf"):
        network = make_network(backend, config, weights, "float32")
        proposed = network.propose(image.pixels[None])
        if backend == "pt":
            anchors = map_anchors(network.anchors, proposed.map_size)
            boxes = choose_proposals(proposed.objectness[0], proposed.deltas[0], anchors, image.size, config).boxes
            rois = map_regions(boxes)
            assert len(rois) == 300
            rois = rois[::5]
        features = network.region_features(proposed.feature_map, 0, rois)
        ids = np.arange(len(rois)) * 5
        found[backend] = {
            "map": channels_first(backend, proposed.feature_map),
            "objectness": proposed.objectness,
            "deltas": proposed.deltas,
            "features": features,
            "object scores": network.object_scores(features),
            "attribute scores": network.attribute_scores(features, ids),
            "box deltas": network.box_deltas(features, ids),
        }
        del network
    for name, values in found["tf"].items():
        assert_close(values, found["pt"][name], 2e-5, name)
