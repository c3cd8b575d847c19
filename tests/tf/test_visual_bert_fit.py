"""`compile`, `fit`, `evaluate` and `predict` of the Keras VisualBERT models: losses, metrics, kinds of data, graphs.

A warning is an error here, so that none of them says "gradients do not exist".
"""

import itertools

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
    REASONING,
    TASKS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

BATCH = 4
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
every_name = pytest.mark.parametrize("name", NAMES)
every_task = pytest.mark.parametrize("name", TASKS)


def compiled(name, rate=0.01, run_eagerly=True, **options):
    """Plain gradient descent; tracing a graph takes seconds, so only the tests of graphs ask for one."""
    model = getattr(lxmert.tf, f"TF{name}")(small_config())
    model.compile(keras.optimizers.SGD(rate), run_eagerly=run_eagerly, **{"jit_compile": False, **options})
    return model


def inputs(name):
    """Everything that has an axis of examples."""
    options = small_options(name, BATCH)
    del options["head_mask"]
    return {**small_inputs(name, BATCH), **options}


def labels(name):
    return small_labels(name, BATCH)


def losses_of(history):
    return history.history["loss"]


# The model's own loss


@pytest.mark.parametrize(("name", "place"), [*((name, "input") for name in TASKS), (PRETRAINING, "y"), (ALIGNING, "y")])
def test_labels_train_on_the_own_loss(name, place):
    model, x = compiled(name), inputs(name)
    expected = float(model(x, **labels(name)).loss)
    data = ({**x, **labels(name)},) if place == "input" else (x, labels(name))
    history = losses_of(model.fit(*data, epochs=3, verbose=0))
    assert history[0] == pytest.approx(expected, rel=1e-5)
    assert all(later < earlier for earlier, later in itertools.pairwise(history))


