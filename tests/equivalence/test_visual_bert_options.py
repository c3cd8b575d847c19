"""PyTorch against Keras for VisualBERT: every way to call a model."""

import numpy as np
import pytest
import torch

from tests import tolerances
from tests.compare import arrays, assert_same, assert_same_gradients
from tests.inputs import MASKS, Sizes
from tests.models import (
    VISUAL_BERT_CLASSES,
    labelled,
    new_pt,
    new_tf,
    run_pt,
    run_tf,
    small_visual_bert,
    weights,
)
from tests.pairwise import pairwise
from tests.visual_bert_inputs import CHOICES, visual_bert_inputs

from .agreement import assert_agree, assert_outputs_agree, both

SIZES = Sizes()
CONFIG = small_visual_bert(2)
TASKS = VISUAL_BERT_CLASSES[1:]
TOLERANCE = tolerances.OUTPUTS["float64"]
# What happens before the heads: the class with most outputs, the class with another axis, and a backbone of its own.
WAYS = [
    ("VisualBertForPreTraining", CONFIG),
    ("VisualBertForMultipleChoice", CONFIG),
    ("VisualBertForPreTraining", CONFIG.replace(bypass_transformer=True)),
]


def leading(name):
    """The axes before those of words and regions."""
    return (SIZES.batch, CHOICES) if name == "VisualBertForMultipleChoice" else (SIZES.batch,)


OPTIONS = [
    {"output_hidden_states": True},
    {"output_attentions": True},
    {"output_attentions": "all", "return_dict": False},
    {"output_attentions": True, "output_hidden_states": True, "return_dict": False},
    {"return_dict": False},
]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("VisualBertForPreTraining", options) for options in OPTIONS),
        *((name, OPTIONS[3]) for name in VISUAL_BERT_CLASSES if name != "VisualBertForPreTraining"),
    ],
)
def test_options_agree(name, options):
    models, given = both(CONFIG, name), labelled(CONFIG, name, SIZES)
    output, expected = run_pt(models[0], given, **options), run_tf(models[1], given, **options)
    assert_same(output, expected, TOLERANCE)
    named = run_pt(models[0], given, **{**options, "return_dict": True})
    assert type(output) is type(expected) is (tuple if options.get("return_dict") is False else type(named))
    assert_same(output if isinstance(output, tuple) else output.to_tuple(), named.to_tuple(), 0.0)
    assert ("hidden_states" in named) == options.get("output_hidden_states", False)
    assert ("attentions" in named) == bool(options.get("output_attentions", False))


@pytest.mark.parametrize("name", ["VisualBertForPreTraining", "VisualBertForMultipleChoice"])
def test_options_come_from_the_config_too(name):
    asked = dict(output_attentions=True, output_hidden_states=True, return_dict=False)
    given, plain = labelled(CONFIG, name, SIZES), both(CONFIG, name)
    models = both(CONFIG.replace(**asked), name)
    assert_same(assert_outputs_agree(models, given), run_pt(plain[0], given, **asked), 0.0)
    # An argument is stronger than the config.
    output = assert_outputs_agree(models, given, output_attentions=False, output_hidden_states=False, return_dict=True)
    assert_same(output, run_pt(plain[0], given), 0.0)


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float64") for name in VISUAL_BERT_CLASSES), ("VisualBertForPreTraining", "float32")]
)
def test_inputs_embeds_agree(name, dtype):
    models, given = both(CONFIG, name, dtype), labelled(CONFIG, name, SIZES)
    words = models[0].get_input_embeddings().weight.detach().numpy()
    vectors = {**given, "inputs_embeds": words[given["input_ids"]]}
    del vectors["input_ids"]
    if name == "VisualBertModel":
        output = assert_outputs_agree(models, vectors, dtype)
    else:
        output, found = assert_agree(models, vectors, dtype, also=("inputs_embeds",))
        assert found["inputs_embeds"].abs().max() > 0
        tied = found.get("embeddings.word.weight")
        assert (tied is None) == (name != "VisualBertForPreTraining"), "the table itself is read by the word head alone"
    assert_same(output, run_pt(models[0], given), tolerances.OUTPUTS[dtype])


def test_inputs_embeds_with_a_backbone_that_regions_bypass():
    config = CONFIG.replace(bypass_transformer=True)
    models, given = both(config, "VisualBertModel"), visual_bert_inputs(config, SIZES)
    words = models[0].get_input_embeddings().weight.detach().numpy()
    vectors = {key: values for key, values in given.items() if key != "input_ids"}
    output = assert_outputs_agree(models, {**vectors, "inputs_embeds": words[given["input_ids"]]})
    assert_same(output, run_pt(models[0], given), TOLERANCE)


