"""Data that `fit` and `evaluate` of the Keras models refuse, and what graphs make of values that they cannot check."""

import re
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from lxmert.tf.losses import alignment_loss, answer_loss, distribution_loss, index_loss
from tests.bad_inputs import ANSWERING, MODEL, PRETRAINING, floats, given, ints
from tests.small import TASKS, small_config, small_inputs, small_labels
from tests.visual_bert_bad_inputs import ALIGNING, CHOOSING
from tests.visual_bert_bad_inputs import ANSWERING as VISUAL_BERT_ANSWERING
from tests.visual_bert_bad_inputs import MODEL as VISUAL_BERT
from tests.visual_bert_bad_inputs import PRETRAINING as VISUAL_BERT_PRETRAINING
from tests.visual_bert_bad_inputs import REASONING as VISUAL_BERT_REASONING

X = small_inputs()
SCORES = "labels as rows of scores must be between 0 and 1"


@cache
def compiled(name, loss=None):
    """A model that no data gets into."""
    model = getattr(lxmert.tf, f"TF{name}")(small_config(name))
    model.compile("sgd", loss=loss, run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("name", "change", "y", "message"),
    [
        (ANSWERING, {}, ints(3, last=11), "labels must be 0 to 10, or -100 to be ignored; got values from 0 to 11."),
        (ANSWERING, {"labels": ints(3, last=-1)}, None, "labels must be 0 to 10, or -100 to be ignored; got values"),
        (ANSWERING, {"input_ids": ints(3, 5, last=29)}, ints(3), "input_ids must be 0 to 28; got values from 0 to 29."),
        (
            ANSWERING,
            {"visual_feats": floats(*X["visual_feats"].shape, last=np.nan)},
            ints(3),
            "visual_feats must be finite; row 2",
        ),
        (ANSWERING, {"labels": ints(3)}, ints(3), "labels is given twice: in the input dict, and as y."),
        (VISUAL_BERT, {"position_ids": ints(2, 5, last=8)}, floats(2, 24), "position_ids must be 0 to 7"),
        (
            VISUAL_BERT,
            {"visual_token_type_ids": ints(2, 7, last=2)},
            floats(2, 24),
            "visual_token_type_ids must be 0 to 1",
        ),
        (
            VISUAL_BERT_REASONING,
            {"image_text_alignment": ints(2, 7, 4, last=8)},
            ints(2),
            "image_text_alignment must be -1 to 7",
        ),
        (VISUAL_BERT_REASONING, {}, ints(2, last=11), "labels must be 0 to 10"),
        (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=12)}, floats(2, 4, 7), "-1 to 11; got values from 0"),
        (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=-2)}, floats(2, 4, 7), "-1 to 11; got values from -2"),
        (ALIGNING, {}, floats(2, 12, 7, last=1.5), SCORES),
        (CHOOSING, {}, ints(2, last=3), "labels must be 0 to 2"),
        (VISUAL_BERT_ANSWERING, {}, floats(2, 11, last=-0.5), SCORES),
        (VISUAL_BERT_ANSWERING, {"labels": ints(2, last=11)}, None, "labels must be 0 to 10"),
        (
            VISUAL_BERT_PRETRAINING,
            {},
            {"sentence_image_labels": ints(2, last=2)},
            "sentence_image_labels must be 0 to 1",
        ),
        (VISUAL_BERT_PRETRAINING, {"labels": ints(2, 12, last=-1)}, None, "labels must be 0 to 28"),
    ],
)
def test_fit_checks_arrays(name, change, y, message):
    model = compiled(name, "mse" if name == VISUAL_BERT else None)
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=re.escape(message)):
            method(given(change, name), y, verbose=0)


@pytest.mark.parametrize("name", TASKS)
def test_data_without_labels(name):
    names = " or ".join(small_labels(name))
    with pytest.raises(ValueError, match=f"holds no labels to train on. Put {names} into the input dict"):
        compiled(name).fit(small_inputs(name), verbose=0)


