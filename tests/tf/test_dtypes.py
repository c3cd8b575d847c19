"""Dtypes other than float32: what is stored, what is computed, and that it stays finite and trains."""

import keras
import numpy as np
import pytest

from lxmert.tf import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertModel
from tests.small_lxmert import answer_indices, answer_scores, small_config, small_inputs, small_labels

X = small_inputs()
# Format of the variables, of the outputs, of the loss.
POLICIES = {
    "mixed_bfloat16": ("float32", "bfloat16", "float32"),
    "mixed_float16": ("float32", "float16", "float32"),
    "bfloat16": ("bfloat16", "bfloat16", "float32"),
    "float16": ("float16", "float16", "float32"),
    "float64": ("float64", "float64", "float64"),
}
# Coarse formats compute the same to about their precision.
PRECISION = {"bfloat16": 0.05, "float16": 0.01, "float64": 1e-4}


def dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def numbers(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor)).astype("float64")


def wholly_masked():
    masked = {"attention_mask": np.zeros((3, 5)), "visual_attention_mask": np.zeros((3, 7))}
    return {**X, **masked}


@pytest.mark.parametrize("policy", POLICIES)
def test_formats_of_variables_outputs_and_losses(policy):
    stored, computed, summed = POLICIES[policy]
    model = TFLxmertForPreTraining(small_config(), dtype=policy)
    exact = TFLxmertForPreTraining(small_config())
    for variable, other in zip(exact.variables, model.variables, strict=True):
        variable.assign(keras.ops.cast(other, "float32"))
    output = model(X, **small_labels(), output_attentions="all", output_hidden_states=True)
    expected = exact(X, **small_labels(), output_attentions="all", output_hidden_states=True)
    assert {v.dtype for v in model.variables} == {stored}
    assert dtype(output.loss) == summed
    for name, values in expected.items():
        for found, wanted in zip(keras.tree.flatten(output[name]), keras.tree.flatten(values), strict=True):
            assert name == "loss" or dtype(found) == computed
            np.testing.assert_allclose(
                numbers(found), numbers(wanted), atol=PRECISION[computed], rtol=PRECISION[computed]
            )


@pytest.mark.parametrize("policy", POLICIES)
def test_wholly_masked_examples_stay_finite(policy):
    output = TFLxmertModel(small_config(), dtype=policy)(wholly_masked(), output_attentions="all")
    for values in keras.tree.flatten(output.to_tuple()):
        assert np.isfinite(numbers(values)).all()
    np.testing.assert_allclose(numbers(output.language_attentions[0]), 1 / 5, atol=1e-2)


@pytest.mark.parametrize("policy", POLICIES)
def test_training_in_each_format(policy):
    labels = answer_scores() if "mixed" in policy else answer_indices()
    model = TFLxmertForQuestionAnswering(small_config(), dtype=policy)
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # The scale of the loss starts high, and each overflow halves it instead of making a step.
    epochs = 8 if policy == "mixed_float16" else 3
    losses = model.fit(
        wholly_masked() | {"attention_mask": X["attention_mask"]}, labels, epochs=epochs, verbose=0
    ).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(np.isfinite(numbers(v)).all() for v in model.variables)


def test_the_global_policy_counts(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = TFLxmertForQuestionAnswering(small_config())
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert model.dtype_policy.name == again.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_array_equal(
        numbers(again(X).question_answering_score), numbers(model(X).question_answering_score)
    )


def test_large_labels_survive_small_formats():
    # 257 is no bfloat16: labels that were cast with the features would be others.
    model = TFLxmertForQuestionAnswering(small_config(num_qa_labels=300), dtype="bfloat16")
    output = model(X, labels=np.array([257, 259, 263]))
    scores = numbers(output.question_answering_score)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(numbers(output.loss), -np.mean(logs[[0, 1, 2], [257, 259, 263]]), rtol=1e-5)
