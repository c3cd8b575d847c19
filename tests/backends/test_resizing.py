"""More or fewer words and labels in both backends: what a model knew stays, and what is new can be trained."""

import numpy as np
import pytest

from tests.compare import assert_same
from tests.small import LABELS, NAMES, WIDTH, WORDS, everything, is_visual_bert, small_config, small_inputs

from .backend import BACKENDS

LXMERT, VISUAL_BERT = "LxmertForPreTraining", "VisualBertForPreTraining"
ALIGNMENT = "VisualBertForRegionToPhraseAlignment"
SIZES = [((WORDS + 4,), WORDS + 4), ((10,), 10), ((None,), WORDS), ((None, 8), 32), ((33, 8), 40), ((2,), 2)]


def in_turn(names, sizes):
    """Every size and every name in both backends, the names in turn."""
    count = len(names)
    return [
        (backend, names[(i + j) % count], size) for i, backend in enumerate(BACKENDS) for j, size in enumerate(sizes)
    ]


# Words


@pytest.mark.parametrize(
    ("backend", "name", "size"), in_turn([LXMERT, VISUAL_BERT, ALIGNMENT], SIZES), indirect=["backend"]
)
def test_resizing_the_vocabulary(backend, name, size):
    asked, count = size
    model = backend.make(name)
    before, paths, trainable = backend.weights(model), backend.paths(model), backend.trainable(model)
    table = model.resize_token_embeddings(*asked)
    assert table is model.get_input_embeddings()
    assert table.padding_idx == (1 if is_visual_bert(name) else 0)
    assert backend.table(table).shape == (count, WIDTH)
    assert model.config.vocab_size == model.backbone.config.vocab_size == count
    assert backend.paths(model) == paths
    assert backend.trainable(model) == trainable
    for key, values in backend.weights(model).items():
        kept = min(count, WORDS) if key in ("embeddings.word.weight", "heads.word.bias") else None
        assert kept is None or len(values) == count
        assert_same(values[:kept], before[key][:kept], 0.0)
    given = everything(name)
    given["input_ids"] = given["input_ids"] % count
    if name != ALIGNMENT:
        given["labels"] = np.full_like(given["labels"], count - 1)
        assert backend.run(model, given).prediction_logits.shape[-1] == count
    _, found = backend.gradients(model, given)
    if name != ALIGNMENT:
        assert np.asarray(found["heads.word.bias"])[-1] != 0
        assert np.asarray(found["embeddings.word.weight"])[-1].any()


@pytest.mark.parametrize("name", ["LxmertModel", "LxmertForQuestionAnswering"])
def test_models_without_a_word_head_are_resized_too(backend, name):
    model, given = backend.make(name), small_inputs(name)
    expected = backend.run(model, given)
    model.resize_token_embeddings(WORDS + 1)
    assert backend.weights(model)["embeddings.word.weight"].shape == (WORDS + 1, WIDTH)
    assert_same(backend.run(model, given), expected, 0.0)


@pytest.mark.parametrize("name", [LXMERT, VISUAL_BERT])
def test_the_word_head_stays_tied(backend, name, tmp_path):
    model, given = backend.make(name), small_inputs(name)
    table = backend.embedding(WORDS + 2, WIDTH)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    backend.assign(model, "embeddings.word.weight", np.zeros((WORDS + 2, WIDTH), "f4"))
    bias = np.arange(WORDS + 2, dtype="f4")
    backend.assign(model, "heads.word.bias", bias)
    output = backend.run(model, given)
    assert_same(output.prediction_logits, np.broadcast_to(bias, output.prediction_logits.shape), 0.0)
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path)
    assert again.config.vocab_size == WORDS + 2
    assert_same(backend.run(again, given), output, 0.0)
    with pytest.raises(ValueError, match=r"embeddings must be \[V, 24\] \(hidden_size\); got \[9, 23\]"):
        model.set_input_embeddings(backend.embedding(9, 23))


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("LxmertModel", 0, "must be at least 1; got 0"),
        (VISUAL_BERT, 0, "new_num_tokens must be at least 1; got 0"),
        (VISUAL_BERT, 1, "pad_token_id must be a word's id"),
    ],
)
def test_a_vocabulary_that_is_too_small(backend, name, count, message):
    model = backend.make(name)
    expected = backend.run(model, small_inputs(name))
    with pytest.raises(ValueError, match=message):
        model.resize_token_embeddings(count)
    if count:
        with pytest.raises(ValueError, match=message):
            model.set_input_embeddings(backend.embedding(count, WIDTH))
    assert model.config == small_config(name)
    assert_same(backend.run(model, small_inputs(name)), expected, 0.0)