NO_LOSS = "has no loss of its own. Compile it with loss=..."


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        (MODEL, {"y": ints(3)}, ValueError, f"TFLxmertModel {NO_LOSS}"),
        (VISUAL_BERT, {"y": ints(2)}, ValueError, f"TFVisualBertModel {NO_LOSS}"),
        (ANSWERING, {"y": ints(3), "sample_weight": np.ones(3)}, ValueError, "sample_weight and class_weight need a"),
        (ANSWERING, {"y": ints(3), "class_weight": {0: 2.0}}, ValueError, "sample_weight and class_weight need a"),
        (PRETRAINING, {"y": ints(3)}, ValueError, "y must be a dict of labels, obj_labels, matched_label, ans"),
        (
            PRETRAINING,
            {"y": {"match_label": ints(3)}},
            TypeError,
            "y of TFLxmertForPreTraining: unexpected keyword 'match_label'. Did you mean 'matched_label'?",
        ),
        (
            ANSWERING,
            {"x": {**X, "input_id": X["input_ids"]}, "y": ints(3)},
            TypeError,
            "unexpected keyword 'input_id'. Did you mean 'input_ids'?",
        ),
        (VISUAL_BERT_PRETRAINING, {"y": ints(2)}, ValueError, "y must be a dict of labels, sentence_image_labels"),
        (
            VISUAL_BERT_PRETRAINING,
            {"y": {"sentence_label": ints(2)}},
            TypeError,
            "Did you mean 'sentence_image_labels'?",
        ),
        (VISUAL_BERT_ANSWERING, {"y": {"answers": ints(2)}}, TypeError, "unexpected keyword 'answers'."),
    ],
)
def test_wrong_data_to_fit(name, data, error, message):
    with pytest.raises(error, match=re.escape(message)):
        compiled(name).fit(**{"x": small_inputs(name), **data}, verbose=0)


def test_a_compiled_loss_needs_its_y():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="was compiled with a loss, which reads its labels from y; got no y"):
        compiled(ANSWERING, loss).fit({**X, "labels": ints(3)}, verbose=0)


# Graphs: values cannot be read while one is traced


LOOKED_UP = {
    MODEL: {"input_ids": ints(3, 5, last=29)},
    VISUAL_BERT: {
        "token_type_ids": ints(2, 5, last=2),
        "position_ids": ints(2, 5, last=8),
        "visual_token_type_ids": ints(2, 7, last=-1),
        "image_text_alignment": ints(2, 7, 4, last=8),
    },
}


@pytest.fixture(scope="module")
def models():
    """The models of the tests of graphs, to be left as they are."""
    return {name: getattr(lxmert.tf, f"TF{name}")(small_config(name)) for name in (*LOOKED_UP, ALIGNING)}


@pytest.fixture(scope="module")
def graphs(models):
    """Both kinds of graph of each backbone, traced once for all arguments that are looked up in a table."""
    return {name: (tf.function(models[name]), tf.function(models[name], jit_compile=True)) for name in LOOKED_UP}


@pytest.mark.parametrize(("name", "argument"), [(name, key) for name, rows in LOOKED_UP.items() for key in rows])
def test_a_graph_meets_what_is_in_no_table(graphs, name, argument):
    """On a CPU TensorFlow's lookup refuses it when it runs; under XLA it would take another row, and gives NaN here."""
    right = {key: np.zeros_like(values) for key, values in LOOKED_UP[name].items()}
    inputs = {**small_inputs(name), **right, argument: LOOKED_UP[name][argument]}
    inputs = {key: tf.constant(values) for key, values in inputs.items()}
    plain, xla = graphs[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        plain(inputs)
    states = xla(inputs)[0]
    assert np.isnan(states[-1]).any()
    assert np.isfinite(states[0]).all()


def test_a_graph_meets_phrases_that_are_nowhere(models):
    for graph in (tf.function(models[ALIGNING]), tf.function(models[ALIGNING], jit_compile=True)):
        for place in (12, -2):
            inputs = given({"region_to_phrase_position": ints(2, 12, last=place)}, ALIGNING)
            scores = graph({name: tf.constant(values) for name, values in inputs.items()}).logits
            assert np.isnan(scores[-1, -1]).any()
            assert np.isfinite(scores[0]).all()
            assert np.isfinite(scores[-1, :-1]).all()


@pytest.mark.parametrize(
    ("loss", "right", "wrong"),
    [
        (index_loss, ints(2, last=4), ints(2, last=5)),
        # Left alone, -1 would train the last answer, and under XLA 5 would as well.
        (answer_loss, ints(2, last=-100), ints(2, last=-1)),
        (answer_loss, ints(2, last=4), ints(2, last=5)),
        (distribution_loss, ints(2, last=4), ints(2, last=-1)),
        (distribution_loss, floats(2, 5, last=1), floats(2, 5, last=1.5)),
        (distribution_loss, floats(2, 5, last=1), floats(2, 5, last=-0.5)),
        (alignment_loss, floats(2, 3, 5, last=1), floats(2, 3, 5, last=-0.5)),
    ],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_wrong_labels_show_in_the_loss_of_a_graph(loss, right, wrong, jit_compile):
    shape = wrong.shape if wrong.ndim > 1 else (2, 5)
    scores = tf.constant(np.arange(np.prod(shape), dtype="float32").reshape(shape))
    graph = tf.function(loss, jit_compile=jit_compile)
    assert np.isfinite(graph(scores, tf.constant(right)))
    assert np.isnan(graph(scores, tf.constant(wrong)))
