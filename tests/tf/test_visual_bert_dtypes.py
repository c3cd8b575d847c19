"""VisualBERT in dtypes other than float32: what is stored, what is computed; it stays finite and trains."""

from functools import cache

import keras
import numpy as np
import pytest

import lxmert.tf
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    MODEL,
    NAMES,
    TASKS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
    wholly_masked,
)

from .test_dtypes import POLICIES, PRECISION, dtype, numbers

every_policy = pytest.mark.parametrize("policy", POLICIES)
every_name = pytest.mark.parametrize("name", NAMES)


@cache
def make(name, policy, **changes):
    return getattr(lxmert.tf, f"TF{name}")(small_config(**changes), dtype=policy)


@every_policy
@every_name
def test_formats_of_variables_outputs_and_losses(name, policy):
    stored, computed, summed = POLICIES[policy]
    model, exact = make(name, policy), make(name, "float32")
    for variable, other in zip(exact.variables, model.variables, strict=True):
        variable.assign(keras.ops.cast(other, "float32"))
    x = {**small_inputs(name), **small_options(name), **small_labels(name)}
    options = dict(output_attentions=True, output_hidden_states=True)
    output, expected = model(x, **options), exact(x, **options)
    assert {v.dtype for v in model.variables} == {stored}
    for key, values in expected.items():
        for found, wanted in zip(keras.tree.flatten(output[key]), keras.tree.flatten(values), strict=True):
            assert dtype(found) == (summed if key == "loss" else computed)
            found, wanted = numbers(found), numbers(wanted)
            # A masked region has the smallest number of its format.
            kept = wanted > -1e38
            np.testing.assert_allclose(
                found[kept], wanted[kept], atol=2 * PRECISION[computed], rtol=2 * PRECISION[computed]
            )
            assert (found[~kept] < -6e4).all()


@every_policy
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in NAMES), (MODEL, {"bypass_transformer": True})])
def test_wholly_masked_examples_stay_finite(name, policy, options):
    model = make(name, policy, **options)
    output = model(wholly_masked(name), **small_labels(name), output_attentions=True)
    for values in keras.tree.flatten(output.to_tuple()):
        assert np.isfinite(numbers(values)).all()
    np.testing.assert_allclose(numbers(output.attentions[-1]), 1 / 12, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "policy"),
    [*((name, policy) for name in TASKS for policy in ("mixed_bfloat16", "float16")), (ALIGNING, "mixed_float16")],
)
def test_training_in_each_format(name, policy):
    model = make.__wrapped__(name, policy)
    model.compile(keras.optimizers.SGD(0.02), run_eagerly=True)
    masked = {key: wholly_masked(name)[key] for key in ("visual_attention_mask",) if name != ALIGNING}
    x = {**small_inputs(name), **masked}
    # The scale of the loss starts high, and each overflow halves it instead of making a step.
    epochs = 8 if policy == "mixed_float16" else 2
    losses = model.fit(x, small_labels(name), epochs=epochs, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(np.isfinite(numbers(v)).all() for v in model.variables)


def test_labels_of_a_wholly_masked_image_train_nothing():
    model = make(ALIGNING, "mixed_float16")
    output = model(wholly_masked(ALIGNING), **small_labels(ALIGNING))
    assert float(output.loss) == 0


def test_large_labels_survive_small_formats():
    # 257 is no bfloat16: labels that were cast with the features would be others.
    model = make(ANSWERING, "bfloat16", num_labels=300)
    output = model(small_inputs(), labels=np.array([257, 263]))
    scores = numbers(output.logits)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(numbers(output.loss), -np.mean(logs[[0, 1], [257, 263]]), rtol=1e-5)


@pytest.mark.parametrize("name", [ALIGNING, ANSWERING])
def test_large_positions_survive_small_formats(name):
    # 257 tokens: positions, and places in the sequence, that bfloat16 and float16 would round.
    sizes = dict(max_position_embeddings=300)
    model, exact = (make(name, policy, **sizes) for policy in ("mixed_bfloat16", "float32"))
    exact.set_weights(model.get_weights())
    x = small_inputs(name, 2, 260, 3)
    x["attention_mask"] = np.ones_like(x["attention_mask"])
    if name == ALIGNING:
        x["region_to_phrase_position"] = np.array([[255, 257], [259, 261]])
    x["image_text_alignment"] = np.full((2, 3, 1), 259)
    x["position_ids"] = np.arange(260)[None] + 39
    kept = numbers(exact(x).logits) > -1e38
    np.testing.assert_allclose(numbers(model(x).logits)[kept], numbers(exact(x).logits)[kept], atol=0.03)
