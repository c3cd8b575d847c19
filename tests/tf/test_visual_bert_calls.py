"""How a Keras VisualBERT takes its inputs and hands out its outputs, alone and inside a user's model or graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CHOOSING,
    CLASSES,
    MODEL,
    NAMES,
    PRETRAINING,
    TASKS,
    UNUSED,
    WORDS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
SHAPES = {
    MODEL: {"last_hidden_state": (2, 12, 24), "pooler_output": (2, 24)},
    PRETRAINING: {"prediction_logits": (2, 12, WORDS), "seq_relationship_logits": (2, 2)},
    CHOOSING: {"logits": (2, 3)},
    ALIGNING: {"logits": (2, 12, 7)},
}
every_name = pytest.mark.parametrize("name", NAMES)
every_task = pytest.mark.parametrize("name", TASKS)


def make(name, **changes):
    return getattr(lxmert.tf, f"TF{name}")(small_config(**changes))


@pytest.fixture(scope="module")
def models():
    return {name: make(name) for name in NAMES}


def equal(found, expected, atol=1e-6):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), list(found), list(expected))


def symbolic(name):
    """Inputs, and placeholders of their shapes."""
    x = {**small_inputs(name), **small_options(name)}
    del x["head_mask"]  # it has no axis of examples, which a symbolic input has
    return x, {key: keras.Input(values.shape[1:], dtype=values.dtype.name, name=key) for key, values in x.items()}


def loss_of(model, x, **options):
    output = model(x, **options)
    return output.loss if "loss" in output else keras.ops.mean(output.pooler_output)


# Inputs


@every_name
def test_keywords_a_dict_and_a_list_mean_the_same(models, name):
    model, x = models[name], {**small_inputs(name), **small_options(name), **small_labels(name)}
    expected = model(**x)
    in_order = [x.get(key) for key in model.keywords()]
    equal(model(x), expected)
    equal(model(in_order), expected)
    equal(model(tuple(value if value is None else tf.constant(value) for value in in_order)), expected)
    equal(model(*in_order), expected)
    equal(model(x["input_ids"], **{key: x[key] for key in x if key != "input_ids"}), expected)
    assert "loss" in expected or name == MODEL


@every_name
def test_the_defaults(models, name):
    x = small_inputs(name)
    lead = x["input_ids"].shape[:-1]
    needed = {key: values for key, values in x.items() if "mask" not in key and "type" not in key}
    defaults = {
        "attention_mask": np.ones((*lead, 5), dtype="int32"),
        "token_type_ids": np.zeros((*lead, 5), dtype="int32"),
        "position_ids": np.broadcast_to(np.arange(5), (*lead, 5)),
        "head_mask": np.ones(3),
        "visual_attention_mask": np.ones((*lead, 7), dtype="int32"),
        "visual_token_type_ids": np.ones((*lead, 7), dtype="int32"),
        "image_text_alignment": np.full((*lead, 7, 2), -1),
    }
    equal(models[name]({**needed, **defaults}), models[name](needed))


@every_name
def test_choices_may_stand_in_the_dict(models, name):
    x = small_inputs(name)
    output = models[name]({**x, "output_hidden_states": True, "output_attentions": True})
    rows = 6 if name == CHOOSING else 2
    assert [values.shape for values in output.hidden_states] == [(rows, 12, 24)] * 3
    assert [values.shape for values in output.attentions] == [(rows, 3, 12, 12)] * 2
    assert isinstance(models[name]({**x, "return_dict": False}), tuple)


# Outputs


@every_name
def test_outputs_answer_to_names_and_places(models, name):
    output = models[name](small_inputs(name))
    kind = {MODEL: "TFVisualBertModelOutput", PRETRAINING: "TFVisualBertForPreTrainingOutput"}
    assert type(output) is getattr(lxmert.tf, kind.get(name, "TFVisualBertTaskOutput"))
    assert {key: tuple(value.shape) for key, value in output.items()} == SHAPES.get(name, {"logits": (2, CLASSES)})
    last = output.keys()[-1]
    assert output[last] is getattr(output, last) is output[-1] is output.to_tuple()[-1]


@every_name
def test_dropout_is_on_in_training_only(name):
    model, x = make(name, **DROPOUT), small_inputs(name)
    first, again = (np.asarray(model(x, training=True)[-1]) for _ in range(2))
    assert np.abs(first - again).max() > 1e-3
    equal(model(x), model(x), atol=0)


def test_a_backbone_without_pooler():
    model = lxmert.tf.TFVisualBertModel(small_config(), add_pooling_layer=False)
    assert model(small_inputs()).keys() == ("last_hidden_state",)
    assert not any("pooler" in variable.path for variable in model.variables)


# Gradients and graphs


@every_task
def test_every_trainable_variable_gets_a_gradient(models, name):
    model, x = models[name], {**small_inputs(name), **small_options(name), **small_labels(name)}
    with tf.GradientTape() as tape:
        loss = model(x, training=True).loss
    gradients = tape.gradient(loss, model.trainable_variables)
    assert [v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None] == []
    assert {p.module for p, variable in model.weights_by_name() if not variable.trainable} == UNUSED.get(name, set())


@pytest.mark.parametrize(("name", "bypass"), [*((name, False) for name in NAMES), (MODEL, True)])
def test_gradient_checkpointing_repeats_the_draws_of_dropout(name, bypass):
    model = make(name, **DROPOUT, bypass_transformer=bypass)
    x = {**small_inputs(name), **small_options(name), **small_labels(name)}

    def gradients():
        for part in model._flatten_layers():
            if isinstance(part, keras.layers.Dropout):
                part.seed_generator.state.assign([1, 2])
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, training=True)
        return tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")

    expected = gradients()
    model.gradient_checkpointing_enable()
    equal(gradients(), expected)
    model.gradient_checkpointing_disable()
    equal(gradients(), expected)


@every_name
def test_tf_function(models, name):
    x = {**small_inputs(name), **small_options(name), **small_labels(name)}
    output = tf.function(models[name])(x)
    expected = models[name](x)
    assert type(output) is type(expected)
    equal(output, expected)


@pytest.mark.parametrize("name", [PRETRAINING, CHOOSING, ALIGNING])
def test_a_graph_of_unknown_sizes(models, name):
    x = {**small_inputs(name), **small_labels(name)}
    signature = {
        key: tf.TensorSpec(
            [None] * (value.ndim - (key == "visual_embeds")) + [9] * (key == "visual_embeds"), value.dtype
        )
        for key, value in x.items()
    }
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


@pytest.mark.parametrize("name", [PRETRAINING, CHOOSING, ALIGNING])
def test_a_functional_model_is_made_of_it_trained_and_saved(models, name, tmp_path):
    x, inputs = symbolic(name)
    output = models[name](**inputs)
    scores = keras.ops.concatenate([keras.layers.Flatten()(values) for values in output], axis=1)
    model = keras.Model(inputs, keras.layers.Dense(2, name="verdict")(scores))
    model.compile(
        keras.optimizers.SGD(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    x["visual_attention_mask"] = np.ones_like(x["visual_attention_mask"])  # a masked region has a huge logit
    losses = model.fit(x, np.array([0, 1]), epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "verdict.keras")
    equal([keras.models.load_model(tmp_path / "verdict.keras")(x)], [model(x)])


def test_answers_do_not_depend_on_the_labels(models):
    x, labels = small_inputs(ANSWERING), small_labels(ANSWERING)
    equal([models[ANSWERING](x, **labels).logits], [models[ANSWERING](x).logits], atol=0)


@pytest.mark.parametrize("name", [ANSWERING, ALIGNING])
def test_a_mask_keeps_what_is_not_zero(models, name):
    x = {**small_inputs(name), **small_labels(name)}
    halves = {key: x[key] * 0.5 for key in ("attention_mask", "visual_attention_mask")}
    equal(models[name]({**x, **halves}), models[name](x), atol=0)
