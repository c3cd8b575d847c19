"""PyTorch against Keras for VisualBERT: outputs, hidden states, maps and gradients in every case, under every mask."""

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import Sizes
from tests.models import VISUAL_BERT_CASES, VISUAL_BERT_CLASSES, gradients_pt, gradients_tf, labelled, run_pt, run_tf
from tests.pairwise import spread, under_masks
from tests.visual_bert_inputs import visual_bert_inputs, visual_bert_labels

from .agreement import assert_agree, assert_outputs_agree, both

TASKS = VISUAL_BERT_CLASSES[1:]
EVERYTHING = dict(output_attentions="all", output_hidden_states=True)
STATES = {"hidden_states", "attentions"}
FIELDS = {
    "VisualBertModel": {"last_hidden_state", "pooler_output"},
    "VisualBertForPreTraining": {"loss", "prediction_logits", "seq_relationship_logits"},
    **{name: {"loss", "logits"} for name in TASKS[1:]},
}


@pytest.mark.parametrize(("name", "case", "masks", "dtype"), under_masks(VISUAL_BERT_CASES, *TASKS))
def test_task_models_agree(name, case, masks, dtype):
    config, sizes = VISUAL_BERT_CASES[case]
    given = labelled(config, name, sizes, masks)
    pt, tf = both(config, name, dtype)
    expected, expected_gradients = gradients_tf(tf, given, **EVERYTHING)
    assert set(expected.keys()) == FIELDS[name] | STATES
    layers = config.num_hidden_layers + config.bypass_transformer
    assert (len(expected.hidden_states), len(expected.attentions)) == (layers + 1, layers)
    assert_same(run_pt(pt, given, **EVERYTHING), expected, tolerances.OUTPUTS[dtype])
    # Training does not ask for attention maps and then takes PyTorch's fused attention.
    output, found = gradients_pt(pt, given)
    assert_same(output.loss, expected.loss, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    assert None not in found.values(), "a trainable parameter without a gradient"


BACKBONES = ("smallest", "deep", "regions bypass the layers")


@pytest.mark.parametrize(("case", "masks", "dtype"), under_masks(BACKBONES))
def test_backbone_agrees(case, masks, dtype):
    config, sizes = VISUAL_BERT_CASES[case]
    models = both(config, "VisualBertModel", dtype)
    output = assert_outputs_agree(models, visual_bert_inputs(config, sizes, masks), dtype)
    assert set(output.keys()) == FIELDS["VisualBertModel"]


@pytest.mark.parametrize(("name", "case"), spread(TASKS, BACKBONES, strength=1))
def test_an_example_that_is_masked_as_a_whole_agrees(name, case):
    config, sizes = VISUAL_BERT_CASES[case]
    given = labelled(config, name, sizes)
    for mask in ("attention_mask", "visual_attention_mask"):
        given[mask][-1] = 0
    models = both(config, name)
    output, found = assert_agree(models, given, **EVERYTHING)
    for maps in output.attentions:
        assert_same(
            maps[-1].detach(), np.full_like(maps[-1].detach(), 1 / maps.shape[-1]), tolerances.OUTPUTS["float64"]
        )
    fused, expected = gradients_pt(models[0], given)
    assert_same(fused.loss, output.loss, tolerances.OUTPUTS["float64"])
    assert_same_gradients(found, expected, tolerances.GRADIENTS["float64"])


TEXT_ONLY = VISUAL_BERT_CLASSES[:-1]


@pytest.mark.parametrize(
    ("name", "masks", "case"),
    spread(TEXT_ONLY, ["absent", "language row masked"], ["smallest", "regions bypass the layers"], strength=1),
)
def test_text_alone_agrees(name, masks, case):
    config, sizes = VISUAL_BERT_CASES[case]
    given = visual_bert_inputs(config, sizes, masks, name)
    given = {key: values for key, values in given.items() if "visual" not in key}
    models = both(config, name)
    output = assert_outputs_agree(models, given, **EVERYTHING)
    assert len(output.attentions) == config.num_hidden_layers
    assert output.hidden_states[-1].shape[1:] == (sizes.length, config.hidden_size)
    if name == "VisualBertModel":
        return
    labels = visual_bert_labels(config, Sizes(sizes.batch, sizes.length, 0), name)
    _, found = assert_agree(models, {**given, **labels})
    without = {parameter for parameter, gradient in found.items() if gradient is None}
    of_regions = ("embeddings.feature", "embeddings.visual", "additional_layer")
    assert without == {parameter for parameter in found if any(part in parameter for part in of_regions)}


def test_regions_that_bypass_the_layers_meet_the_words_in_the_last_one():
    config, sizes = VISUAL_BERT_CASES["regions bypass the layers"]
    pt, tf = both(config, "VisualBertModel")
    given = visual_bert_inputs(config, sizes)
    changed = {**given, "visual_embeds": given["visual_embeds"] + 1}
    for model, run in ((pt, run_pt), (tf, run_tf)):
        before, after = run(model, given, **EVERYTHING), run(model, changed, **EVERYTHING)
        for i in range(config.num_hidden_layers + 1):
            assert before.hidden_states[i].shape[1] == sizes.length
            assert_same(after.hidden_states[i], before.hidden_states[i], 0.0)
        assert before.hidden_states[-1].shape[1] == sizes.length + sizes.regions
        with pytest.raises(AssertionError, match="differs"):
            assert_same(after.last_hidden_state, before.last_hidden_state, 1e-3)