@pytest.mark.parametrize("name", TASKS[1:])
def test_the_only_labels_may_be_y_themselves(name):
    model, x = compiled(name), inputs(name)
    expected = float(model(x, **labels(name)).loss)
    assert model.evaluate(x, labels(name)["labels"], batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert losses_of(model.fit(x, labels(name)["labels"], verbose=0)) == pytest.approx([expected], rel=1e-5)


def test_labels_of_pretraining_by_themselves_and_in_both_places():
    model, x, given = compiled(PRETRAINING), inputs(PRETRAINING), labels(PRETRAINING)
    words, match = {"labels": given["labels"]}, {"sentence_image_labels": given["sentence_image_labels"]}
    alone = [float(model.test_on_batch(x, part)) for part in (words, match)]
    assert model.test_on_batch({**x, **words}, match) == pytest.approx(sum(alone), rel=1e-5)
    for part in (words, match):
        history = losses_of(compiled(PRETRAINING).fit(x, part, epochs=2, verbose=0))
        assert history[1] < history[0]


@pytest.mark.parametrize(
    "given",
    [
        np.array([0, 3, 10, 7]),
        np.array([[0], [3], [10], [7]]),
        np.array([0, -100, 10, 7]),
        np.eye(CLASSES)[[0, 3, 10, 7]],
    ],
    ids=["indices", "a column", "some ignored", "one-hot"],
)
def test_answers_train_in_every_form(given):
    history = losses_of(compiled(ANSWERING).fit(inputs(ANSWERING), given, epochs=2, verbose=0))
    assert history[1] < history[0]


@pytest.mark.parametrize("name", [CHOOSING, REASONING])
@pytest.mark.parametrize("place", ["input", "y"])
def test_metrics_beside_the_own_loss(name, place):
    model, x, given = compiled(name, metrics=["accuracy"]), inputs(name), labels(name)
    data = ({**x, **given},) if place == "input" else (x, given["labels"])
    found = model.evaluate(*data, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(float(model(x, **given).loss), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(np.asarray(model(x).logits).argmax(-1) == given["labels"]))


def test_metrics_of_other_outputs():
    model = compiled(PRETRAINING, metrics={"seq_relationship_logits": ["accuracy"]})
    x, match = inputs(PRETRAINING), labels(PRETRAINING)["sentence_image_labels"]
    found = model.evaluate(x, {"sentence_image_labels": match}, verbose=0, return_dict=True)
    right = np.asarray(model(x).seq_relationship_logits).argmax(-1) == match
    assert found["accuracy"] == pytest.approx(np.mean(right))
    aligned = compiled(ALIGNING, metrics=["categorical_accuracy"])
    found = aligned.evaluate(inputs(ALIGNING), labels(ALIGNING), verbose=0, return_dict=True)
    assert 0 <= found["categorical_accuracy"] <= 1


def test_the_config_may_ask_for_tuples():
    model, x = lxmert.tf.TFVisualBertForQuestionAnswering(small_config(return_dict=False)), inputs(ANSWERING)
    model.compile("sgd", run_eagerly=True)
    expected = float(model(x, **labels(ANSWERING))[0])
    assert losses_of(model.fit(x, labels(ANSWERING), verbose=0)) == pytest.approx([expected], rel=1e-5)
    assert model.predict(x, verbose=0).logits.shape == (BATCH, CLASSES)


# A loss that the user compiles in


@pytest.mark.parametrize(
    ("name", "loss", "truth"),
    [
        (MODEL, "mse", np.zeros((BATCH, 24), dtype="float32")),
        (CHOOSING, CROSS_ENTROPY, np.array([0, 1, 2, 0])),
        (ANSWERING, keras.losses.BinaryCrossentropy(from_logits=True), np.eye(CLASSES, dtype="float32")[:BATCH]),
        (REASONING, CROSS_ENTROPY, np.array([0, 1, 10, 0])),
        (PRETRAINING, {"seq_relationship_logits": CROSS_ENTROPY}, {"seq_relationship_logits": np.array([0, 1, 1, 0])}),
        (ALIGNING, CROSS_ENTROPY, np.zeros((BATCH, 12), dtype="int64")),
    ],
    ids=[MODEL, CHOOSING, ANSWERING, REASONING, PRETRAINING, ALIGNING],
)
def test_compiled_losses(name, loss, truth):
    model, x = compiled(name, loss=loss), inputs(name)
    x["visual_attention_mask"] = np.ones_like(x["visual_attention_mask"])  # a masked region has a huge loss
    history = losses_of(model.fit(x, truth, epochs=3, verbose=0))
    assert history[-1] < history[0]
    if callable(loss):
        again = compiled(name, loss=loss)
        assert again.evaluate(x, truth, verbose=0) == pytest.approx(float(loss(truth, again(x).logits)), rel=1e-5)


def test_sample_weights():
    model, x, truth = compiled(REASONING, loss=CROSS_ENTROPY), inputs(REASONING), labels(REASONING)["labels"]
    each = keras.losses.sparse_categorical_crossentropy(truth, model(x).logits, from_logits=True)
    weights = np.array([0.0, 1.0, 2.0, 0.5], dtype="float32")
    found = model.test_on_batch(x, truth, sample_weight=weights)
    assert found == pytest.approx(np.mean(np.asarray(each) * weights), rel=1e-5)


# Predictions


@every_name
def test_predict_gives_what_a_call_gives(name):
    model = getattr(lxmert.tf, f"TF{name}")(small_config(output_hidden_states=True, output_attentions=True))
    model.compile("sgd", run_eagerly=True)
    found, expected = model.predict({**inputs(name), **labels(name)}, batch_size=3, verbose=0), model(inputs(name))
    assert type(found) is type(expected)
    assert found.keys() == expected.keys()
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.to_tuple(), expected.to_tuple()
    )


# Kinds of data and graphs


@every_task
def test_data_sets_of_unequal_batches(name):
    data, x = {**inputs(name), **labels(name)}, inputs(name)
    model = compiled(name)
    expected = float(model(data).loss)
    if name != PRETRAINING:  # its words are averaged over each batch
        found = model.evaluate(tf.data.Dataset.from_tensor_slices(data).batch(3), verbose=0)
        assert found == pytest.approx(expected, rel=1e-5)
    pairs = tf.data.Dataset.from_tensor_slices((x, labels(name))).batch(3)
    history = losses_of(model.fit(pairs, epochs=2, shuffle=False, verbose=0))
    assert history[1] < history[0]
    first = {key: value[:1] for key, value in x.items()}
    found = model.predict(first, verbose=0)[0]
    np.testing.assert_allclose(found, model(first)[0], atol=1e-6)


def test_a_generator_may_give_a_mask_of_heads():
    x = {**small_inputs(REASONING, BATCH), "head_mask": np.array([1.0, 0.0, 0.5], dtype="float32")}
    model = compiled(REASONING, run_eagerly=False)
    expected = float(model(x, **labels(REASONING)).loss)
    batches = ((x, labels(REASONING)) for _ in range(2))
    assert model.evaluate(batches, steps=2, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_inputs_as_a_list():
    model, x = compiled(ANSWERING), small_inputs(ANSWERING, BATCH)
    order = [x[key] for key in ("input_ids", "attention_mask", "token_type_ids")]
    expected = float(model(order, **labels(ANSWERING)).loss)
    assert losses_of(model.fit(order, labels(ANSWERING)["labels"], verbose=0)) == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "jit_compile"), [(PRETRAINING, False), (CHOOSING, False), (ANSWERING, True), (ALIGNING, True)]
)
def test_a_graph_trains_as_calls_do(name, jit_compile):
    eager, graph = compiled(name), compiled(name, run_eagerly=False, jit_compile=jit_compile)
    graph.set_weights(eager.get_weights())
    data = {**inputs(name), **labels(name)}
    expected = losses_of(eager.fit(data, epochs=2, verbose=0))
    assert losses_of(graph.fit(data, epochs=2, verbose=0)) == pytest.approx(expected, rel=1e-4)
    assert expected[1] < expected[0]


