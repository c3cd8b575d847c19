"""Keras models whose kernels `NumpyModel` packs once: the same answers, also after the weights have changed."""

import gc
import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from lxmert.inference import tf as keras_inference
from lxmert.inference.tf import NumpyModel
from lxmert.tf import packing
from lxmert.tf.packing import PackedGraph
from tests.inputs import Sizes, inputs
from tests.models import SMALLEST, new_tf, small_visual_bert
from tests.visual_bert_inputs import visual_bert_inputs

CONFIGS = {"LxmertForQuestionAnswering": SMALLEST, "VisualBertForQuestionAnswering": small_visual_bert(1)}
pytestmark = pytest.mark.skipif(not packing.can_pack("float32"), reason="this TensorFlow has no packed product")


@pytest.fixture(autouse=True)
def pack_at_once(monkeypatch):
    monkeypatch.setattr(keras_inference, "_FEW", 0)


def given(model, sizes):
    return (inputs if hasattr(model.config, "l_layers") else visual_bert_inputs)(model.config, sizes)


def graph_of(model):
    (graph,) = (each for each in keras_inference.graphs_of(model).values() if isinstance(each, PackedGraph))
    return graph


def assert_same(model, sizes):
    """Packed and plain scores agree; returns the scores."""
    found, expected = (NumpyModel(model, pack)(given(model, sizes)) for pack in (True, False))
    assert list(found) == list(expected)
    (name,) = (name for name in found if name.endswith(("score", "logits")))
    wide = keras.backend.standardize_dtype(model.compute_dtype) == "float32"
    np.testing.assert_allclose(found[name], expected[name], **(dict(atol=2e-5) if wide else dict(rtol=0.1, atol=0.2)))
    return found[name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_packed_kernels_give_the_same_scores_for_all_sizes(name, dtype):
    model = new_tf(CONFIGS[name], name, dtype)
    for sizes in (Sizes(2, 5, 4), Sizes(1, 3, 2), Sizes(9, 4, 7), Sizes(2, 5, 4)):
        assert_same(model, sizes)
    first = model.backbone.encoder_layers[0] if name.startswith("Visual") else model.backbone.language_layers[0]
    assert graph_of(model).size >= sum(int(np.prod(v.shape)) for v in first.variables if len(v.shape) == 2) * 2


def test_changed_weights_are_seen_and_the_model_is_freed():
    model = new_tf(SMALLEST, "LxmertForQuestionAnswering", "float32")
    kernel, sizes = model.heads.answer.out.kernel, Sizes(2, 5, 4)
    scores = [assert_same(model, sizes)]
    kernel.assign(kernel.value * 2)  # as `load_weights` does
    scores.append(assert_same(model, sizes))
    kernel.value.assign_add(kernel.value)
    scores.append(assert_same(model, sizes))
    tf.function(lambda: kernel.value.assign_sub(kernel.value * 0.25))()  # as a step of `fit` does
    scores.append(assert_same(model, sizes))
    model.backbone.language_layers[0].feed_forward.up.enable_lora(2)
    model.backbone.language_layers[0].feed_forward.up.lora_kernel_b.assign([[0.5] * 20] * 2)
    scores.append(assert_same(model, sizes))
    for before, after in itertools.pairwise(scores):
        assert np.abs(before - after).max() > 1e-3
    graph, model = weakref.ref(graph_of(model)), weakref.ref(model)
    gc.collect()
    assert graph() is None
    assert model() is None


def test_what_does_not_fit_or_has_another_dtype_stays_as_it_is():
    model = new_tf(SMALLEST, "LxmertForQuestionAnswering", "float32")
    arrays = given(model, Sizes(2, 5, 4))
    tensors = {name: tf.constant(x, tf.float32 if x.dtype.kind == "f" else None) for name, x in arrays.items()}
    expected = model(tensors, training=False).question_answering_score
    for limit, most in ((0, 0), (5000, 5000), (None, 2**30)):
        graph = PackedGraph(lambda given: model(given, training=False).question_answering_score, limit)
        np.testing.assert_allclose(graph(tensors), expected, atol=2e-5)
        assert min(most, 1) <= graph.size <= most
    for policy in ("float64", "mixed_bfloat16"):
        other = new_tf(SMALLEST, "LxmertForQuestionAnswering", "float64" if policy == "float64" else "float32")
        if policy != "float64":
            other.dtype_policy = policy
        found, plain = (NumpyModel(other, pack)(arrays)["question_answering_score"] for pack in (True, False))
        np.testing.assert_allclose(found, plain, rtol=1e-12 if policy == "float64" else 2e-5, atol=1e-4)


def test_inputs_are_checked_as_without_a_graph():
    model = new_tf(SMALLEST, "LxmertForQuestionAnswering", "float32")
    arrays = given(model, Sizes(2, 5, 4))
    arrays["input_ids"][0, 0] = 99
    for pack in (False, True):
        with pytest.raises(ValueError, match="input_ids"):
            NumpyModel(model, pack)(arrays)


def test_several_threads():
    model = new_tf(SMALLEST, "LxmertForQuestionAnswering", "float32")
    run, arrays = NumpyModel(model, True), given(model, Sizes(2, 5, 4))
    expected = NumpyModel(model)(arrays)["question_answering_score"]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: run(arrays)["question_answering_score"], range(16)):
            np.testing.assert_allclose(found, expected, atol=2e-5)
