"""VisualBERT in PyTorch against `transformers`, an independent program, from one set of weights: where both agree."""

import numpy as np
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import MASKS, Sizes
from tests.models import (
    DTYPES,
    SMALLEST_VISUAL_BERT,
    VISUAL_BERT_CASES,
    VISUAL_BERT_CLASSES,
    gradients_pt,
    labelled,
    new_pt,
    pt_model,
    run_pt,
    run_tf,
    small_visual_bert,
    tf_model,
)
from tests.pairwise import spread, under_masks
from tests.visual_bert_inputs import visual_bert_inputs, visual_bert_labels

from .visual_bert_theirs import gradients_theirs, load_theirs, run_theirs, theirs

TASKS = VISUAL_BERT_CLASSES[1:]
SIZES = Sizes()
BATCH, LENGTH, REGIONS = SIZES
CONFIG = small_visual_bert(2)
BYPASS = small_visual_bert(2, bypass_transformer=True)
EVERYTHING = dict(output_attentions=True, output_hidden_states=True)


def assert_agrees(config, name, given, dtype="float64", gradients=True):
    """Everything that both give, and the gradients, are the same."""
    ours = pt_model(config, name, dtype)
    if not gradients or "labels" not in given:
        expected = run_theirs(theirs(config, name, dtype), given, **EVERYTHING)
    else:
        expected, expected_gradients = gradients_theirs(config, name, dtype, given, **EVERYTHING)
        _, found = gradients_pt(ours, given)
        assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    assert_same(run_pt(ours, given, **EVERYTHING), expected, tolerances.OUTPUTS[dtype])


@pytest.mark.parametrize(("name", "case", "masks", "dtype"), under_masks(VISUAL_BERT_CASES, *VISUAL_BERT_CLASSES))
def test_outputs_and_gradients_agree(name, case, masks, dtype):
    config, sizes = VISUAL_BERT_CASES[case]
    given = labelled(config, name, sizes, masks)
    if config.type_vocab_size == 1:
        # Theirs takes type 1 by default, which there is not.
        given.setdefault("visual_token_type_ids", np.zeros(given["visual_embeds"].shape[:-1], np.int64))
    # Where nothing that a layer reads is left, theirs has a gradient of rounding: test_visual_bert_differences.py.
    nothing_left = config.bypass_transformer and MASKS[masks][0] == "row"
    assert_agrees(config, name, given, dtype, gradients=not nothing_left)


@pytest.mark.parametrize("masks", ["ones", "padding"])
def test_question_answering_agrees_as_it_is_called(masks):
    """Where theirs reads the same place: no holes, no padding in front."""
    name = "VisualBertForQuestionAnswering"
    ours, other = pt_model(CONFIG, name, "float64"), theirs(CONFIG, name, "float64")
    given = labelled(CONFIG, name, SIZES, "ones")
    if masks == "padding":
        given["attention_mask"] = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    output, expected = run_pt(ours, given), run_pt(other, given)
    assert_same(output.loss, expected.loss, tolerances.OUTPUTS["float64"])
    del given["labels"]
    assert_same(run_pt(ours, given), dict(run_pt(other, given).items()), tolerances.OUTPUTS["float64"])


OPTIONS = {
    "positions": lambda draw: {"position_ids": draw.integers(0, 9, (BATCH, LENGTH))},
    "one row of positions": lambda draw: {"position_ids": draw.integers(0, 9, (1, LENGTH))},
    "alignment": lambda draw: {"image_text_alignment": draw.integers(-1, LENGTH, (BATCH, REGIONS, 3))},
    "alignment, regions without words": lambda draw: {
        "image_text_alignment": np.where(
            np.arange(REGIONS)[:, None] % 2 == 0, -1, draw.integers(-1, LENGTH, (BATCH, REGIONS, 2))
        )
    },
    "no token types": lambda draw: {"token_type_ids": None},
    "no visual types": lambda draw: {"visual_token_type_ids": None},
}


@pytest.mark.parametrize(("config", "option", "dtype"), spread([CONFIG, BYPASS], OPTIONS, DTYPES))
def test_options_agree(config, option, dtype):
    for name in TASKS:
        if name == "VisualBertForMultipleChoice":
            continue
        given = {**labelled(config, name, SIZES), **OPTIONS[option](np.random.default_rng(8))}
        assert_agrees(config, name, {key: values for key, values in given.items() if values is not None}, dtype)


def test_positions_of_choices_agree():
    name = "VisualBertForMultipleChoice"
    given = labelled(CONFIG, name, SIZES)
    given["position_ids"] = np.random.default_rng(8).integers(0, 9, given["input_ids"].shape)
    assert_agrees(CONFIG, name, given)


@pytest.mark.parametrize("config", [CONFIG, BYPASS], ids=["plain", "bypass"])
@pytest.mark.parametrize("masks", ["absent", "ragged"])
@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES[:-1])
def test_text_alone_agrees(name, masks, config):
    given = visual_bert_inputs(config, SIZES, masks, name)
    given = {key: values for key, values in given.items() if "visual" not in key}
    if name != "VisualBertForPreTraining":  # theirs cannot have labels without regions
        given |= visual_bert_labels(config, SIZES, name)
    assert_agrees(config, name, given)


@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES)
def test_inputs_embeds_agree(name):
    given = labelled(CONFIG, name, SIZES)
    words = pt_model(CONFIG, name, "float64").get_input_embeddings().weight.detach().numpy()
    given["inputs_embeds"] = words[given.pop("input_ids")]
    assert_agrees(CONFIG, name, given)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("config", [CONFIG, BYPASS], ids=["plain", "bypass"])