@pytest.mark.parametrize(("name", "config"), WAYS)
def test_position_ids_agree(name, config):
    models, given, lead = both(config, name), labelled(config, name, SIZES), leading(name)
    default = run_pt(models[0], given)
    draw = np.random.default_rng(4)
    row = np.array([7, 3, 8, 0, 5])
    for_all = {**given, "position_ids": row.reshape(*(1 for _ in lead), -1)}
    for_each = {**given, "position_ids": np.broadcast_to(row, (*lead, SIZES.length)).copy()}
    one, one_gradients = assert_agree(models, for_all)
    many, many_gradients = assert_agree(models, for_each)
    assert_same(one, many, 0.0)
    assert_same(one_gradients["embeddings.position.weight"], many_gradients["embeddings.position.weight"], TOLERANCE)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(one, default, 1e-3)
    counted = np.arange(SIZES.length).reshape(*(1 for _ in lead), -1)
    assert_same(assert_outputs_agree(models, {**given, "position_ids": counted}), default, 0.0)
    different = draw.integers(0, config.max_position_embeddings, (*lead, SIZES.length))
    assert_agree(models, {**given, "position_ids": different})


def alignment(name, words=3):
    """[B, R, K] positions of words with fewer and fewer of them in a row; the last region of each image has none."""
    draw = np.random.default_rng(5)
    given = draw.integers(0, SIZES.length, (*leading(name), SIZES.regions, words))
    for i in range(SIZES.regions):
        given[..., i, words - i % (words + 1) :] = -1
    given[..., -1, :] = -1
    given[..., 0, 0] = -1  # a gap in front of a position
    return given


@pytest.mark.parametrize(("name", "config", "dtype"), [*((*way, "float64") for way in WAYS), (*WAYS[0], "float32")])
def test_image_text_alignment_agrees(name, config, dtype):
    models, given = both(config, name, dtype), labelled(config, name, SIZES)
    aligned = {**given, "image_text_alignment": alignment(name)}
    output, found = assert_agree(models, aligned, dtype)
    without, found_without = assert_agree(models, given, dtype)
    for one, other in ((output, without), (found, found_without)):
        with pytest.raises(AssertionError, match=r"(loss|position\.weight) differs"):
            assert_same(one, other, 1e-4)
    nowhere = {**given, "image_text_alignment": np.full_like(aligned["image_text_alignment"], -1)}
    assert_same(assert_outputs_agree(models, nowhere, dtype), without, 0.0)


def test_an_aligned_region_gets_the_mean_of_the_positions():
    """In a norm that does nothing but center and scale, seen beside the features moved by that mean."""
    models, given = both(CONFIG, "VisualBertModel"), visual_bert_inputs(CONFIG, SIZES)
    aligned = alignment("VisualBertModel")
    table = weights(models[0])["embeddings.position.weight"].astype(np.float64)
    mean = np.zeros((SIZES.batch, SIZES.regions, CONFIG.hidden_size))
    for b in range(SIZES.batch):
        for r in range(SIZES.regions):
            places = [p for p in aligned[b, r] if p != -1]
            if places:
                mean[b, r] = table[places].mean(0)
    moved = []
    hook = models[0].embeddings.norm.register_forward_pre_hook(lambda module, taken: moved.append(taken[0].detach()))
    try:
        run_pt(models[0], given)
        run_pt(models[0], {**given, "image_text_alignment": aligned})
    finally:
        hook.remove()
    without, with_words = moved
    assert_same(with_words[:, SIZES.length :] - without[:, SIZES.length :], mean, TOLERANCE)
    assert_same(with_words[:, : SIZES.length], without[:, : SIZES.length], 0.0)


def test_token_types_have_their_defaults_and_matter():
    models, given = both(CONFIG, "VisualBertModel"), visual_bert_inputs(CONFIG, SIZES)
    for name, default in (("token_type_ids", 0), ("visual_token_type_ids", 1)):
        without = {key: values for key, values in given.items() if key != name}
        expected = assert_outputs_agree(models, without)
        filled = {**without, name: np.full_like(given[name], default)}
        assert_same(assert_outputs_agree(models, filled), expected, TOLERANCE)
        with pytest.raises(AssertionError, match="differs"):
            assert_same(assert_outputs_agree(models, given), expected, 1e-3)


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32])
@pytest.mark.parametrize("name", ["VisualBertForQuestionAnswering", "VisualBertForRegionToPhraseAlignment"])
def test_masks_may_be_of_any_kind(name, kind):
    models = both(CONFIG, name)
    given = labelled(CONFIG, name, SIZES, "vision row masked")
    other = {key: values.astype(kind) if "mask" in key else values for key, values in given.items()}
    assert_same(assert_outputs_agree(models, other), run_pt(models[0], given), TOLERANCE)


