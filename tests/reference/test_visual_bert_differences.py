"""VisualBERT: where `transformers` 5 is wrong or silent, what it does, and what this package does instead.

Each test shows both sides, so that it tells when `transformers` has changed.
"""

import numpy as np
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes
from tests.models import (
    SMALLEST_VISUAL_BERT,
    VISUAL_BERT_CLASSES,
    gradients_pt,
    gradients_tf,
    labelled,
    new_pt,
    pt_model,
    run_pt,
    small_visual_bert,
    tf_model,
    weights,
)
from tests.visual_bert_inputs import visual_bert_inputs

from .visual_bert_theirs import gradients_theirs, load_theirs, run_theirs, selu, theirs

SIZES = Sizes()
BATCH, LENGTH, REGIONS = SIZES
CONFIG = SMALLEST_VISUAL_BERT
BYPASS = CONFIG.replace(bypass_transformer=True)
PRETRAINING = "VisualBertForPreTraining"
TOLERANCE = tolerances.OUTPUTS["float64"]


def ours(name, config=CONFIG):
    return pt_model(config, name, "float64")


def other(name, config=CONFIG):
    return theirs(config, name, "float64")


def fresh_theirs(config, name="VisualBertModel", **options):
    return getattr(transformers, name)(transformers.VisualBertConfig(**config.to_dict()), **options).double().eval()


def without(given, *names):
    return {key: values for key, values in given.items() if key not in names}


def test_an_alignment_of_other_regions_is_refused():
    """Theirs takes the first ones of a longer one."""
    given = visual_bert_inputs(CONFIG, SIZES)
    longer = np.random.default_rng(0).integers(0, LENGTH, (BATCH, REGIONS + 2, 3))
    cut = {**given, "image_text_alignment": longer[:, :REGIONS]}
    expected = run_pt(ours("VisualBertModel"), cut)
    assert_same(run_theirs(other("VisualBertModel"), {**given, "image_text_alignment": longer}), expected, TOLERANCE)
    with pytest.raises(ValueError, match=r"image_text_alignment must be .* with the regions of visual_embeds"):
        run_pt(ours("VisualBertModel"), {**given, "image_text_alignment": longer})


def test_regions_may_bypass_the_layers():
    """Theirs ends in an error; what it means to do is in test_visual_bert_transformers.py."""
    given = visual_bert_inputs(BYPASS, SIZES)
    with pytest.raises(IndexError):
        run_pt(fresh_theirs(BYPASS), given)
    assert run_pt(ours("VisualBertModel", BYPASS), given).last_hidden_state.shape[1] == LENGTH + REGIONS


@pytest.mark.parametrize("special", [True, False])
def test_the_tables_of_regions_start_as_those_of_words(special):
    """Theirs copies them, and then draws them again."""
    config = CONFIG.replace(special_visual_initialize=special)

    def copied(named):
        pairs = [
            (f"embeddings.{kind}.weight", f"embeddings.visual_{kind}.weight") for kind in ("position", "token_type")
        ]
        return [np.array_equal(named[text], named[visual]) for text, visual in pairs]

    model = fresh_theirs(config)
    their_names = {p.name: HUGGING_FACE.key(p, nested=False) for p, _ in ours("VisualBertModel").weights_by_name()}
    state = {name: model.get_parameter(path).detach().numpy() for name, path in their_names.items()}
    assert copied(state) == [False, False]
    for backend, prefix in ((lxmert.pt, ""), (lxmert.tf, "TF")):
        assert copied(weights(getattr(backend, f"{prefix}VisualBertModel")(config))) == [special, special]


def test_head_masks_have_an_effect():
    """Theirs swallows the argument, and has nothing to prune heads with."""
    given = visual_bert_inputs(CONFIG, SIZES)
    masked = {**given, "head_mask": np.zeros(CONFIG.num_attention_heads)}
    plain = run_theirs(other("VisualBertModel"), given)
    assert_same(run_theirs(other("VisualBertModel"), masked), plain, 0.0)
    assert not hasattr(other("VisualBertModel"), "prune_heads")
    with pytest.raises(AssertionError, match="differs"):
        assert_same(run_pt(ours("VisualBertModel"), masked), plain, 1e-3)
    model = new_pt(CONFIG, "VisualBertModel", "float64")
    model.prune_heads({0: [1]})
    kept = {**given, "head_mask": np.array([1, 0, 1, 1])}
    assert_same(run_pt(model, given), run_pt(ours("VisualBertModel"), kept), TOLERANCE)