def test_a_graph_validates_and_predicts_unequal_batches():
    eager, graph = compiled(REASONING, loss=CROSS_ENTROPY), compiled(REASONING, loss=CROSS_ENTROPY, run_eagerly=False)
    graph.set_weights(eager.get_weights())
    x, truth = inputs(REASONING), labels(REASONING)["labels"]
    options = dict(epochs=2, batch_size=3, shuffle=False, verbose=0)
    expected = losses_of(eager.fit(x, truth, **options))
    history = graph.fit(x, truth, validation_data=(x, truth), **options).history
    assert history["loss"] == pytest.approx(expected, rel=1e-4)
    assert history["val_loss"][-1] == pytest.approx(eager.evaluate(x, truth, verbose=0), rel=1e-4)
    found = graph.predict(x, batch_size=3, verbose=0).logits
    np.testing.assert_allclose(found, eager(x).logits, atol=1e-5)


def test_a_compiled_loss_needs_an_output_to_read():
    model = lxmert.tf.TFVisualBertModel(small_config(), add_pooling_layer=False)
    data = small_inputs()
    states = np.zeros_like(model(data).last_hidden_state)
    model.compile("sgd", loss="mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"gives last_hidden_state and no pooler_output, .* Compile a dict of losses"):
        model.fit(data, states[:, 0], verbose=0)
    model.compile("sgd", loss={"last_hidden_state": "mse"})
    assert np.isfinite(model.fit(data, {"last_hidden_state": states}, verbose=0).history["loss"]).all()


def test_fit_works_after_a_fit_that_failed():
    model = lxmert.tf.TFVisualBertForQuestionAnswering(small_config())
    model.compile("adam")
    right = {**small_inputs(), **small_labels(ANSWERING)}
    with pytest.raises(ValueError, match="the data holds no labels to train on"):
        model.fit(small_inputs(), verbose=0)
    assert np.isfinite(model.fit(right, verbose=0).history["loss"]).all()
