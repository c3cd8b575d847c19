"""PyTorch against Keras for VisualBERT: outputs, hidden states, maps and gradients in every case, under every mask."""

import itertools

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import MASKS
from tests.models import (
    VISUAL_BERT_CASES,
    VISUAL_BERT_CLASSES,
    gradients_pt,
    gradients_tf,
    labelled,
    pt_model,
    run_pt,
    run_tf,
    tf_model,
)

TASKS = VISUAL_BERT_CLASSES[1:]
EVERYTHING = dict(output_attentions="all", output_hidden_states=True)
STATES = {"hidden_states", "attentions"}
FIELDS = {
    "VisualBertModel": {"last_hidden_state", "pooler_output"},
    "VisualBertForPreTraining": {"loss", "prediction_logits", "seq_relationship_logits"},
    **dict.fromkeys(TASKS[1:], {"loss", "logits"}),
}

# Every case under every mask in float64, which is the sharper one; in float32 every case and every mask, in turn.
EVERY = [(case, masks, "float64") for case in VISUAL_BERT_CASES for masks in MASKS] + [
    (case, masks, "float32") for case, masks in zip(VISUAL_BERT_CASES, itertools.cycle(MASKS), strict=False)
]


@pytest.mark.parametrize(("case", "masks", "dtype"), EVERY)
@pytest.mark.parametrize("name", TASKS)
def test_task_models_agree(name, case, masks, dtype):
    config, sizes = VISUAL_BERT_CASES[case]
    given = labelled(config, name, sizes, masks)
    pt, tf = pt_model(config, name, dtype), tf_model(config, name, dtype)
    expected, expected_gradients = gradients_tf(tf, given, **EVERYTHING)
    assert set(expected.keys()) == FIELDS[name] | STATES
    assert len(expected.hidden_states) == config.num_hidden_layers + config.bypass_transformer + 1
    assert len(expected.attentions) == config.num_hidden_layers + config.bypass_transformer
    assert_same(run_pt(pt, given, **EVERYTHING), expected, tolerances.OUTPUTS[dtype])
    # Training does not ask for attention maps and then takes PyTorch's fused attention.
    output, found = gradients_pt(pt, given)
    assert_same(output.loss, expected.loss, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    assert None not in found.values(), "a trainable parameter without a gradient"
