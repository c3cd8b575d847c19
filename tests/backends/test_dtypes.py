"""Dtypes other than float32 in both backends: what is stored and computed, and that it stays finite and trains."""

import keras
import numpy as np
import pytest
import torch

from tests.pairwise import spread
from tests.pt.tensors import tensors
from tests.small import NAMES, TASKS, everything, is_visual_bert, small_inputs, small_labels, wholly_masked

from .backend import BACKENDS

# A model of PyTorch is moved to a dtype; one of Keras has a policy, of what is stored and what is computed.
FORMATS = [
    *(("pt", dtype) for dtype in ("bfloat16", "float16", "float64")),
    *(("tf", policy) for policy in ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64")),
]
# Coarse dtypes compute the same to about their precision.
PRECISION = {"bfloat16": 0.05, "float16": 0.01, "float64": 1e-4}
ALIGNMENT = "VisualBertForRegionToPhraseAlignment"


def flat(output):
    """The tensors of an output, tuples opened, as float64."""
    for value in keras.tree.flatten(output.to_tuple()):
        value = value.detach().double() if isinstance(value, torch.Tensor) else keras.ops.cast(value, "float64")
        yield np.asarray(value)


@pytest.mark.parametrize(("format", "name"), spread(FORMATS, NAMES, strength=1))
def test_a_coarse_model_computes_the_same(format, name):
    backend, dtype = BACKENDS[format[0]], format[1]
    computed = dtype.removeprefix("mixed_")
    model, exact = backend.make(name, dtype), backend.make(name)
    backend.copy_weights(model, exact)
    asked = dict(output_attentions=True, output_hidden_states=True)
    # Features stay in float32: the model casts them.
    output, expected = (backend.run(each, everything(name), **asked) for each in (model, exact))
    assert backend.stored(model) == {"float32" if "mixed" in dtype else dtype}
    assert output.keys() == expected.keys()
    for key, value in output.items():
        found = {backend.dtype(one) for one in keras.tree.flatten(value)}
        wide = "float64" if computed == "float64" else "float32"
        assert found == {wide if key == "loss" else computed}, key
    tolerance = PRECISION[computed] * (2 if is_visual_bert(name) else 1)
    for found, wanted in zip(flat(output), flat(expected), strict=True):
        # A masked region has the smallest number of its dtype.
        kept = wanted > -1e38
        np.testing.assert_allclose(found[kept], wanted[kept], atol=tolerance, rtol=tolerance)
        assert (found[~kept] < -6e4).all()


@pytest.mark.parametrize(("format", "name"), spread(FORMATS, NAMES, strength=1))
def test_wholly_masked_examples_stay_finite(format, name):
    backend = BACKENDS[format[0]]
    changes = {"bypass_transformer": name in NAMES[::2]} if is_visual_bert(name) else {}
    model, given = backend.make(name, format[1], **changes), {**wholly_masked(name), **small_labels(name)}
    for maps in (False, "all"):
        output = backend.run(model, given, output_attentions=maps)
        assert all(np.isfinite(values).all() for values in flat(output))
    maps = output.attentions[-1] if is_visual_bert(name) else output.language_attentions[0]
    maps = np.asarray(maps.detach().float() if backend.name == "pt" else keras.ops.cast(maps, "float32"))
    np.testing.assert_allclose(maps, 1 / maps.shape[-1], atol=1e-2)
    if name == ALIGNMENT:
        assert next(flat(output)) == 0, "labels of an image that is masked train nothing"


# Of the formats, those that the losses are scaled or widened for.
TRAINED = [
    row for row in spread(FORMATS, TASKS, strength=1) if not row.marks or row.values[0] in (FORMATS[1], FORMATS[4])
]


@pytest.mark.parametrize(("format", "name"), TRAINED)
def test_training_in_each_dtype(format, name):
    backend, dtype = BACKENDS[format[0]], format[1]
    model = backend.make(name, dtype)
    given = everything(name)
    if name != ALIGNMENT:
        given["visual_attention_mask"] = np.zeros_like(given["visual_attention_mask"])
    # The scale of the loss starts high, and each overflow halves it instead of making a step.
    losses = backend.steps(model, given, 8 if dtype == "mixed_float16" else 3, rate=0.02)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    if dtype == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    for _, weight in model.weights_by_name():
        values = weight.detach().float() if backend.name == "pt" else keras.ops.cast(weight, "float32")
        assert np.isfinite(np.asarray(values)).all()


@pytest.mark.parametrize("name", TASKS)
def test_autocast(name):
    """PyTorch's mixed precision; Keras' is a policy of the model."""
    model, given = BACKENDS["pt"].make(name), tensors(everything(name))
    exact = model(**given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**given)
        masked = model(**tensors(wholly_masked(name)), output_attentions="all")
    output.loss.backward()
    assert {value.dtype for value in output.to_tuple()[1:]} == {torch.bfloat16}
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.loss, exact.loss, atol=0.05, rtol=0.05)
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
    assert all(np.isfinite(values).all() for values in flat(masked))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16, torch.float64, "bfloat16"])
