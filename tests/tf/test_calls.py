"""How a Keras model takes its inputs and hands out its outputs, alone and inside a user's model or graph."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from lxmert.tf import TFLxmertForVisualReasoning, TFLxmertForVisualReasoningOutput
from tests.small import (
    LABELS,
    NAMES,
    everything,
    is_visual_bert,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ANSWERING = "LxmertForQuestionAnswering"
ALIGNMENT, CHOICE = "VisualBertForRegionToPhraseAlignment", "VisualBertForMultipleChoice"
every_name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def models():
    """Every model, to be left as it is."""
    return {name: getattr(lxmert.tf, f"TF{name}")(small_config(name)) for name in NAMES}


def equal(found, expected, atol=1e-6):
    found, expected = ([*x.values()] if isinstance(x, dict) else list(x) for x in (found, expected))
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), found, expected)


def symbolic(name):
    """Inputs, and placeholders of their shapes."""
    x = {**small_inputs(name), **small_options(name)}
    x.pop("head_mask", None)  # it has no axis of examples, which a symbolic input has
    return x, {key: keras.Input(values.shape[1:], dtype=values.dtype.name, name=key) for key, values in x.items()}


# Inputs


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "LxmertForVisualReasoning", CHOICE, ALIGNMENT])
def test_keywords_a_dict_and_a_list_mean_the_same(models, name):
    model, x = models[name], everything(name)
    expected = model(**x)
    order = list(model.keywords())
    in_order = [x.get(key) for key in order[: 1 + max(order.index(key) for key in x)]]
    as_tensors = keras.tree.map_structure(lambda value: value if value is None else tf.constant(value), in_order)
    equal(model(x), expected)
    equal(model(in_order), expected)
    equal(model(tuple(as_tensors)), expected)
    equal(model(*in_order), expected)
    equal(model(x["input_ids"], **{key: x[key] for key in x if key != "input_ids"}), expected)
    assert ("loss" in expected) == (not name.endswith("Model"))


@every_name
def test_the_defaults(models, name):
    x = small_inputs(name)
    words = x["input_ids"].shape
    regions = next(values for key, values in x.items() if key in ("visual_feats", "visual_embeds")).shape[:-1]
    needed = {key: values for key, values in x.items() if "mask" not in key and "type" not in key}
    defaults = {
        "attention_mask": np.ones(words, dtype="int32"),
        "token_type_ids": np.zeros(words, dtype="int32"),
        "visual_attention_mask": np.ones(regions, dtype="int32"),
    }
    if is_visual_bert(name):
        defaults |= {
            "position_ids": np.broadcast_to(np.arange(5), words),
            "head_mask": np.ones(3),
            "visual_token_type_ids": np.ones(regions, dtype="int32"),
            "image_text_alignment": np.full((*regions, 2), -1),
        }
    equal(models[name]({**needed, **defaults}), models[name](needed))


@every_name
def test_choices_may_stand_in_the_dict(models, name):
    x, rows = small_inputs(name), {CHOICE: 6, "LxmertForVisualReasoning": 6}.get(name)
    rows = rows or len(x["input_ids"])
    output = models[name]({**x, "output_hidden_states": True, "output_attentions": "all"})
    if is_visual_bert(name):
        assert [values.shape for values in output.hidden_states] == [(rows, 12, 24)] * 3
        assert [values.shape for values in output.attentions] == [(rows, 3, 12, 12)] * 2
    else:
        assert [values.shape for values in output.language_hidden_states] == [(rows, 5, 24)] * 2
        assert output.cross_encoder_vision_attentions[0].shape == (rows, 3, 7, 5)
    assert isinstance(models[name]({**x, "return_dict": False}), tuple)


@pytest.mark.parametrize("form", ["dict", "list"])
def test_an_input_given_twice(models, form):
    x = small_inputs()
    given = x if form == "dict" else [x["input_ids"], x["visual_feats"], x["visual_pos"]]
    with pytest.raises(TypeError, match="visual_pos is given twice"):
        models["LxmertModel"](given, visual_pos=x["visual_pos"])


def test_a_list_longer_than_the_arguments(models):
    with pytest.raises(TypeError, match="TFLxmertModel takes at most 12 inputs; got 13"):
        models["LxmertModel"]([small_inputs()["input_ids"]] * 13)


# Graphs


@pytest.mark.parametrize(
    "name",
    [
        ANSWERING,
        CHOICE,
        *(pytest.param(f"{model}ForPreTraining", marks=pytest.mark.full) for model in ("Lxmert", "VisualBert")),
    ],
)
def test_tf_function(models, name):
    output, expected = tf.function(models[name])(everything(name)), models[name](everything(name))
    assert type(output) is type(expected)
    equal(output, expected)


@pytest.mark.parametrize(
    "name", [ALIGNMENT, *(pytest.param(name, marks=pytest.mark.full) for name in ("VisualBertForPreTraining", CHOICE))]
)
def test_a_graph_of_unknown_sizes(models, name):
    signature = {}
    for key, value in {**small_inputs(name), **small_labels(name)}.items():
        last = [9] if key == "visual_embeds" else []
        signature[key] = tf.TensorSpec([None] * (value.ndim - len(last)) + last, value.dtype)
    graph = tf.function(models[name], input_signature=[signature])
    for sizes in ((2, 5, 7), (4, 3, 2)):
        given = {**small_inputs(name, *sizes), **small_labels(name, *sizes)}
        equal(graph({key: tf.constant(value) for key, value in given.items()}), models[name](given), atol=1e-5)


# Inside another model


@every_name
def test_a_functional_model_of_a_dict_gives_the_whole_output(models, name):
    x, inputs = symbolic(name)
    output = keras.Model(inputs, models[name](inputs))(x)
    assert type(output) is type(models[name](x))
    equal(output, models[name](x))


@pytest.mark.parametrize("name", [ANSWERING, ALIGNMENT])
def test_a_functional_model_is_made_of_it_trained_and_saved(models, name, tmp_path):
    """Its scores feed another layer here, so that gradients flow through the whole."""
    x, inputs = symbolic(name)
    scores = [keras.layers.Flatten()(values) for values in models[name](**inputs).values()]
    verdict = keras.layers.Dense(2, name="verdict")(keras.ops.concatenate([*scores, scores[0]], axis=1))
    model = keras.Model(inputs, verdict)
    model.compile(keras.optimizers.SGD(0.001), loss=CROSS_ENTROPY, run_eagerly=True)
    x["visual_attention_mask"] = np.ones_like(x["visual_attention_mask"])  # a masked region has a huge logit
    losses = model.fit(x, np.array([0, 1, 1])[: len(x["input_ids"])], epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "verdict.keras")
    equal([keras.models.load_model(tmp_path / "verdict.keras")(x)], [model(x)])


@pytest.mark.parametrize("each", [False, True])
def test_a_functional_model_of_two_images(each):
    """Of any batch size, length and number of regions; with a sentence for both images, or one for each."""
    reasoning, name = TFLxmertForVisualReasoning(small_config()), "LxmertForVisualReasoning"
    words = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {}
    for key, values in small_inputs(name).items():
        free = (None,) if key in words else (2, None)
        shape = (2, None) if each and key in words else (*free, *values.shape[3:])
        inputs[key] = keras.Input(shape, dtype=values.dtype.name, name=key)
    model = keras.Model(inputs, reasoning(inputs))
    for sizes in ((3, 5, 7), (1, 2, 4)):
        x = small_inputs(name, *sizes)
        if each:
            x |= {key: np.stack([x[key]] * 2, axis=1) for key in words}
        output = model(x)
        assert isinstance(output, TFLxmertForVisualReasoningOutput)
        equal(output, reasoning(x))


def test_a_functional_model_gives_the_scores(models):
    x, inputs = symbolic(ANSWERING)
    model = keras.Model(inputs, models[ANSWERING](inputs).question_answering_score)
    assert model.output_shape == (None, LABELS)
    equal([model.predict(x, verbose=0)], [models[ANSWERING](x).question_answering_score])


class Verdict(keras.Model):
    """What a user may write around a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.verdict = keras.layers.Dense(2)

    def call(self, inputs, training=False):
        return self.verdict(self.backbone(inputs, training=training).pooled_output)