# Labels


ANSWERING = [LXMERT, "LxmertForQuestionAnswering", "VisualBertForQuestionAnswering", "VisualBertForVisualReasoning"]


@pytest.mark.parametrize(
    ("backend", "name", "count"), in_turn(ANSWERING, [LABELS + 3, 4, LABELS, None]), indirect=["backend"]
)
def test_resizing_the_labels(backend, name, count, tmp_path):
    field, label = ("num_labels", "labels") if is_visual_bert(name) else ("num_qa_labels", "labels")
    label = "ans" if name == LXMERT else label
    scores = "logits" if is_visual_bert(name) else "question_answering_score"
    model, given = backend.make(name), small_inputs(name)
    old, paths, layer = backend.run(model, given)[scores], backend.paths(model), model.get_qa_logit_layer()
    new = model.resize_num_qa_labels(count)
    wanted = count or LABELS
    assert new is model.get_qa_logit_layer()
    assert (new is layer) == (wanted == LABELS or backend.name == "pt")  # PyTorch resizes a layer in place
    assert getattr(model.config, field) == getattr(model.backbone.config, field) == wanted
    assert backend.paths(model) == paths
    found = backend.run(model, given)[scores]
    assert found.shape == (len(given["input_ids"]), wanted)
    assert_same(found[:, :LABELS], old[:, :wanted], 1e-6)
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path)
    assert_same(backend.run(again, given)[scores], found, 0.0)
    _, gradients = backend.gradients(model, {**given, label: np.full(len(given["input_ids"]), wanted - 1)})
    (bias,) = (key for key in gradients if key in ("heads.answer.out.bias", "heads.classifier.bias"))
    assert np.asarray(gradients[bias])[-1] != 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANSWERING])
def test_models_without_labels_to_resize(backend, name):
    model = backend.make(name)
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert model.config == small_config(name)


def test_labels_that_cannot_be_resized(backend):
    model = backend.make(LXMERT, task_qa=False)
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert "question_answering_score" not in backend.run(model, small_inputs(LXMERT))
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        backend.make("LxmertForQuestionAnswering").resize_num_qa_labels(0)


# What stays as it was


@pytest.mark.parametrize(
    ("name", "head", "unused"),
    [
        (LXMERT, "heads.answer.out", set()),
        ("VisualBertForQuestionAnswering", "heads.classifier", {"pooler.dense.weight", "pooler.dense.bias"}),
    ],
)
def test_resizing_keeps_dtype_and_frozen_state(backend, name, head, unused):
    dtype = "bfloat16" if backend.name == "pt" else "mixed_bfloat16"
    model = backend.make(name, dtype)
    for layer in (model.get_input_embeddings(), model.get_qa_logit_layer()):
        backend.freeze(layer)
    model.resize_token_embeddings(40)
    model.resize_num_qa_labels(13)
    frozen = {p.name for p, _ in model.weights_by_name()} - set(backend.trainable(model))
    assert frozen == {"embeddings.word.weight", f"{head}.weight", f"{head}.bias"} | unused
    assert backend.stored(model) == {"bfloat16" if backend.name == "pt" else "float32"}
    if backend.name == "tf":
        layers = (model.get_input_embeddings(), model.get_qa_logit_layer())
        assert {layer.dtype_policy.name for layer in layers} == {dtype}


def test_a_frozen_decoder_of_its_own_stays_frozen(backend):
    model = backend.make(LXMERT, tie_word_embeddings=False)
    backend.freeze(model.heads.word.decoder)
    model.resize_token_embeddings(40)
    frozen = {p.name for p, _ in model.weights_by_name()} - set(backend.trainable(model))
    assert frozen == {"heads.word.decoder.weight"}
    assert backend.table(model.heads.word.decoder).shape == (40, WIDTH)
    assert backend.run(model, small_inputs(LXMERT)).prediction_logits.shape == (3, 5, 40)