@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", ALIGNMENT])
def test_saving_and_loading_in_a_dtype(name, dtype, tmp_path):
    kind = BACKENDS["pt"].kind(name)
    stored = str(dtype or torch.float32).removeprefix("torch.")
    model = BACKENDS["pt"].make(name)
    for saved in (model, model.to(getattr(torch, stored))):
        saved.save_pretrained(tmp_path)
        again = kind.from_pretrained(tmp_path, dtype=dtype)
        assert BACKENDS["pt"].stored(again) == {stored}
        for a, b in zip(again.parameters(), model.parameters(), strict=True):
            assert torch.equal(a, b.to(a.dtype))


@pytest.mark.parametrize("dtype", [torch.int64, "int8", "half a float"])
def test_dtypes_that_cannot_be_loaded(dtype, tmp_path):
    BACKENDS["pt"].make("LxmertModel").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r'dtype must be a torch\.dtype, "auto", or one of float64, float32, .*; got'):
        BACKENDS["pt"].kind("LxmertModel").from_pretrained(tmp_path, dtype=dtype)


def test_the_global_policy_of_keras_counts(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = BACKENDS["tf"].kind("LxmertForQuestionAnswering")(BACKENDS["pt"].make("LxmertModel").config)
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert model.dtype_policy.name == again.dtype_policy.name == "mixed_bfloat16"
    for found, expected in zip(flat(again(small_inputs())), flat(model(small_inputs())), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_large_labels_survive_small_dtypes(backend, name):
    """257 is no bfloat16: labels that were cast with the features would be others."""
    model = backend.make(name, "bfloat16", **{"num_labels" if is_visual_bert(name) else "num_qa_labels": 300})
    labels = np.array([257, 263, 259])[: len(small_inputs(name)["input_ids"])]
    loss, scores = flat(backend.run(model, {**small_inputs(name), "labels": labels}))
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(loss, -np.mean(logs[range(len(labels)), labels]), rtol=1e-5)


@pytest.mark.parametrize("name", [ALIGNMENT, "VisualBertForQuestionAnswering"])
def test_large_positions_survive_small_dtypes(name):
    """257 tokens: positions, and places in the sequence, that bfloat16 and float16 would round."""
    backend = BACKENDS["tf"]
    model, exact = (backend.make(name, dtype, max_position_embeddings=300) for dtype in ("mixed_bfloat16", "float32"))
    backend.copy_weights(model, exact)
    x = small_inputs(name, 2, 260, 3)
    x["attention_mask"] = np.ones_like(x["attention_mask"])
    if name == ALIGNMENT:
        x["region_to_phrase_position"] = np.array([[255, 257], [259, 261]])
    x["image_text_alignment"] = np.full((2, 3, 1), 259)
    x["position_ids"] = np.arange(260)[None] + 39
    (found,), (expected,) = flat(model(x)), flat(exact(x))
    kept = expected > -1e38
    np.testing.assert_allclose(found[kept], expected[kept], atol=0.03)