@pytest.mark.parametrize(("masks", "bypass"), pairwise(MASKS, [False, True], strength=1))
def test_masked_places_do_not_matter(masks, bypass):
    """What a masked token or region holds reaches no other place."""
    config = CONFIG.replace(bypass_transformer=bypass)
    given = visual_bert_inputs(config, SIZES, masks)
    text = given.get("attention_mask", np.ones_like(given["input_ids"])).astype(bool)
    visual = given.get("visual_attention_mask", np.ones(given["visual_embeds"].shape[:2])).astype(bool)
    changed = dict(given)
    changed["input_ids"] = np.where(text, given["input_ids"], 5)
    changed["visual_embeds"] = np.where(visual[..., None], given["visual_embeds"], 9.0)
    kept = np.concatenate([text, visual], axis=1)
    models = both(config, "VisualBertModel")
    for model, run in zip(models, (run_pt, run_tf), strict=True):
        old, new = (arrays(run(model, one))["last_hidden_state"] for one in (given, changed))
        assert_same(new[kept], old[kept], TOLERANCE)
    ones = {"attention_mask": text.astype(int), "visual_attention_mask": visual.astype(int)}
    assert_same(assert_outputs_agree(models, {**given, **ones}), run_pt(models[0], given), TOLERANCE)


@pytest.mark.parametrize("masks", MASKS)
def test_every_row_of_every_map_sums_to_one(masks):
    config = CONFIG.replace(bypass_transformer=True)
    output = run_pt(
        both(config, "VisualBertModel")[0], visual_bert_inputs(config, SIZES, masks), output_attentions=True
    )
    assert [one.shape[-1] for one in output.attentions] == [SIZES.length] * 2 + [SIZES.length + SIZES.regions]
    for one in output.attentions:
        assert_same(one.sum(-1), torch.ones(one.shape[:-1], dtype=one.dtype), TOLERANCE)


@pytest.mark.parametrize("bypass", [False, True])
def test_a_backbone_without_a_pooler_agrees(bypass):
    config = CONFIG.replace(bypass_transformer=bypass)
    given = visual_bert_inputs(config, SIZES)
    models = tuple(new(config, "VisualBertModel", "float64", add_pooling_layer=False) for new in (new_pt, new_tf))
    whole = run_pt(both(config, "VisualBertModel")[0], given)
    output = assert_outputs_agree(models, given)
    assert list(output) == ["last_hidden_state"]
    assert_same(output.last_hidden_state, whole.last_hidden_state, 0.0)
    assert len(assert_outputs_agree(models, given, return_dict=False)) == 1
    for model in models:
        assert not any("pooler" in name for name in weights(model))


@pytest.mark.parametrize("bypass", [False, True])
def test_the_last_layer_may_be_computed_at_some_positions(bypass):
    config = CONFIG.replace(bypass_transformer=bypass)
    given = visual_bert_inputs(config, SIZES)
    models = both(config, "VisualBertModel")
    whole = run_pt(models[0], given, output_hidden_states=True)
    last = SIZES.length + SIZES.regions - 1
    positions = np.array([[1, last]] * SIZES.batch)
    positions[0] = last, 0
    for options in ({}, {"output_attentions": True}, {"output_hidden_states": True}):
        some = assert_outputs_agree(models, {**given, "output_positions": positions}, **options)
        for row, places in enumerate(positions):
            assert_same(some.last_hidden_state[row], whole.last_hidden_state[row, places], TOLERANCE)
        if some.hidden_states is not None:
            assert_same(some.hidden_states, whole.hidden_states, TOLERANCE)
    for model, run in zip(models, (run_pt, run_tf), strict=True):
        for wrong in (positions + 1, positions - 1):
            with pytest.raises(ValueError, match=f"output_positions must be 0 to {last}"):
                run(model, {**given, "output_positions": wrong})
        with pytest.raises(ValueError, match=r"output_positions must be \[B, P\]"):
            run(model, {**given, "output_positions": positions[0]})


@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES[2:5])
def test_heads_of_one_position_score_the_same_with_the_whole_last_layer(name):
    models, given = both(CONFIG, name), labelled(CONFIG, name, SIZES)
    given["head_mask"] = np.linspace(0.0, 1.0, CONFIG.num_attention_heads)
    whole, expected = assert_agree(models, given, output_hidden_states=True)
    assert whole.hidden_states[-1].shape[1] == SIZES.length + SIZES.regions
    sizes = []
    hook = (
        models[0]
        .backbone.encoder_layers[-1]
        .feed_forward.register_forward_hook(lambda module, taken, out: sizes.append(out.shape[1]))
    )
    try:
        output, found = assert_agree(models, given)
    finally:
        hook.remove()
    assert set(sizes) == {1}
    assert_same(output.loss, whole.loss, TOLERANCE)
    assert_same(output.logits, whole.logits, TOLERANCE)
    assert_same_gradients(found, expected, tolerances.GRADIENTS["float64"])


@pytest.mark.parametrize("form", ["dict", "list"])
def test_keras_takes_its_inputs_in_any_form(form):
    pt, tf = both(CONFIG, "VisualBertForVisualReasoning")
    given = visual_bert_inputs(CONFIG, SIZES)
    texts = ("input_ids", "attention_mask", "token_type_ids")
    position_ids = np.arange(SIZES.length)[None]
    if form == "list":
        # The first of the documented order; the others as keywords.
        first = [given[name] for name in texts] + [position_ids]
        output = tf(first, **{name: values for name, values in given.items() if name not in texts})
    else:
        output = tf({**given, "position_ids": position_ids})
    assert_same(output, run_pt(pt, given), TOLERANCE)
