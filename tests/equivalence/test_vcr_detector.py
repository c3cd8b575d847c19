"""VisualBERT's image network for VCR in both backends: random sizes, pictures, boxes and outlines."""

import numpy as np
import pytest

import lxmert
from lxmert.vision.vcr.images import vcr_inputs
from lxmert.vision.vcr.objects import OBJECT_NAMES, ImageObjects

CONFIGS = [
    dict(canvas_height=100, canvas_width=170),
    # No shortcut in the first block of stage 2, an odd mask, and a canvas of one cell.
    dict(stem_channels=8, res2_channels=8, mask_size=9, pool_size=5, canvas_height=9, canvas_width=16),
    dict(use_semantics=False, res3_blocks=1, feature_size=5, pool_size=1, canvas_height=200, canvas_width=33),
]


def a_config(**changes):
    sizes = dict(stem_channels=6, width_per_group=4, res2_channels=12, res2_blocks=2, res3_blocks=2, res4_blocks=2)
    more = dict(res5_blocks=2, object_embedding_size=7, mask_channels=10, feature_size=11)
    return lxmert.VcrDetectorConfig(**{**sizes, **more, **changes})


def pictures(random, count=4):
    """Pictures of sides 3 to 700 with 0 to 5 objects each."""
    for _ in range(count):
        height, width = np.rint(np.exp(random.uniform(np.log(3), np.log(700), 2))).astype(int).tolist()
        corners = np.sort(random.uniform(0, 1, (random.integers(0, 6), 2, 2)), axis=1) * [width, height]
        outlines = [[random.uniform(0, 1, (random.integers(2, 9), 2)) * [width, height]] for _ in corners]
        names = [OBJECT_NAMES[number] for number in random.integers(1, 81, len(corners))]
        pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
        yield pixels, ImageObjects(corners.reshape(-1, 4), names, outlines)


@pytest.mark.parametrize("changes", CONFIGS)
def test_both_backends_agree(changes, tmp_path):
    """In float64; and an image has the same features, bit for bit, whichever are beside it."""
    import torch

    torch.manual_seed(0)
    config = a_config(**changes)
    lxmert.VcrDetector(config).save_pretrained(tmp_path)
    ours = lxmert.VcrDetector.from_pretrained(tmp_path, dtype="float64")
    keras = lxmert.TFVcrDetector.from_pretrained(tmp_path, dtype="float64")
    images, objects = zip(*pictures(np.random.default_rng(0)), strict=True)
    inputs = vcr_inputs(images, objects, config)
    found = ours.region_features(inputs)
    assert found.shape == (4, inputs.boxes.shape[1], config.feature_size)
    assert found[inputs.box_mask == 1].any(axis=1).all()
    assert np.abs(found - keras.region_features(inputs)).max() < 1e-9 * np.abs(found).max()
    for model in (ours, keras):
        alone = [model.region_features(vcr_inputs([i], [o], config))[0] for i, o in zip(images, objects, strict=True)]
        for row, features in enumerate(alone):
            np.testing.assert_array_equal(model.region_features(inputs)[row, : len(features)], features)
    # A call gives the same, without folded norms; and bfloat16 is near.
    tensors = torch.from_numpy(inputs.images.astype(np.float64).transpose(0, 3, 1, 2)), *inputs[1:]
    assert np.abs(ours(*tensors).features.detach().numpy() - found).max() < 1e-9 * np.abs(found).max()
    rough = lxmert.VcrDetector.from_pretrained(tmp_path)
    rough.precision = "bfloat16"
    assert 0 < np.abs(rough.region_features(inputs) - found).max() < 0.03 * np.abs(found).max()


def test_what_is_given_must_fit():
    model = lxmert.VcrDetector(a_config())
    pixels, boxes = np.zeros((2, 3, 32, 64)), np.ones((2, 3, 4))

    def call(**given):
        import torch

        return model(torch.from_numpy(pixels), **{"boxes": boxes, "object_ids": np.zeros((2, 3), int), **given})

    for given, message in [
        ({"boxes": boxes[:1]}, r"boxes must be \[B, R, 4\] for the 2 images; got \[1, 3, 4\]"),
        ({"boxes": np.full((2, 3, 4), np.nan)}, "boxes must be finite"),
        ({"box_mask": np.zeros((2, 3))}, "at least one box that is not padding"),
        ({"box_mask": np.ones((2, 2))}, r"box_mask must be \[2, 3\], as boxes have it; got \[2, 2\]"),
        ({"object_ids": None}, "the class of each box, are needed by this network"),
        ({"object_ids": np.full((2, 3), 81)}, "object_ids must be 0 to 80 where box_mask is 1; got 81 to 81"),
        ({"masks": np.ones((2, 3, 7, 7))}, r"masks must be \[2, 3, 14, 14\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            call(**given)
