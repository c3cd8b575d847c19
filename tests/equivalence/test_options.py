"""PyTorch against Keras: every way to call a model, and the ways to change one."""

import numpy as np
import pytest
import torch

from tests import tolerances
from tests.compare import arrays, assert_same, assert_same_gradients
from tests.inputs import MASKS, Sizes, inputs, labels_of
from tests.models import (
    CASES,
    CLASSES,
    SMALLEST,
    gradients_pt,
    gradients_tf,
    new_pt,
    new_tf,
    pt_model,
    run_pt,
    run_tf,
    small,
    tf_model,
    weights,
)

SIZES = Sizes()
GIVEN = inputs(SMALLEST, SIZES)


def labelled(name):
    """The inputs with all labels that a class takes."""
    return {**inputs(SMALLEST, SIZES, architecture=name), **labels_of(SMALLEST, SIZES, name)}


def both(name, config=SMALLEST, dtype="float64"):
    return pt_model(config, name, dtype), tf_model(config, name, dtype)


OPTIONS = [
    {},
    {"output_hidden_states": True},
    {"output_attentions": True},
    {"output_attentions": "all"},
    {"output_attentions": True, "output_hidden_states": True, "return_dict": False},
    {"output_attentions": "all", "return_dict": False},
    {"return_dict": False},
]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("LxmertForPreTraining", options) for options in OPTIONS),
        *((name, OPTIONS[i]) for name in CLASSES if name != "LxmertForPreTraining" for i in (0, 4)),
    ],
)
def test_options_agree(name, options):
    pt, tf = both(name)
    given = labelled(name)
    expected = run_tf(tf, given, **options)
    output = run_pt(pt, given, **options)
    assert_same(output, expected, tolerances.OUTPUTS["float64"])
    if options.get("return_dict") is False:
        assert type(output) is type(expected) is tuple
        named = run_pt(pt, given, **{**options, "return_dict": True})
        assert_same(output, tuple(named.values()), 0.0)
    else:
        assert list(output) == list(expected)
        assert type(output) is type(expected)


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "LxmertForVisualReasoning"])
def test_options_come_from_the_config_too(name):
    config = SMALLEST.replace(output_attentions=True, output_hidden_states=True, return_dict=False)
    given = labelled(name)
    pt, tf = both(name, config)
    asked = run_pt(both(name)[0], given, output_attentions=True, output_hidden_states=True, return_dict=False)
    assert_same(run_pt(pt, given), asked, 0.0)
    assert_same(run_tf(tf, given), asked, tolerances.OUTPUTS["float64"])
    # An argument is stronger than the config.
    refused = dict(output_attentions=False, output_hidden_states=False, return_dict=True)
    for run, model in ((run_pt, pt), (run_tf, tf)):
        assert_same(run(model, given, **refused), run_pt(both(name)[0], given), tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("case", ["smallest", "deep"])
def test_the_vision_output_may_be_left_out(case):
    config, sizes = CASES[case]
    given = inputs(config, sizes)
    pt, tf = both("LxmertModel", config)
    whole = run_pt(pt, given)
    for run, model in ((run_pt, pt), (run_tf, tf)):
        output = run(model, given, vision_output=False)
        assert list(output) == ["language_output", "pooled_output"]
        for name in output:
            assert_same(output[name], whole[name], tolerances.OUTPUTS["float64"])
        # What needs the branch brings it back.
        for options in ({"output_hidden_states": True}, {"output_attentions": "all"}):
            asked = run(model, given, vision_output=False, **options)
            assert_same(asked.vision_output, whole.vision_output, tolerances.OUTPUTS["float64"])
        # Maps do not, if only those are wanted that the rest depends on.
        used = run(model, given, vision_output=False, language_output=False, output_attentions="used")
        every = run(model, given, output_attentions="all")
        assert list(used) == [name for name in every if name not in ("language_output", "vision_output")]
        assert_same(used.pooled_output, whole.pooled_output, tolerances.OUTPUTS["float64"])
        for name in (name for name in used if name.endswith("attentions")):
            skipped = name in ("cross_encoder_vision_attentions", "cross_encoder_vision_self_attentions")
            assert (used[name][-1] is None) == skipped
            kept = slice(None, -1 if skipped else None)
            if used[name][kept]:
                assert_same(used[name][kept], every[name][kept], tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float64") for name in CLASSES), ("LxmertForPreTraining", "float32")]
)
def test_inputs_embeds_agree(name, dtype):
    pt, tf = both(name, dtype=dtype)
    given = labelled(name)
    words = pt.get_input_embeddings().weight.detach().numpy()
    vectors = {**given, "inputs_embeds": words[given["input_ids"]]}
    del vectors["input_ids"]
    if name == "LxmertModel":
        expected, output = run_tf(tf, vectors), run_pt(pt, vectors)
    else:
        expected, expected_gradients = gradients_tf(tf, vectors)
        output, found = gradients_pt(pt, vectors)
        assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same(output, run_pt(pt, given), tolerances.OUTPUTS[dtype])


def test_token_types_default_to_zeros_and_matter():
    pt, tf = both("LxmertModel")
    without = {key: values for key, values in GIVEN.items() if key != "token_type_ids"}
    zeros = {**without, "token_type_ids": np.zeros_like(GIVEN["input_ids"])}
    expected = run_pt(pt, without)
    for run, model in ((run_pt, pt), (run_tf, tf)):
        assert_same(run(model, zeros), expected, tolerances.OUTPUTS["float64"])
        assert_same(run(model, without), expected, tolerances.OUTPUTS["float64"])
        with pytest.raises(AssertionError, match="differs"):
            assert_same(run(model, GIVEN), expected, 1e-3)


@pytest.mark.parametrize("kind", [bool, np.int32, np.float32])
def test_masks_may_be_of_any_kind(kind):
    pt, tf = both("LxmertModel")
    given = inputs(SMALLEST, SIZES, "vision row masked")
    other = {key: values.astype(kind) if "mask" in key else values for key, values in given.items()}
    expected = run_pt(pt, given)
    for run, model in ((run_pt, pt), (run_tf, tf)):
        assert_same(run(model, other), expected, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("masks", MASKS)
def test_masked_places_do_not_matter(masks):
    """What a masked token or region holds reaches no other place; and a mask of ones is no mask."""
    pt, tf = both("LxmertModel")
    given = inputs(SMALLEST, SIZES, masks)
    language = given.get("attention_mask", np.ones_like(given["input_ids"])).astype(bool)
    visual = given.get("visual_attention_mask", np.ones(given["visual_feats"].shape[:2])).astype(bool)
    alive = language.any(1) & visual.any(1)
    changed = dict(given)
    changed["input_ids"] = np.where(language, given["input_ids"], 5)
    changed["visual_feats"] = np.where(visual[..., None], given["visual_feats"], 9.0)
    changed["visual_pos"] = np.where(visual[..., None], given["visual_pos"], 0.5)
    for run, model in ((run_pt, pt), (run_tf, tf)):
        before, after = run(model, given), run(model, changed)
        for name, kept in (("language_output", language), ("vision_output", visual)):
            old, new = arrays(before)[name], arrays(after)[name]
            assert_same(new[kept & alive[:, None]], old[kept & alive[:, None]], tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", CLASSES[1:])
def test_attention_maps_do_not_change_the_result(name, masks):
    """PyTorch computes attention in one fused step unless the maps are asked for: results and gradients are equal."""
    pt = pt_model(SMALLEST, name, "float64")
    given = {**labelled(name), **inputs(SMALLEST, SIZES, masks, architecture=name)}
    fused, expected = gradients_pt(pt, given)
    plain, found = gradients_pt(pt, given, output_attentions="all")
    assert_same(dict(list(plain.items())[: len(fused)]), fused, tolerances.OUTPUTS["float64"])
    assert_same_gradients(found, expected, tolerances.GRADIENTS["float64"])


@pytest.mark.parametrize("masks", MASKS)
def test_every_row_of_every_map_sums_to_one(masks):
    pt = pt_model(SMALLEST, "LxmertModel", "float64")
    given = inputs(SMALLEST, SIZES, masks)
    output = run_pt(pt, given, output_attentions="all")
    maps = {name: values for name, values in output.items() if "attentions" in name}
    assert len(maps) == 6
    for stacked in maps.values():
        for one in stacked:
            assert_same(one.sum(-1), torch.ones(one.shape[:-1], dtype=one.dtype), tolerances.OUTPUTS["float64"])
    if masks == "vision row masked":
        uniform = torch.full_like(output.vision_attentions[0][-1], 1 / SIZES.regions)
        assert_same(output.vision_attentions[0][-1], uniform, tolerances.OUTPUTS["float64"])


PRUNED = {
    "language_layers.0.attention": (1,),
    "visual_layers.0.attention": (0, 2),
    "cross_layers.0.cross_attention": (2,),
    "cross_layers.1.language_self_attention": (0, 1),
    "cross_layers.1.visual_self_attention": (1,),
}


@pytest.mark.parametrize("name", CLASSES[1:])
def test_pruned_heads_agree(name):
    config = small("1/2/1")
    given = labelled(name)
    pt, tf = new_pt(config, name, "float64"), new_tf(config, name, "float64")
    whole = run_pt(pt, given)
    zeroed = new_pt(config, name, "float64")
    with torch.no_grad():
        for path, heads in PRUNED.items():
            for head in heads:
                zeroed.backbone.get_submodule(path).out.weight[:, 8 * head : 8 * head + 8] = 0
    for model in (pt, tf):
        model.prune_heads(PRUNED)
    assert pt.config == tf.config
    expected, expected_gradients = gradients_tf(tf, given, output_attentions="all")
    assert_same(run_pt(pt, given, output_attentions="all"), expected, tolerances.OUTPUTS["float64"])
    output, found = gradients_pt(pt, given)
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS["float64"])
    # A head that is gone is a head whose output counts for nothing.
    assert_same(output, run_pt(zeroed, given), tolerances.OUTPUTS["float64"])
    with pytest.raises(AssertionError, match="differs"):
        assert_same(output, whole, 1e-3)
    # A model made from the config of a pruned one has the same shapes.
    made = tf_model(pt.config, name, "float64")
    assert {key: values.shape for key, values in weights(made).items()} == {
        key: values.shape for key, values in weights(pt).items()
    }


@pytest.mark.parametrize("form", ["dict", "list"])
def test_keras_takes_its_inputs_in_any_form(form):
    pt, tf = both("LxmertForQuestionAnswering")
    order = ("input_ids", "visual_feats", "visual_pos", "attention_mask", "visual_attention_mask", "token_type_ids")
    assert set(order) == set(GIVEN)
    given = GIVEN if form == "dict" else [GIVEN[name] for name in order]
    assert_same(tf(given), run_pt(pt, GIVEN), tolerances.OUTPUTS["float64"])