def test_head_masks_agree_with_the_heads_of_theirs(config, rows):
    """Theirs has no such argument any more: what its self-attentions give is multiplied on its way out."""
    draw = np.random.default_rng(9).uniform(0.2, 1.5, (rows, config.num_attention_heads))
    given_mask = draw[0] if rows == 1 else draw
    size = config.hidden_size // config.num_attention_heads

    def weigh(mask):
        def hook(module, taken, output):
            context, *maps = output
            return context * mask.repeat_interleave(size), *(one * mask[:, None, None] for one in maps)

        return hook

    for name in TASKS:
        given = labelled(config, name, SIZES)
        other, mask = theirs(config, name, "float64"), torch.from_numpy(draw).requires_grad_()
        handles = [
            layer.attention.self.register_forward_hook(weigh(mask[i % rows]))
            for i, layer in enumerate(other.base_model.encoder.layer)
        ]
        try:
            expected, expected_gradients = gradients_theirs(config, name, "float64", given, **EVERYTHING)
        finally:
            for handle in handles:
                handle.remove()
        masked = {**given, "head_mask": given_mask}
        output, found = gradients_pt(pt_model(config, name, "float64"), masked, also=("head_mask",), **EVERYTHING)
        assert_same(output, expected, tolerances.OUTPUTS["float64"])
        slopes = torch.autograd.grad(expected["loss"], mask)[0].reshape(given_mask.shape)
        assert_same_gradients(found, {**expected_gradients, "head_mask": slopes}, tolerances.GRADIENTS["float64"])


@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES)
def test_tuples_have_their_order(name):
    given = labelled(CONFIG, name, SIZES, "ones")
    if name == "VisualBertForQuestionAnswering":
        del given["labels"]  # with labels, theirs gives other scores
    ours, other = pt_model(CONFIG, name, "float64"), theirs(CONFIG, name, "float64")
    for asked in ({}, {"output_attentions": True}, EVERYTHING):
        expected = run_pt(other, given, return_dict=False, **asked)
        assert_same(run_pt(ours, given, return_dict=False, **asked), expected, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize(
    "config",
    [SMALLEST_VISUAL_BERT, small_visual_bert(1, bypass_transformer=True, pad_token_id=None, num_labels=1)],
    ids=["plain", "bypass"],
)
@pytest.mark.parametrize("name", VISUAL_BERT_CLASSES)
def test_folders_go_both_ways(name, config, tmp_path):
    """What any side saves, the others load, with nothing missing and nothing left over."""
    given = labelled(config, name, SIZES)
    ours = pt_model(config, name, "float32")
    expected = run_pt(ours, given)
    theirs(config, name, "float32").save_pretrained(tmp_path / "theirs")
    tf_model(config, name, "float32").save_pretrained(tmp_path / "keras")
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path / "theirs")
    keras_again = getattr(lxmert.tf, f"TF{name}").from_pretrained(tmp_path / "theirs")
    for model, run in ((again, run_pt), (keras_again, run_tf)):
        assert model.config == config
        assert not model.load_report.new
        assert not model.load_report.unexpected
        assert_same(run(model, given), expected, tolerances.OUTPUTS["float32"])
    from_keras = load_theirs(tmp_path / "keras", name, "float32")
    state = theirs(config, name, "float32").state_dict()
    assert_same(dict(from_keras.state_dict()), dict(state), 0.0)
    assert from_keras.config.num_labels == config.num_labels
    assert from_keras.config.pad_token_id == config.pad_token_id


def test_a_backbone_without_a_pooler_goes_both_ways(tmp_path):
    ours = new_pt(CONFIG, "VisualBertModel", "float32", add_pooling_layer=False)
    ours.save_pretrained(tmp_path / "ours")
    other = load_theirs(tmp_path / "ours", "VisualBertModel", "float32", add_pooling_layer=False)
    given = visual_bert_inputs(CONFIG, SIZES)
    assert_same(dict(run_pt(other, given).items()), run_pt(ours, given), tolerances.OUTPUTS["float32"])
    other.save_pretrained(tmp_path / "theirs")
    again = lxmert.pt.VisualBertModel.from_pretrained(tmp_path / "theirs", add_pooling_layer=False)
    assert_same(run_pt(again, given), run_pt(ours, given), 0.0)


def test_fresh_weights_are_drawn_alike():
    """Normal with the same spread, the padding row and biases 0, norms 1; but see test_visual_bert_differences.py."""
    torch.manual_seed(0)
    config = CONFIG.replace(
        hidden_size=96, vocab_size=500, max_position_embeddings=500, type_vocab_size=50, special_visual_initialize=False
    )
    ours = lxmert.pt.VisualBertForRegionToPhraseAlignment(config)
    other = transformers.VisualBertForRegionToPhraseAlignment(transformers.VisualBertConfig(**config.to_dict()))
    for parameter, values in ours.weights_by_name():
        their_values = other.get_parameter(HUGGING_FACE.key(parameter, nested=True))
        for tensor in (values, their_values):
            tensor = tensor.detach()
            if parameter.leaf.torch == "weight" and parameter.kind in ("dense", "embedding"):
                assert abs(float(tensor.std()) / config.initializer_range - 1) < 0.25
                zeros = [config.pad_token_id] if parameter.name == "embeddings.word.weight" else []
                assert [i for i, row in enumerate(tensor) if not row.any()] == zeros
            else:
                wanted = torch.ones_like(tensor) if parameter.leaf.torch == "weight" else torch.zeros_like(tensor)
                assert torch.equal(tensor, wanted), parameter.name
