"""PyTorch against Keras for VisualBERT: attention heads that are weighed by a mask, and heads that are gone."""

import numpy as np
import pytest
import tensorflow
import torch

from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes
from tests.models import (
    gradients_pt,
    labelled,
    new_pt,
    new_tf,
    pt_model,
    run_pt,
    run_tf,
    small_visual_bert,
    tf_model,
    weights,
)

from .agreement import assert_agree, assert_outputs_agree, both

SIZES = Sizes()
CONFIG = small_visual_bert(2)
BYPASS = small_visual_bert(2, bypass_transformer=True)
TOLERANCE = tolerances.OUTPUTS["float64"]
MAPS = dict(output_attentions=True)
LAYERS, HEADS = CONFIG.num_hidden_layers, CONFIG.num_attention_heads
ROWS = np.random.default_rng(6).uniform(0.2, 1.5, (LAYERS, HEADS))
HEAD_MASKS = {"one row": ROWS[0], "a row for each layer": ROWS}
WAYS = [
    ("VisualBertForPreTraining", CONFIG),
    ("VisualBertForMultipleChoice", CONFIG),
    ("VisualBertForQuestionAnswering", CONFIG),
    ("VisualBertForVisualReasoning", BYPASS),
    ("VisualBertForRegionToPhraseAlignment", CONFIG),
]


@pytest.mark.parametrize("form", HEAD_MASKS)
@pytest.mark.parametrize(("name", "config"), WAYS)
def test_head_masks_agree(name, config, form):
    models, given = both(config, name), labelled(config, name, SIZES)
    masked = {**given, "head_mask": HEAD_MASKS[form]}
    output, found = assert_agree(models, masked, also=("head_mask",), **MAPS)
    assert found["head_mask"].shape == HEAD_MASKS[form].shape
    assert (found["head_mask"] != 0).all(), "every head counts"
    # The gradient is a slope.
    step = np.zeros_like(HEAD_MASKS[form])
    step.flat[1] = 1e-5
    higher, lower = (run_pt(models[0], {**given, "head_mask": HEAD_MASKS[form] + s}).loss for s in (step, -step))
    slope = (higher - lower).detach() / 2e-5
    assert_same(slope, found["head_mask"].flatten()[1], 1e-6 * (1 + float(slope.abs())))
    # The fused attention, which has no maps, gives the same.
    fused, fused_found = gradients_pt(models[0], masked, also=("head_mask",))
    assert_same(fused.loss, output.loss, TOLERANCE)
    assert_same(fused_found["head_mask"], found["head_mask"], TOLERANCE)


@pytest.mark.parametrize("mask", [None, *HEAD_MASKS])
def test_gradients_flow_through_the_attention_maps(mask):
    """Explanations that use the gradients of attention need them, with a head mask too."""
    name = "VisualBertForVisualReasoning"
    (pt, tf), given = both(CONFIG, name), labelled(CONFIG, name, SIZES)
    if mask is not None:
        given["head_mask"] = HEAD_MASKS[mask]
    output = run_pt(pt, given, **MAPS)
    found = torch.autograd.grad(output.loss, output.attentions)
    with tensorflow.GradientTape() as tape:
        expected = run_tf(tf, given, **MAPS)
    expected = tape.gradient(expected.loss, list(expected.attentions))
    assert_same(found, tuple(expected), TOLERANCE)
    assert all(gradient.any() for gradient in found)


@pytest.mark.parametrize("form", HEAD_MASKS)
def test_head_masks_agree_in_float32(form):
    name = "VisualBertForPreTraining"
    given = {**labelled(CONFIG, name, SIZES), "head_mask": HEAD_MASKS[form]}
    assert_agree(both(CONFIG, name, "float32"), given, "float32", also=("head_mask",))


@pytest.mark.parametrize("kind", [np.int64, bool, np.float64])
def test_a_head_mask_of_ones_is_none_and_the_additional_layer_has_none(kind):
    name = "VisualBertModel"
    models, given = both(BYPASS, name), labelled(BYPASS, name, SIZES)
    without = run_pt(models[0], given, **MAPS)
    for shape in ((HEADS,), (LAYERS, HEADS)):
        ones = {**given, "head_mask": np.ones(shape, kind)}
        assert_same(assert_outputs_agree(models, ones, **MAPS), without, 0.0)
    none = assert_outputs_agree(models, {**given, "head_mask": np.zeros(HEADS, kind)}, **MAPS)
    assert [bool(one.any()) for one in none.attentions] == [False, False, True]


