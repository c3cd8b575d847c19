"""Wrong inputs to the Keras models, and right ones beside them. The table is shared with PyTorch."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from lxmert.tf import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertModel
from lxmert.tf.losses import answer_loss
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.bad_inputs import ANSWERING, MODEL, PRETRAINING, REASONING, RIGHT, WRONG, given, ints
from tests.small_lxmert import answer_indices, small_config, small_inputs

X = small_inputs()
ANSWER = answer_indices()
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


MODELS = (MODEL, PRETRAINING, ANSWERING, REASONING)


@pytest.fixture(scope="module")
def models():
    return {name: getattr(lxmert.tf, f"TF{name}")(small_config()) for name in MODELS}


@pytest.mark.parametrize("form", ["keywords", "dict"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_wrong_inputs(models, wrong, form):
    inputs = given(wrong.change, wrong.model)
    with pytest.raises(wrong.error, match=re.escape(wrong.message)):
        models[wrong.model](**inputs) if form == "keywords" else models[wrong.model](inputs)


@pytest.mark.parametrize("what", RIGHT)
def test_right_inputs(models, what):
    name, change = RIGHT[what]
    output = models[name](given(change, name))
    assert all(np.isfinite(values).all() for values in output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": "a red cat"}, "input_ids must be a tensor or an array; got str."),
        (
            {"visual_feats": X["visual_feats"].tolist()},
            "visual_feats must be a tensor or an array; got list. Use np.asarray(...).",
        ),
    ],
    ids=["text", "a list"],
)
def test_what_is_no_tensor(models, change, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        models[MODEL](**given(change))


def test_labels_that_are_no_tensors(models):
    with pytest.raises(TypeError, match=re.escape("labels must be a tensor or an array; got list.")):
        models[ANSWERING](**given({"labels": [0, 1, 2]}))


@pytest.mark.parametrize("form", ["dict", "list"])
def test_an_input_given_twice(models, form):
    inputs = given({}) if form == "dict" else [X["input_ids"], X["visual_feats"], X["visual_pos"]]
    with pytest.raises(TypeError, match="visual_pos is given twice"):
        models[MODEL](inputs, visual_pos=X["visual_pos"])


@pytest.mark.parametrize(
    ("change", "y", "message"),
    [
        ({}, ints(3, last=11), "labels must be 0 to 10, or -100 to be ignored; got values from 0 to 11."),
        ({"labels": ints(3, last=-1)}, None, "labels must be 0 to 10, or -100 to be ignored; got values from -1 to 0."),
        ({"input_ids": ints(3, 5, last=29)}, ints(3), "input_ids must be 0 to 28; got values from 0 to 29."),
        ({"labels": ints(3)}, ints(3), "labels is given twice: in the input dict, and as y."),
    ],
    ids=["y", "in the dict", "ids", "twice"],
)
def test_fit_looks_at_arrays(change, y, message):
    model = lxmert.tf.TFLxmertForQuestionAnswering(small_config())
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(given(change), y, verbose=0)


def test_a_list_longer_than_the_arguments(models):
    with pytest.raises(TypeError, match="TFLxmertModel takes at most 12 inputs; got 13"):
        models[MODEL]([X["input_ids"]] * 13)


@pytest.mark.parametrize("kind", [TFLxmertModel, TFLxmertForPreTraining, TFLxmertForQuestionAnswering])
@pytest.mark.parametrize("config", [None, {}, "folder"])
def test_a_config_of_the_wrong_type(kind, config):
    with pytest.raises(TypeError, match=f"{kind.__name__} is made from a LxmertConfig; got {type(config).__name__}"):
        kind(config)


# compile and fit


def compiled(kind, **options):
    model = kind(small_config())
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True, **options)
    return model


@pytest.mark.parametrize(
    ("kind", "data", "error", "message"),
    [
        (
            TFLxmertForQuestionAnswering,
            {"x": X},
            ValueError,
            "holds no labels to train on. Put labels into the input dict",
        ),
        (
            TFLxmertForPreTraining,
            {"x": X},
            ValueError,
            "Put labels or obj_labels or matched_label or ans into the input dict",
        ),
        (
            TFLxmertModel,
            {"x": X, "y": ANSWER},
            ValueError,
            "TFLxmertModel has no loss of its own. Compile it with loss=...",
        ),
        (
            TFLxmertForQuestionAnswering,
            {"x": X, "y": ANSWER, "sample_weight": np.ones(3)},
            ValueError,
            "sample_weight and class_weight need a compiled loss",
        ),
        (
            TFLxmertForPreTraining,
            {"x": X, "y": ANSWER},
            ValueError,
            "y must be a dict of labels, obj_labels, matched_label, ans",
        ),
        (
            TFLxmertForPreTraining,
            {"x": X, "y": {"match_label": ints(3)}},
            TypeError,
            "y of TFLxmertForPreTraining: unexpected keyword 'match_label'. Did you mean 'matched_label'?",
        ),
        (
            TFLxmertForQuestionAnswering,
            {"x": {**X, "input_id": X["input_ids"]}, "y": ANSWER},
            TypeError,
            "unexpected keyword 'input_id'. Did you mean 'input_ids'?",
        ),
        (
            TFLxmertForQuestionAnswering,
            {"x": X, "y": ANSWER + 11},
            ValueError,
            "labels must be 0 to 10, or -100 to be ignored",
        ),
        (
            TFLxmertForQuestionAnswering,
            {"x": given({"input_ids": ints(3, 5, last=29)}), "y": ANSWER},
            ValueError,
            "input_ids must be 0 to 28",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_wrong_data_to_fit(kind, data, error, message):
    with pytest.raises(error, match=re.escape(message)):
        compiled(kind).fit(**data, verbose=0)


def test_class_weights_need_a_compiled_loss():
    with pytest.raises(ValueError, match="sample_weight and class_weight need a compiled loss"):
        compiled(TFLxmertForQuestionAnswering).fit(X, ANSWER, class_weight={0: 2.0}, verbose=0)


def test_a_compiled_loss_needs_its_y():
    with pytest.raises(ValueError, match="was compiled with a loss, which reads its labels from y; got no y"):
        compiled(TFLxmertForQuestionAnswering, loss=CROSS_ENTROPY).fit({**X, "labels": ANSWER}, verbose=0)


@pytest.mark.parametrize("wrong", [29, -1])
def test_a_graph_meets_wrong_ids(wrong):
    # Values cannot be looked at while a graph is traced. On a processor TensorFlow's lookup refuses them when it runs;
    # under XLA it would take another row, and gives NaN instead.
    model = TFLxmertModel(small_config())
    inputs = {name: tf.constant(values) for name, values in given({"input_ids": ints(3, 5, last=wrong)}).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        tf.function(model)(inputs)
    output = tf.function(model, jit_compile=True)(inputs)
    assert np.isnan(output.language_output[-1]).any()
    assert np.isfinite(output.language_output[0]).all()


@pytest.mark.parametrize("label", [-1, 11])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_label_that_is_no_class_shows_in_the_loss_of_a_graph(jit_compile, label):
    # Left alone, -1 would train the last answer, and under XLA 11 would as well.
    loss = tf.function(answer_loss, jit_compile=jit_compile)
    scores = tf.constant(X["visual_feats"][:, 0, :1] + np.arange(11, dtype="float32"))
    assert np.isnan(loss(scores, tf.constant([0, 1, label])))
    assert np.isfinite(loss(scores, tf.constant([0, 1, -100])))


def test_shapes_are_told_in_a_graph():
    inputs = {name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name) for name, values in X.items()}
    inputs["visual_pos"] = keras.Input((6, 4), name="visual_pos")
    with pytest.raises(ValueError, match=re.escape("got visual_feats [?, 7, 9] and visual_pos [?, 6, 4].")):
        TFLxmertModel(small_config())(inputs)


# from_pretrained


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TFLxmertModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        TFLxmertModel.from_pretrained(tmp_path)


def test_folders_that_do_not_fit(tmp_path):
    TFLxmertForQuestionAnswering(small_config()).save_pretrained(tmp_path)
    load = TFLxmertForPreTraining.from_pretrained
    with pytest.raises(CheckpointMismatchError, match="Nothing was loaded"):
        load(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="num_qa_labels"):
        TFLxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_labels=5)
    with pytest.raises(CheckpointMismatchError, match="layer"):
        TFLxmertModel.from_pretrained(tmp_path, l_layers=2)
    with pytest.raises(TypeError, match="Did you mean 'num_qa_labels'"):
        TFLxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_label=5)
    with pytest.raises(ValueError, match='only must be None or "backbone"'):
        TFLxmertForQuestionAnswering.from_pretrained(tmp_path, only="heads")
