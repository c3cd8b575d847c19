"""`compile`, `fit`, `evaluate` and `predict`, as for any Keras model: losses, metrics, callbacks, kinds of data.

A warning is an error here, so that none of them says "gradients do not exist".
"""

import csv
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import lxmert.tf
from lxmert.common.tokenizer import BatchEncoding
from lxmert.tf import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning, TFLxmertModel
from tests.small_lxmert import ANSWERS, answer_indices, answer_scores, small_config, small_inputs, small_labels, truths

BATCH = 4
X = small_inputs(BATCH)
ANSWER = answer_indices(BATCH)
LABELS = small_labels(BATCH)
PAIRS = small_inputs(BATCH, name="LxmertForVisualReasoning")
TRUTHS = truths(BATCH)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ANSWER_LABELS = {
    "indices": ANSWER,
    "column of indices": ANSWER[:, None],
    "scores": answer_scores(BATCH),
    "some ignored": np.where(np.arange(BATCH) == 1, -100, ANSWER),
}
OBJECTS = LABELS["obj_labels"]
PRETRAINING_LABELS = {
    "words": {"labels": LABELS["labels"]},
    "words under Keras' name": {"masked_lm_labels": LABELS["labels"]},
    "match and answer": {"matched_label": LABELS["matched_label"], "ans": LABELS["ans"]},
    "objects": {"obj_labels": {"obj": OBJECTS["obj"]}},
    "features": {"obj_labels": {"feat": OBJECTS["feat"]}},
    "answer scores": {"ans": answer_scores(BATCH)},
    "all": LABELS,
}


def compiled(model, rate=0.05, run_eagerly=True, **options):
    """Plain gradient descent; tracing a graph takes seconds, so only the tests of graphs ask for one."""
    options = {"jit_compile": False, **options}
    model.compile(keras.optimizers.SGD(rate), run_eagerly=run_eagerly, **options)
    return model


def answering(**options):
    return compiled(TFLxmertForQuestionAnswering(small_config()), **options)


def pretraining(**options):
    return compiled(TFLxmertForPreTraining(small_config()), **options)


def reasoning(**options):
    return compiled(TFLxmertForVisualReasoning(small_config()), **options)


def losses_of(history):
    return history.history["loss"]


# The model's own loss


@pytest.mark.parametrize(("kind", "place"), [("indices", "input"), *((kind, "y") for kind in ANSWER_LABELS)])
def test_answers_train_on_the_own_loss(kind, place):
    model, labels = answering(), ANSWER_LABELS[kind]
    expected = float(model(X, labels=labels).loss)
    data = ({**X, "labels": labels},) if place == "input" else (X, labels)
    history = losses_of(model.fit(*data, epochs=3, verbose=0))
    assert history[0] == pytest.approx(expected, rel=1e-5)
    assert all(later < earlier for earlier, later in itertools.pairwise(history))


@pytest.mark.parametrize(
    ("kind", "place"), [("all", "input"), *((kind, "input" if "words" in kind else "y") for kind in PRETRAINING_LABELS)]
)
def test_pretraining_trains_on_the_labels_that_are_given(kind, place):
    model, labels = pretraining(rate=0.01), PRETRAINING_LABELS[kind]
    expected = float(model(X, **labels).loss)
    data = ({**X, **labels},) if place == "input" else (X, labels)
    history = losses_of(model.fit(*data, epochs=2, verbose=0))
    assert history[0] == pytest.approx(expected, rel=1e-5)
    assert history[1] < history[0]


@pytest.mark.parametrize("place", ["input", "y"])
def test_reasoning_trains_on_the_own_loss(place):
    model = reasoning(metrics=["accuracy"])
    expected = model(PAIRS, labels=TRUTHS)
    data = ({**PAIRS, "labels": TRUTHS},) if place == "input" else (PAIRS, TRUTHS)
    right = np.mean(np.asarray(expected.logits).argmax(-1) == TRUTHS)
    assert model.evaluate(*data, batch_size=3, verbose=0, return_dict=True)["accuracy"] == pytest.approx(right)
    history = losses_of(model.fit(*data, epochs=3, verbose=0))
    assert history[0] == pytest.approx(float(expected.loss), rel=1e-5)
    assert all(later < earlier for earlier, later in itertools.pairwise(history))
    assert model.predict(PAIRS, batch_size=3, verbose=0).logits.shape == (BATCH, 2)


