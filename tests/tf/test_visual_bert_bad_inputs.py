"""Wrong inputs to the Keras VisualBERT models, and right ones beside them. The tables are shared with PyTorch."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from lxmert.tf.losses import alignment_loss, distribution_loss, index_loss
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.bad_inputs import floats, ints
from tests.small_lxmert import small_config as lxmert_config
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CHOOSING,
    MODEL,
    NAMES,
    PRETRAINING,
    REASONING,
    TASKS,
    small_config,
    small_inputs,
    small_labels,
)
from tests.visual_bert_bad_inputs import WRONG, given
from tests.visual_bert_right_inputs import RIGHT


def kind(name):
    return getattr(lxmert.tf, f"TF{name}")


@pytest.fixture(scope="module")
def models():
    return {name: kind(name)(small_config()) for name in NAMES}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_wrong_inputs(models, wrong):
    inputs = given(wrong.model, wrong.change)
    for call in (lambda: models[wrong.model](**inputs), lambda: models[wrong.model](inputs)):
        with pytest.raises(wrong.error, match=re.escape(wrong.message)):
            call()


@pytest.mark.parametrize("what", RIGHT)
def test_right_inputs(models, what):
    name, change = RIGHT[what]
    output = models[name](given(name, change))
    assert ("loss" in output) == any("labels" in key for key in change)
    assert all(np.isfinite(values).all() for values in output)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [None, {}, lxmert_config()], ids=["None", "a dict", "LXMERT's"])
def test_a_config_of_the_wrong_type(name, config):
    with pytest.raises(TypeError, match=f"TF{name} is made from a VisualBertConfig; got {type(config).__name__}"):
        kind(name)(config)


@pytest.mark.parametrize(
    ("name", "argument"), [(MODEL, "image_text_alignment"), (ALIGNING, "region_to_phrase_position")]
)
def test_positions_that_are_no_tensors(models, name, argument):
    with pytest.raises(TypeError, match=f"{argument} must be a tensor or an array; got str"):
        models[name](**given(name, {argument: "0 1"}))


# compile and fit


@pytest.mark.parametrize(
    ("name", "change", "y", "message"),
    [
        (MODEL, {"position_ids": ints(2, 5, last=8)}, floats(2, 24), "position_ids must be 0 to 7"),
        (MODEL, {"visual_token_type_ids": ints(2, 7, last=2)}, floats(2, 24), "visual_token_type_ids must be 0 to 1"),
        (REASONING, {"image_text_alignment": ints(2, 7, 4, last=8)}, ints(2), "image_text_alignment must be -1 to 7"),
        (REASONING, {}, ints(2, last=11), "labels must be 0 to 10"),
        (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=12)}, floats(2, 4, 7), "-1 to 11; got values from 0"),
        (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=-2)}, floats(2, 4, 7), "-1 to 11; got values from -2"),
        (ALIGNING, {}, floats(2, 12, 7, last=1.5), "labels as rows of scores must be between 0 and 1"),
        (CHOOSING, {}, ints(2, last=3), "labels must be 0 to 2"),
        (ANSWERING, {}, floats(2, 11, last=-0.5), "labels as rows of scores must be between 0 and 1"),
        (ANSWERING, {"labels": ints(2, last=11)}, None, "labels must be 0 to 10"),
        (PRETRAINING, {}, {"sentence_image_labels": ints(2, last=2)}, "sentence_image_labels must be 0 to 1"),
        (PRETRAINING, {"labels": ints(2, 12, last=-1)}, None, "labels must be 0 to 28"),
    ],
)
def test_fit_looks_at_arrays(models, name, change, y, message):
    model = models[name]
    model.compile("sgd", loss="mse" if name == MODEL else None)
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=re.escape(message)):
            method(given(name, change), y, verbose=0)


@pytest.mark.parametrize("name", TASKS)
def test_data_without_labels(models, name):
    names = " or ".join(small_labels(name))
    models[name].compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=f"holds no labels to train on. Put {names} into the input dict"):
        models[name].fit(small_inputs(name), verbose=0)


@pytest.mark.parametrize(
    ("name", "y", "error", "message"),
    [
        (MODEL, ints(2), ValueError, "TFVisualBertModel has no loss of its own. Compile it with loss=..."),
        (PRETRAINING, ints(2), ValueError, "y must be a dict of labels, sentence_image_labels"),
        (PRETRAINING, {"sentence_label": ints(2)}, TypeError, "Did you mean 'sentence_image_labels'?"),
        (ANSWERING, {"answers": ints(2)}, TypeError, "unexpected keyword 'answers'."),
    ],
)
def test_wrong_labels_to_fit(name, y, error, message):
    model = kind(name)(small_config())
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(error, match=re.escape(message)):
        model.fit(small_inputs(name), y, verbose=0)


# Graphs: values cannot be looked at while one is traced


LOOKED_UP = {
    "token_type_ids": ints(2, 5, last=2),
    "position_ids": ints(2, 5, last=8),
    "visual_token_type_ids": ints(2, 7, last=-1),
    "image_text_alignment": ints(2, 7, 4, last=8),
}


@pytest.fixture(scope="module")
def graphs(models):
    """Both kinds of graph of the backbone, traced once for all arguments that are looked up in a table."""
    return tf.function(models[MODEL]), tf.function(models[MODEL], jit_compile=True)


@pytest.mark.parametrize("name", LOOKED_UP)
def test_a_graph_meets_what_is_in_no_table(graphs, name):
    right = {argument: np.zeros_like(values) for argument, values in LOOKED_UP.items()}
    inputs = {**small_inputs(MODEL), **right, name: LOOKED_UP[name]}
    inputs = {argument: tf.constant(values) for argument, values in inputs.items()}
    plain, xla = graphs
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        plain(inputs)
    states = xla(inputs).last_hidden_state
    assert np.isnan(states[-1]).any()
    assert np.isfinite(states[0]).all()


def test_a_graph_meets_phrases_that_are_nowhere(models):
    for graph in (tf.function(models[ALIGNING]), tf.function(models[ALIGNING], jit_compile=True)):
        for place in (12, -2):
            inputs = given(ALIGNING, {"region_to_phrase_position": ints(2, 12, last=place)})
            scores = graph({name: tf.constant(values) for name, values in inputs.items()}).logits
            assert np.isnan(scores[-1, -1]).any()
            assert np.isfinite(scores[0]).all()
            assert np.isfinite(scores[-1, :-1]).all()


@pytest.mark.parametrize(
    ("loss", "right", "wrong"),
    [
        (index_loss, ints(2, last=4), ints(2, last=5)),
        (distribution_loss, ints(2, last=4), ints(2, last=-1)),
        (distribution_loss, floats(2, 5, last=1), floats(2, 5, last=1.5)),
        (distribution_loss, floats(2, 5, last=1), floats(2, 5, last=-0.5)),
        (alignment_loss, floats(2, 3, 5, last=1), floats(2, 3, 5, last=-0.5)),
    ],
    ids=["a class", "an answer", "a score above 1", "a score below 0", "a region"],
)
def test_wrong_labels_show_in_the_loss_of_a_graph(loss, right, wrong):
    shape = wrong.shape if wrong.ndim > 1 else (2, 5)
    scores = tf.constant(np.arange(np.prod(shape), dtype="float32").reshape(shape))
    graph = tf.function(loss)
    assert np.isfinite(graph(scores, tf.constant(right)))
    assert np.isnan(graph(scores, tf.constant(wrong)))


def test_shapes_are_told_in_a_graph(models):
    inputs = {
        name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name)
        for name, values in small_inputs(CHOOSING).items()
    }
    inputs["visual_embeds"] = keras.Input((4, 7, 9), name="visual_embeds")
    with pytest.raises(ValueError, match=re.escape("got [?, 3, 5] and [?, 4, 7, 9].")):
        models[CHOOSING](inputs)


# from_pretrained


def test_folders_of_the_other_model(tmp_path):
    kind(MODEL)(small_config()).save_pretrained(tmp_path / "visual_bert")
    lxmert.tf.TFLxmertModel(lxmert_config()).save_pretrained(tmp_path / "lxmert")
    with pytest.raises(ValueError, match="of a 'visual_bert' model; LxmertConfig reads 'lxmert'"):
        lxmert.tf.TFLxmertModel.from_pretrained(tmp_path / "visual_bert")
    with pytest.raises(ValueError, match="of a 'lxmert' model; VisualBertConfig reads 'visual_bert'"):
        kind(ANSWERING).from_pretrained(tmp_path / "lxmert")
    with pytest.raises(TypeError, match="config must be a VisualBertConfig; got LxmertConfig"):
        kind(MODEL).from_pretrained(tmp_path / "visual_bert", config=lxmert_config())


def test_folders_that_do_not_fit(tmp_path):
    kind(ANSWERING)(small_config()).save_pretrained(tmp_path)
    for name in (PRETRAINING, CHOOSING, ALIGNING):
        with pytest.raises(CheckpointMismatchError, match="Nothing was loaded"):
            kind(name).from_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="The file has 11 labels: put num_labels=11"):
        kind(REASONING).from_pretrained(tmp_path, num_labels=5)
    with pytest.raises(TypeError, match="Did you mean 'num_labels'"):
        kind(ANSWERING).from_pretrained(tmp_path, num_label=5)
    with pytest.raises(ValueError, match='only must be None or "backbone"'):
        kind(ANSWERING).from_pretrained(tmp_path, only="heads")


def test_a_pooler_that_is_not_there(tmp_path):
    kind(MODEL)(small_config(), add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="no pooler: pass add_pooling_layer=False to from_pretrained"):
        kind(MODEL).from_pretrained(tmp_path)