def test_a_head_mask_multiplies_the_maps():
    models, given = both(CONFIG, "VisualBertModel"), labelled(CONFIG, "VisualBertModel", SIZES)
    plain, masked = (run_pt(models[0], one, **MAPS) for one in (given, {**given, "head_mask": ROWS}))
    assert_same(masked.attentions[0], plain.attentions[0] * torch.from_numpy(ROWS[0])[:, None, None], TOLERANCE)


# For each way to say it: the heads to remove, and the same as what `head_mask` leaves.
PRUNED = {
    "by path": {"encoder_layers.0.attention": [1], "encoder_layers.1.attention": [0, 3]},
    "by number": {0: [1], 1: {0, 3}},
    "by both": {"0": (1,), "encoder_layers.1.attention": np.array([3, 0])},
}
LEFT = np.array([[1, 0, 1, 1], [0, 1, 1, 0]])


def pruned(config, name, heads):
    models = new_pt(config, name, "float64"), new_tf(config, name, "float64")
    for model in models:
        model.prune_heads(heads)
    assert models[0].config == models[1].config
    return models


@pytest.mark.parametrize(
    ("name", "config", "way"),
    [(*one, "by path") for one in WAYS] + [(*WAYS[0], "by number"), (*WAYS[0], "by both")],
)
def test_pruned_heads_agree(name, config, way):
    given = labelled(config, name, SIZES)
    models = pruned(config, name, PRUNED[way])
    output, found = assert_agree(models, given, **MAPS)
    # A head that is gone is one whose output counts for nothing.
    whole, whole_found = gradients_pt(pt_model(config, name, "float64"), {**given, "head_mask": LEFT}, **MAPS)
    assert_same(output[:2], whole[:2], TOLERANCE)
    for layer, kept in enumerate(LEFT.astype(bool)):
        assert_same(output.attentions[layer], whole.attentions[layer][:, kept], TOLERANCE)
        rows = np.repeat(kept, config.hidden_size // HEADS)
        for part in ("query.weight", "value.bias"):
            path = f"encoder_layers.{layer}.attention.{part}"
            assert_same(found[path], whole_found[path][rows], TOLERANCE)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(output.loss, run_pt(pt_model(config, name, "float64"), given).loss, 1e-3)
    # A model made from the config of a pruned one has the same shapes.
    made = tf_model(models[0].config, name, "float64")
    shapes = [{key: values.shape for key, values in weights(model).items()} for model in (made, models[0])]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("form", HEAD_MASKS)
def test_head_masks_count_heads_as_before_the_pruning(form):
    name = "VisualBertForPreTraining"
    given = labelled(CONFIG, name, SIZES)
    mask = HEAD_MASKS[form]
    models = pruned(CONFIG, name, PRUNED["by number"])
    output, found = assert_agree(models, {**given, "head_mask": mask}, also=("head_mask",))
    rows = np.broadcast_to(mask, LEFT.shape) * LEFT
    assert_same(output, run_pt(pt_model(CONFIG, name, "float64"), {**given, "head_mask": rows}), TOLERANCE)
    if form == "a row for each layer":
        assert_same(found["head_mask"] != 0, LEFT == 1, 0.0)
    # Heads may go in several steps.
    steps = new_pt(CONFIG, name, "float64")
    for heads in ({1: [3]}, {0: [1]}, {1: [0, 3]}):
        steps.prune_heads(heads)
    assert_same(run_pt(steps, {**given, "head_mask": mask}), output, 0.0)


def test_heads_of_the_additional_layer_can_be_pruned():
    name, path = "VisualBertForPreTraining", "additional_layer.attention"
    given = labelled(BYPASS, name, SIZES)
    models = pruned(BYPASS, name, {path: [0, 2]})
    output, _ = assert_agree(models, given)
    zeroed = new_pt(BYPASS, name, "float64")
    size = BYPASS.hidden_size // HEADS
    with torch.no_grad():
        for head in (0, 2):
            zeroed.backbone.get_submodule(path).out.weight[:, size * head : size * (head + 1)] = 0
    assert_same(output, run_pt(zeroed, given), TOLERANCE)
    maps = run_tf(models[1], given, **MAPS).attentions
    assert [one.shape[1] for one in maps] == [HEADS, HEADS, HEADS - 2]