def test_reasoning_trains_on_a_compiled_loss():
    model = reasoning(loss=CROSS_ENTROPY)
    expected = float(model(PAIRS, labels=TRUTHS).loss)
    assert losses_of(model.fit(PAIRS, TRUTHS, verbose=0)) == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_reasoning_trains_in_a_graph(jit_compile, each):
    """With a sentence for both images, and with one for each."""
    eager, graph = reasoning(), reasoning(run_eagerly=False, jit_compile=jit_compile)
    graph.set_weights(eager.get_weights())
    words = ("input_ids", "attention_mask", "token_type_ids")
    two = {name: np.stack([PAIRS[name], PAIRS[name][::-1]], axis=1) for name in words}
    given = {**PAIRS, **two} if each else PAIRS
    options = dict(batch_size=2, epochs=2, shuffle=False, verbose=0)
    expected = losses_of(eager.fit(given, TRUTHS, **options))
    assert losses_of(graph.fit(given, TRUTHS, **options)) == pytest.approx(expected, rel=1e-4)


def test_labels_may_stand_in_both_places():
    model = pretraining()
    some, others = {"labels": LABELS["labels"]}, {"ans": LABELS["ans"]}
    expected = float(model(X, **some, **others).loss)
    total, *parts = model.test_on_batch({**X, **some}, others)
    assert total == pytest.approx(expected, rel=1e-5)
    assert sum(parts) == pytest.approx(expected, rel=1e-5)  # the losses by name


def test_losses_by_name_take_weights():
    model = pretraining()
    labels = {name: LABELS[name] for name in ("labels", "ans")}
    losses = model(X, **labels).losses
    weights = {"words": np.full(len(LABELS["ans"]), 2.0), "answers": np.full(len(LABELS["ans"]), 0.5)}
    expected = 2.0 * float(losses["words"]) + 0.5 * float(losses["answers"])
    total, *_ = model.test_on_batch(X, labels, weights)
    assert total == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_unequal_batches_is_the_mean_over_the_examples():
    model = answering()
    expected = float(model(X, labels=ANSWER).loss)
    assert model.evaluate(X, ANSWER, batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("place", ["input", "y"])
def test_metrics_beside_the_own_loss(place):
    model = answering(
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(3, name="top3", from_sorted_ids=False)]
    )
    data = ({**X, "labels": ANSWER},) if place == "input" else (X, ANSWER)
    found = model.evaluate(*data, verbose=0, return_dict=True)
    scores = np.asarray(model(X).question_answering_score)
    assert found["accuracy"] == pytest.approx(np.mean(scores.argmax(-1) == ANSWER))
    top3 = np.argsort(scores, axis=-1)[:, -3:]
    assert found["top3"] == pytest.approx(np.mean([label in row for label, row in zip(ANSWER, top3, strict=True)]))


@pytest.mark.parametrize("place", ["input", "y"])
def test_metrics_of_each_pretraining_task(place):
    model = pretraining(metrics={"question_answering_score": ["accuracy"], "cross_relationship_score": ["accuracy"]})
    labels = {"ans": LABELS["ans"], "matched_label": LABELS["matched_label"]}
    data = ({**X, **labels},) if place == "input" else (X, labels)
    found = model.evaluate(*data, verbose=0, return_dict=True)
    output = model(X)
    for name, label in (("question_answering_score", "ans"), ("cross_relationship_score", "matched_label")):
        assert found[f"{name}_accuracy"] == pytest.approx(np.mean(np.asarray(output[name]).argmax(-1) == labels[label]))


def test_the_config_may_ask_for_tuples():
    model = compiled(TFLxmertForQuestionAnswering(small_config(return_dict=False)))
    assert isinstance(model(X), tuple)
    expected = float(model(X, labels=ANSWER)[0])
    assert losses_of(model.fit(X, ANSWER, verbose=0)) == pytest.approx([expected], rel=1e-5)
    assert model.predict(X, verbose=0).question_answering_score.shape == (BATCH, ANSWERS)


# A loss that the user compiles in