@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES)
def test_a_misspelled_keyword_is_an_error(name):
    given = labelled(CONFIG, name, SIZES, "ones")
    misspelled = {**given, "visual_embed": given["visual_embeds"]}
    run_pt(other(name), misspelled)
    with pytest.raises(TypeError, match="visual_embeds"):
        run_pt(ours(name), misspelled)


def test_a_model_with_one_token_type_gives_it_to_the_regions():
    """Theirs takes type 1, which there is not."""
    config = CONFIG.replace(type_vocab_size=1)
    given = visual_bert_inputs(config, SIZES, "absent")
    with pytest.raises(IndexError):
        run_pt(fresh_theirs(config), given)
    zeros = {**given, "visual_token_type_ids": np.zeros((BATCH, REGIONS), np.int64)}
    expected = run_theirs(other("VisualBertModel", config), zeros)
    assert_same(run_pt(ours("VisualBertModel", config), given), expected, TOLERANCE)


def test_every_activation_of_the_documentation_is_there(tmp_path):
    """Theirs names "selu", and has no such entry in its table."""
    config = small_visual_bert(1, hidden_act="selu")
    ours("VisualBertModel", config).save_pretrained(tmp_path)
    with pytest.raises(KeyError, match="selu"):
        transformers.VisualBertModel.from_pretrained(tmp_path)
    with selu():
        model = load_theirs(tmp_path, "VisualBertModel", "float64")
    given = visual_bert_inputs(config, SIZES)
    assert_same(run_pt(ours("VisualBertModel", config), given), dict(run_pt(model, given).items()), TOLERANCE)


def test_the_rows_of_a_map_sum_to_one_in_training_too():
    """Theirs are taken after dropout."""
    given = visual_bert_inputs(CONFIG, SIZES)
    torch.manual_seed(0)
    theirs_in_training = run_pt(fresh_theirs(CONFIG).train(), given, output_attentions=True).attentions[0].sum(-1)
    assert theirs_in_training.std() > 0.01
    output = run_pt(new_pt(CONFIG, "VisualBertModel", "float64").train(), given, output_attentions=True)
    for one in output.attentions:
        assert_same(one.sum(-1), torch.ones(one.shape[:-1], dtype=one.dtype), TOLERANCE)


def test_a_tuple_has_no_place_for_a_pooler_that_is_not_there():
    given = visual_bert_inputs(CONFIG, SIZES)
    assert [type(part) for part in run_pt(fresh_theirs(CONFIG, add_pooling_layer=False), given, return_dict=False)] == [
        torch.Tensor,
        type(None),
    ]
    model = new_pt(CONFIG, "VisualBertModel", "float64", add_pooling_layer=False)
    assert [type(part) for part in run_pt(model, given, return_dict=False)] == [torch.Tensor]


def test_an_example_of_which_nothing_is_read_gives_no_gradient_to_queries_and_keys():
    """Its attention is uniform whatever they are. Theirs is the derivative of a rounding: score + smallest number."""
    given = labelled(CONFIG, PRETRAINING, SIZES)
    for mask in ("attention_mask", "visual_attention_mask"):
        given[mask] = np.zeros_like(given[mask])
    output, found = gradients_pt(ours(PRETRAINING), given)
    their_output, expected = gradients_theirs(CONFIG, PRETRAINING, "float64", given)
    assert_same(output, their_output, TOLERANCE)
    _, keras_found = gradients_tf(tf_model(CONFIG, PRETRAINING, "float64"), given)
    for part in ("query.weight", "query.bias", "key.weight", "key.bias"):
        name = f"encoder_layers.0.attention.{part}"
        assert not found[name].any()
        assert not keras_found[name].any()
        assert part == "key.bias" or expected[name].abs().max() > 1e-3
    # The proof that zero is right: other queries change nothing, in their model neither.
    moved = new_pt(CONFIG, PRETRAINING, "float64")
    with torch.no_grad():
        moved.backbone.encoder_layers[0].attention.query.weight.mul_(3)
    assert_same(run_pt(moved, given), output, TOLERANCE)
