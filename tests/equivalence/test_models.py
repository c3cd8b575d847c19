"""PyTorch against Keras: every output, hidden state, attention map and gradient, in every case under every mask."""

import itertools

import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import MASKS, inputs, labels
from tests.models import CASES, gradients_pt, gradients_tf, pt_model, run_pt, run_tf, tf_model

EVERYTHING = dict(output_attentions="all", output_hidden_states=True)
FIELDS = {
    "LxmertModel": {"language_output", "vision_output", "pooled_output"},
    "LxmertForPreTraining": {"loss", "prediction_logits", "cross_relationship_score", "question_answering_score"},
    "LxmertForQuestionAnswering": {"loss", "question_answering_score"},
}

# Every case under every mask in float64, which is the sharper one; in float32 every case and every mask, in turn.
EVERY = [(case, masks, "float64") for case in CASES for masks in MASKS] + [
    (case, masks, "float32") for case, masks in zip(CASES, itertools.cycle(MASKS), strict=False)
]

ANSWERING = ("smallest", "one region, features only", "no language layers, no matching")


@pytest.mark.parametrize(("case", "masks", "dtype"), EVERY)
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


@pytest.mark.parametrize(("case", "masks", "dtype"), [some for some in EVERY if some[0] in ANSWERING])
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


@pytest.mark.parametrize(("case", "masks", "dtype"), [some for some in EVERY if some[0] in ("smallest", "deep")])
def test_backbone_agrees(case, masks, dtype):
    config, sizes = CASES[case]
    given = inputs(config, sizes, masks)
    pt, tf = pt_model(config, "LxmertModel", dtype), tf_model(config, "LxmertModel", dtype)
    expected = run_tf(tf, given)
    assert set(expected.keys()) == FIELDS["LxmertModel"]
    assert_same(run_pt(pt, given), expected, tolerances.OUTPUTS[dtype])