@pytest.mark.parametrize(
    ("loss", "truth"),
    [
        (CROSS_ENTROPY, ANSWER),
        (keras.losses.CategoricalCrossentropy(from_logits=True), np.eye(ANSWERS, dtype="float32")[ANSWER]),
        (keras.losses.BinaryCrossentropy(from_logits=True), answer_scores(BATCH)),
    ],
    ids=["sparse", "categorical", "binary"],
)
def test_compiled_losses(loss, truth):
    model = answering(loss=loss, metrics=["accuracy"])
    expected = float(loss(truth, model(X).question_answering_score))
    history = model.fit(X, truth, epochs=3, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history["loss"][-1] < history["loss"][0]
    assert 0 <= history["accuracy"][0] <= 1


def test_sample_and_class_weights():
    model = answering(loss=CROSS_ENTROPY, weighted_metrics=["accuracy"])
    each = keras.ops.convert_to_numpy(
        keras.losses.sparse_categorical_crossentropy(ANSWER, model(X).question_answering_score, from_logits=True)
    )
    weights = np.array([0.0, 1.0, 2.0, 0.5], dtype="float32")
    found = model.test_on_batch(X, ANSWER, sample_weight=weights, return_dict=True)
    assert found["loss"] == pytest.approx(np.mean(each * weights), rel=1e-5)
    by_class = {label: 1.0 + label for label in range(ANSWERS)}
    history = losses_of(model.fit(X, ANSWER, class_weight=by_class, verbose=0))
    assert history == pytest.approx([np.mean(each * (1.0 + ANSWER))], rel=1e-5)


def test_a_loss_for_each_output():
    model = pretraining(loss={"cross_relationship_score": CROSS_ENTROPY, "question_answering_score": CROSS_ENTROPY})
    truth = {"cross_relationship_score": LABELS["matched_label"], "question_answering_score": LABELS["ans"]}
    output = model(X)
    expected = sum(float(CROSS_ENTROPY(label, output[name])) for name, label in truth.items())
    assert losses_of(model.fit(X, truth, verbose=0)) == pytest.approx([expected], rel=1e-5)


def test_a_backbone_trains_on_its_pooled_output():
    model = compiled(TFLxmertModel(small_config()), loss="mse")
    history = losses_of(model.fit(X, np.zeros((BATCH, 24), dtype="float32"), epochs=3, verbose=0))
    assert history[-1] < history[0]


# Graphs


def test_a_graph_trains_validates_and_predicts_as_calls_do():
    eager, graph = answering(loss=CROSS_ENTROPY), answering(loss=CROSS_ENTROPY, metrics=["accuracy"], run_eagerly=False)
    graph.set_weights(eager.get_weights())
    options = dict(batch_size=3, epochs=2, shuffle=False, verbose=0)
    history = graph.fit(X, ANSWER, validation_data=(X, ANSWER), **options).history
    assert history["loss"] == pytest.approx(losses_of(eager.fit(X, ANSWER, **options)), rel=1e-5)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_loss"][-1] == pytest.approx(eager.evaluate(X, ANSWER, verbose=0), rel=1e-5)
    scores = graph.predict(X, batch_size=3, verbose=0).question_answering_score
    np.testing.assert_allclose(scores, eager(X).question_answering_score, atol=1e-6)


def test_a_graph_trains_on_the_own_loss_several_steps_at_once():
    eager, graph = pretraining(), pretraining(run_eagerly=False, steps_per_execution=2)
    graph.set_weights(eager.get_weights())
    options = dict(batch_size=2, epochs=2, shuffle=False, verbose=0)
    expected = losses_of(eager.fit({**X, **LABELS}, **options))
    assert losses_of(graph.fit({**X, **LABELS}, **options)) == pytest.approx(expected, rel=1e-5)


def test_xla_trains_on_the_own_loss():
    eager, xla = answering(), answering(run_eagerly=False, jit_compile=True)
    xla.set_weights(eager.get_weights())
    options = dict(epochs=2, verbose=0)
    expected = losses_of(eager.fit(X, ANSWER, **options))
    assert losses_of(xla.fit(X, ANSWER, **options)) == pytest.approx(expected, rel=1e-4)


# Callbacks and the other entry points


def test_callbacks(tmp_path):
    model = answering(rate=0.0)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(X, ANSWER, validation_data=(X, ANSWER), epochs=9, verbose=0, callbacks=callbacks).history
    assert len(history["loss"]) == 2
    with open(tmp_path / "log.csv") as file:
        assert [float(row["val_loss"]) for row in csv.DictReader(file)] == pytest.approx(history["val_loss"])
    best = keras.models.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(best(X).question_answering_score, model(X).question_answering_score)
    other = answering()
    other.load_weights(tmp_path / "2.weights.h5")
    np.testing.assert_array_equal(other(X).question_answering_score, model(X).question_answering_score)


def test_validation_split():
    history = answering().fit(X, ANSWER, validation_split=0.25, verbose=0).history
    assert set(history) == {"loss", "val_loss"}


def test_batches_by_hand():
    model = answering()
    expected = float(model(X, labels=ANSWER).loss)
    assert model.test_on_batch(X, ANSWER) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch({**X, "labels": ANSWER}) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(X, ANSWER) < expected
    np.testing.assert_array_equal(model.predict_on_batch(X).question_answering_score, model(X).question_answering_score)


@pytest.mark.parametrize("name", ["TFLxmertModel", "TFLxmertForPreTraining", "TFLxmertForQuestionAnswering"])
def test_predict_gives_what_a_call_gives(name):
    model = compiled(getattr(lxmert.tf, name)(small_config(output_hidden_states=True, output_attentions=True)))
    found, expected = model.predict(X, batch_size=3, verbose=0), model(X)
    assert found.keys() == expected.keys()
    assert type(found) is type(expected) is getattr(lxmert.tf, f"{name}Output")
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.to_tuple(), expected.to_tuple()
    )


