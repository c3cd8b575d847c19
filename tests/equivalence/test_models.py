"""PyTorch against Keras: every output, hidden state, attention map and gradient, in every case under every mask."""

import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import inputs, labels
from tests.models import CASES, gradients_pt, gradients_tf, pt_model, run_pt, run_tf, tf_model
from tests.pairwise import under_masks

EVERYTHING = dict(output_attentions="all", output_hidden_states=True)
FIELDS = {
    "LxmertModel": {"language_output", "vision_output", "pooled_output"},
    "LxmertForPreTraining": {"loss", "prediction_logits", "cross_relationship_score", "question_answering_score"},
    "LxmertForQuestionAnswering": {"loss", "question_answering_score"},
}

ANSWERING = ("smallest", "one region, features only", "no language layers, no matching")


@pytest.mark.parametrize(("case", "masks", "dtype"), under_masks(CASES))
def test_pretraining_agrees(case, masks, dtype):
    config, sizes = CASES[case]
    given = {**inputs(config, sizes, masks), **labels(config, sizes)}
    pt, tf = pt_model(config, "LxmertForPreTraining", dtype), tf_model(config, "LxmertForPreTraining", dtype)
    expected, expected_gradients = gradients_tf(tf, given, **EVERYTHING)
    assert set(expected.keys()) >= FIELDS["LxmertForPreTraining"] - (
        set() if config.task_qa else {"question_answering_score"}
    )
    assert_same(run_pt(pt, given, **EVERYTHING), expected, tolerances.OUTPUTS[dtype])
    # Training does not ask for attention maps and then takes PyTorch's fused attention.
    output, found = gradients_pt(pt, given)
    assert_same(output.loss, expected.loss, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])


@pytest.mark.parametrize(("case", "masks", "dtype"), under_masks(ANSWERING))
def test_question_answering_agrees(case, masks, dtype):
    config, sizes = CASES[case]
    name = "LxmertForQuestionAnswering"
    given = {**inputs(config, sizes, masks), "labels": labels(config, sizes)["ans"]}
    pt, tf = pt_model(config, name, dtype), tf_model(config, name, dtype)
    expected, expected_gradients = gradients_tf(tf, given)
    assert set(expected.keys()) == FIELDS[name]
    output, found = gradients_pt(pt, given)
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    assert None not in found.values(), "a trainable parameter without a gradient"


@pytest.mark.parametrize(("case", "masks", "dtype"), under_masks(["smallest", "deep"]))
def test_backbone_agrees(case, masks, dtype):
    config, sizes = CASES[case]
    given = inputs(config, sizes, masks)
    pt, tf = pt_model(config, "LxmertModel", dtype), tf_model(config, "LxmertModel", dtype)
    expected = run_tf(tf, given)
    assert set(expected.keys()) == FIELDS["LxmertModel"]
    assert_same(run_pt(pt, given), expected, tolerances.OUTPUTS[dtype])