def test_a_subclassed_model_holds_it():
    backbone = lxmert.tf.TFLxmertModel(small_config())
    model = Verdict(backbone)
    model.compile(keras.optimizers.SGD(0.1), loss=CROSS_ENTROPY, run_eagerly=True)
    # The branch that makes the vision output does not reach the verdict; Keras says so, as it should.
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        losses = model.fit(small_inputs(), np.array([0, 1, 1]), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert len(model.trainable_variables) == len(backbone.trainable_variables) + 2


def test_a_subclassed_model_trains_all_of_a_backbone_without_vision_output(tmp_path):
    backbone = lxmert.tf.TFLxmertModel(small_config(), vision_output=False)
    model = Verdict(backbone)
    model.compile(keras.optimizers.SGD(0.1), loss=CROSS_ENTROPY, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Gradients do not exist")
        model.fit(small_inputs(), np.array([0, 1, 1]), verbose=0)
    backbone.save(tmp_path / "backbone.keras")
    again = keras.models.load_model(tmp_path / "backbone.keras")
    assert list(again(small_inputs())) == ["language_output", "pooled_output"]
    assert len(again.trainable_variables) == len(backbone.trainable_variables)


@every_name
def test_an_output_is_a_structure_of_keras_and_tensorflow(models, name):
    output = models[name](small_inputs(name), output_hidden_states=True)
    shapes = keras.tree.map_structure(lambda x: x.shape[0], output)
    doubled = tf.nest.map_structure(lambda x: x * 2, output)
    for mapped in (shapes, doubled, keras.tree.pack_sequence_as(output, keras.tree.flatten(output))):
        assert type(mapped) is type(output)
        assert list(mapped) == list(output)
    assert len(tf.nest.flatten(output)) == len(keras.tree.flatten(output))
    equal(doubled, [keras.tree.map_structure(lambda x: x * 2, value) for value in output.values()])
    tf.nest.assert_same_structure(doubled, output)


def test_a_functional_model_of_the_whole_output_is_saved(models, tmp_path):
    name = "VisualBertModel"
    x, inputs = symbolic(name)
    model = keras.Model(inputs, models[name](inputs))
    model.save(tmp_path / "whole.keras")
    again = keras.models.load_model(tmp_path / "whole.keras")
    assert {key: values.shape for key, values in again(x).items()} == {k: v.shape for k, v in models[name](x).items()}
    predicted = model.predict(x, verbose=0)
    assert all(isinstance(values, np.ndarray) for values in predicted.values())
    equal(predicted, models[name](x))


def test_shapes_are_told_in_a_graph(models):
    _, inputs = symbolic("LxmertModel")
    inputs["visual_pos"] = keras.Input((6, 4), name="visual_pos")
    with pytest.raises(ValueError, match=r"got visual_feats \[\?, 7, 9\] and visual_pos \[\?, 6, 4\]\."):
        models["LxmertModel"](inputs)
    _, inputs = symbolic(CHOICE)
    inputs["visual_embeds"] = keras.Input((4, 7, 9), name="visual_embeds")
    with pytest.raises(ValueError, match=r"got \[\?, 3, 5\] and \[\?, 4, 7, 9\]\."):
        models[CHOICE](inputs)


# What summary and quantization make of it


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in NAMES), ("VisualBertModel", {"add_pooling_layer": False})]
)
def test_the_summary_shows_shapes(name, options):
    lines = []
    model = getattr(lxmert.tf, f"TF{name}")(small_config(name), **options)
    model.summary(print_fn=lines.append, expand_nested=True)
    text = "\n".join(map(str, lines))
    assert "?" not in text
    assert "(None, None, 24)" in text
    if not is_visual_bert(name):
        scores = {"LxmertModel": "(None, 24)", "LxmertForVisualReasoning": "(None, 2)"}.get(name, f"(None, {LABELS})")
        assert scores in text
    assert f"{model.count_params():,}" in text
    assert model.count_params() == model.num_parameters()