def test_predict_leaves_the_loss_out():
    found = answering().predict({**X, "labels": ANSWER}, batch_size=3, verbose=0)
    assert found.keys() == ("question_answering_score",)


# Kinds of data


class Batches(keras.utils.PyDataset):
    """Two unequal batches."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return 2

    def __getitem__(self, i):
        rows = slice(0, 3) if i == 0 else slice(3, BATCH)
        return keras.tree.map_structure(lambda values: values[rows], self.data)


def endless(data):
    while True:
        yield data


@pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, "input") for kind in ("tf.data", "PyDataset", "generator", "arrays")]
    + [("tf.data", "y"), ("PyDataset", "y")],
)
def test_kinds_of_data(kind, place):
    labels = {name: LABELS[name] for name in ("obj_labels", "ans")}
    data = ({**X, **labels},) if place == "input" else (X, labels)
    # A data set of bare dicts needs no tuple around them.
    bare = data[0] if place == "input" else data
    sources = {
        "tf.data": lambda: (tf.data.Dataset.from_tensor_slices(bare).batch(3),),
        "PyDataset": lambda: (Batches(bare if place == "y" else data),),
        "generator": lambda: (endless(data),),
        "arrays": lambda: data,
    }
    options = {"generator": {"steps_per_epoch": 2}, "arrays": {"batch_size": 3}}.get(kind, {})
    history = pretraining().fit(*sources[kind](), epochs=3, shuffle=False, verbose=0, **options)
    assert losses_of(history)[-1] < losses_of(history)[0]  # dropout is on: from one to the next it may rise


@pytest.mark.parametrize("place", ["input", "y"])
def test_what_the_tokenizer_gives_merged_with_regions(place):
    words = ("input_ids", "attention_mask", "token_type_ids")
    encoding = BatchEncoding({name: X[name] for name in words})
    encoding.update({name: X[name] for name in X if name not in words})
    model, plain = answering(run_eagerly=False), answering()
    plain.set_weights(model.get_weights())
    expected = plain.test_on_batch(X, ANSWER)
    if place == "input":
        encoding["labels"] = ANSWER
    data = (encoding,) if place == "input" else (encoding, ANSWER)
    assert model.evaluate(*data, batch_size=2, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert losses_of(plain.fit(*data, verbose=0)) == pytest.approx([expected], rel=1e-5)
    assert plain.predict(encoding, verbose=0).question_answering_score.shape == (BATCH, ANSWERS)


def test_inputs_as_a_list():
    model = answering()
    expected = float(model(X, labels=ANSWER).loss)
    assert losses_of(model.fit(list(X.values()), ANSWER, verbose=0)) == pytest.approx([expected], rel=1e-5)
    scores = model.predict(list(X.values()), verbose=0).question_answering_score
    np.testing.assert_allclose(scores, model(X).question_answering_score, atol=1e-6)
