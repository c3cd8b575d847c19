"""`compile`, `fit`, `evaluate` and `predict`, as for any Keras model: losses, metrics, callbacks, data, graphs.

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
from tests.small import (
    LABELS,
    NAMES,
    TASKS,
    answer_scores,
    is_visual_bert,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

BATCH = 4
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)
PRETRAINING, ANSWERING, REASONING = TASKS[:3]
VISUAL_BERT_PRETRAINING, CHOICE, VISUAL_BERT_ANSWERING, VISUAL_BERT_REASONING, ALIGNMENT = TASKS[3:]
PLACES = ("y", "input")


def compiled(name, rate=0.01, run_eagerly=True, config=None, **options):
    """Plain gradient descent; tracing a graph takes seconds, so only the tests of graphs ask for one."""
    model = getattr(lxmert.tf, f"TF{name}")(config or small_config(name))
    model.compile(keras.optimizers.SGD(rate), run_eagerly=run_eagerly, **{"jit_compile": False, **options})
    return model


def inputs(name):
    """Everything that has an axis of examples."""
    options = small_options(name, BATCH)
    options.pop("head_mask", None)
    return {**small_inputs(name, BATCH), **options}


def labels(name):
    return small_labels(name, BATCH)


def placed(place, x, given):
    """Labels in the input dict, or as y."""
    return ({**x, **given},) if place == "input" else (x, given)


def losses_of(history):
    return history.history["loss"]


def falls(losses):
    return all(later < earlier for earlier, later in itertools.pairwise(losses))


# The model's own loss


@pytest.mark.parametrize(("name", "place"), list(zip(TASKS, itertools.cycle(PLACES))))
def test_labels_train_on_the_own_loss(name, place):
    """The only labels may also be y themselves, and the loss of unequal batches is the mean over the examples."""
    model, x, given = compiled(name), inputs(name), labels(name)
    expected = float(model(x, **given).loss)
    if "PreTraining" not in name:
        assert model.evaluate(x, given["labels"], batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-5)
    history = losses_of(model.fit(*placed(place, x, given), verbose=0))
    assert history == pytest.approx([expected], rel=1e-5)
    if "PreTraining" not in name:
        history += losses_of(model.fit(x, given["labels"], verbose=0))
    else:
        history += [float(model(x, **given).loss)]
    assert falls(history)


INDICES = np.array([0, 3, 10, 7])


FORMS = {
    "a column": INDICES[:, None],
    "some ignored": np.where(np.arange(BATCH) == 1, -100, INDICES),
    "rows of scores": np.eye(LABELS, dtype="f4")[INDICES],
}


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT_ANSWERING])
def test_answers_train_in_every_form(name):
    model, x = compiled(name), inputs(name)
    for form, given in FORMS.items():
        expected = float(model(x, labels=given).loss)
        assert losses_of(model.fit(x, given, verbose=0)) == pytest.approx([expected], rel=1e-5), form
        assert float(model(x, labels=given).loss) < expected, form


ALL, OBJECTS = labels(PRETRAINING), labels(PRETRAINING)["obj_labels"]
PARTS = {
    "words": {"labels": ALL["labels"]},
    "words under Keras' name": {"masked_lm_labels": ALL["labels"]},
    "match and answer": {"matched_label": ALL["matched_label"], "ans": ALL["ans"]},
    "objects": {"obj_labels": {"obj": OBJECTS["obj"]}},
    "features": {"obj_labels": {"feat": OBJECTS["feat"]}},
    "answer scores": {"ans": answer_scores(BATCH)},
}


def test_pretraining_trains_on_the_labels_that_are_given():
    model, x = compiled(PRETRAINING), inputs(PRETRAINING)
    for part, given in PARTS.items():
        expected = float(model(x, **given).loss)
        history = losses_of(model.fit(*placed("input" if "words" in part else "y", x, given), verbose=0))
        assert history == pytest.approx([expected], rel=1e-5), part
        assert float(model(x, **given).loss) < expected, part


def test_labels_may_stand_in_both_places_and_losses_take_weights():
    model, x = compiled(PRETRAINING), inputs(PRETRAINING)
    some, others = {"labels": ALL["labels"]}, {"ans": ALL["ans"]}
    output = model(x, **some, **others)
    total, *parts = model.test_on_batch({**x, **some}, others)
    assert total == pytest.approx(float(output.loss), rel=1e-5)
    assert sum(parts) == pytest.approx(float(output.loss), rel=1e-5)  # the losses by name
    weights = {"words": np.full(BATCH, 2.0), "answers": np.full(BATCH, 0.5)}
    expected = 2.0 * float(output.losses["words"]) + 0.5 * float(output.losses["answers"])
    total, *_ = compiled_like(model).test_on_batch(x, {**some, **others}, weights)
    assert total == pytest.approx(expected, rel=1e-5)


def compiled_like(model):
    """A model of the same weights that was not used yet."""
    other = compiled(model.architecture())
    other.set_weights(model.get_weights())
    return other


def test_labels_of_visual_berts_pretraining_by_themselves_and_together():
    name = VISUAL_BERT_PRETRAINING
    model, x, given = compiled(name), inputs(name), labels(name)
    words, match = ({key: given[key]} for key in ("labels", "sentence_image_labels"))
    # Keras averages over the batches since the last reset.
    alone = []
    for part in (words, match):
        alone.append(np.ravel(model.test_on_batch(x, part))[0])
        model.reset_metrics()
    total, *parts = model.test_on_batch({**x, **words}, match)
    assert total == pytest.approx(sum(alone), rel=1e-5)
    assert sum(parts) == pytest.approx(total, rel=1e-5)  # the losses by name
    for part in (words, match):
        assert falls(losses_of(compiled(name).fit(x, part, epochs=2, verbose=0)))


# Metrics


@pytest.mark.parametrize(
    ("name", "place"),
    [(ANSWERING, "input"), (REASONING, "y"), (CHOICE, "y"), (VISUAL_BERT_REASONING, "input")],
)
def test_metrics_beside_the_own_loss(name, place):
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top", from_sorted_ids=False)
    model, x, given = compiled(name, metrics=["accuracy", top]), inputs(name), labels(name)
    found = model.evaluate(*placed(place, x, given), batch_size=3, verbose=0, return_dict=True)
    scores, truth = np.asarray(model(x)[0]), given["labels"]
    assert found["loss"] == pytest.approx(float(model(x, **given).loss), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(scores.argmax(-1) == truth))
    best = np.argsort(scores, axis=-1)[:, -2:]
    assert found["top"] == pytest.approx(np.mean([label in row for label, row in zip(truth, best, strict=True)]))


def test_metrics_of_each_pretraining_task():
    given = {"ans": ALL["ans"], "matched_label": ALL["matched_label"]}
    fields = {"question_answering_score": "ans", "cross_relationship_score": "matched_label"}
    model, x = compiled(PRETRAINING, metrics={field: ["accuracy"] for field in fields}), inputs(PRETRAINING)
    output = model(x)
    for place in PLACES:
        found = model.evaluate(*placed(place, x, given), verbose=0, return_dict=True)
        for field, label in fields.items():
            right = np.mean(np.asarray(output[field]).argmax(-1) == given[label])
            assert found[f"{field}_accuracy"] == pytest.approx(right)


def test_metrics_of_other_outputs():
    name = VISUAL_BERT_PRETRAINING
    model = compiled(name, metrics={"seq_relationship_logits": ["accuracy"]})
    x, match = inputs(name), labels(name)["sentence_image_labels"]
    found = model.evaluate(x, {"sentence_image_labels": match}, verbose=0, return_dict=True)
    right = np.asarray(model(x).seq_relationship_logits).argmax(-1) == match
    assert found["accuracy"] == pytest.approx(np.mean(right))
    aligned = compiled(ALIGNMENT, metrics=["categorical_accuracy"])
    found = aligned.evaluate(inputs(ALIGNMENT), labels(ALIGNMENT), verbose=0, return_dict=True)
    assert 0 <= found["categorical_accuracy"] <= 1


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT_ANSWERING])
def test_the_config_may_ask_for_tuples(name):
    model, x = compiled(name, config=small_config(name, return_dict=False)), inputs(name)
    assert isinstance(model(x), tuple)
    expected = float(model(x, **labels(name))[0])
    assert losses_of(model.fit(x, labels(name), verbose=0)) == pytest.approx([expected], rel=1e-5)
    assert model.predict(x, verbose=0)[0].shape == (BATCH, LABELS)


# A loss that the user compiles in


@pytest.mark.parametrize(
    ("name", "loss", "truth"),
    [
        (ANSWERING, CROSS_ENTROPY, INDICES),
        pytest.param(
            ANSWERING,
            keras.losses.CategoricalCrossentropy(from_logits=True),
            np.eye(LABELS, dtype="f4")[INDICES],
            marks=pytest.mark.full,
        ),
        (ANSWERING, BINARY, answer_scores(BATCH)),
        pytest.param(REASONING, CROSS_ENTROPY, np.array([0, 1, 1, 0]), marks=pytest.mark.full),
        ("LxmertModel", "mse", np.zeros((BATCH, 24), dtype="f4")),
        (
            PRETRAINING,
            {"cross_relationship_score": CROSS_ENTROPY, "question_answering_score": CROSS_ENTROPY},
            {"cross_relationship_score": ALL["matched_label"], "question_answering_score": ALL["ans"]},
        ),
        ("VisualBertModel", "mse", np.zeros((BATCH, 24), dtype="f4")),
        (CHOICE, CROSS_ENTROPY, np.array([0, 1, 2, 0])),
        pytest.param(VISUAL_BERT_ANSWERING, BINARY, np.eye(LABELS, dtype="f4")[:BATCH], marks=pytest.mark.full),
        pytest.param(VISUAL_BERT_REASONING, CROSS_ENTROPY, INDICES, marks=pytest.mark.full),
        (
            VISUAL_BERT_PRETRAINING,
            {"seq_relationship_logits": CROSS_ENTROPY},
            {"seq_relationship_logits": np.array([0, 1, 1, 0])},
        ),
        (ALIGNMENT, CROSS_ENTROPY, np.zeros((BATCH, 12), dtype="int64")),
    ],
)
def test_compiled_losses(name, loss, truth):
    model, x = compiled(name, loss=loss), inputs(name)
    x["visual_attention_mask"] = np.ones_like(x["visual_attention_mask"])  # a masked region has a huge loss
    output = model(x)
    if callable(loss):
        expected = float(loss(truth, output[0]))
    elif isinstance(loss, dict):
        expected = sum(float(each(truth[field], output[field])) for field, each in loss.items())
    else:
        expected = float(np.mean(np.square(output[-1])))
    history = losses_of(model.fit(x, truth, epochs=2, verbose=0))
    assert history[0] == pytest.approx(expected, rel=1e-5)
    assert history[1] < history[0]


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT_REASONING])
def test_sample_and_class_weights(name):
    model, x, truth = compiled(name, loss=CROSS_ENTROPY, weighted_metrics=["accuracy"]), inputs(name), INDICES
    each = np.asarray(keras.losses.sparse_categorical_crossentropy(truth, model(x)[0], from_logits=True))
    weights = np.array([0.0, 1.0, 2.0, 0.5], dtype="f4")
    found = model.test_on_batch(x, truth, sample_weight=weights, return_dict=True)
    assert found["loss"] == pytest.approx(np.mean(each * weights), rel=1e-5)
    by_class = {label: 1.0 + label for label in range(LABELS)}
    history = losses_of(model.fit(x, truth, class_weight=by_class, verbose=0))
    assert history == pytest.approx([np.mean(each * (1.0 + truth))], rel=1e-5)


def test_a_compiled_loss_needs_an_output_to_read():
    model = lxmert.tf.TFVisualBertModel(small_config("VisualBertModel"), add_pooling_layer=False)
    x = small_inputs("VisualBertModel")
    states = np.zeros_like(model(x).last_hidden_state)
    model.compile("sgd", loss="mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"returns last_hidden_state and no pooler_output, .* Compile a dict"):
        model.fit(x, states[:, 0], verbose=0)
    model.compile("sgd", loss={"last_hidden_state": "mse"}, run_eagerly=True)
    assert np.isfinite(losses_of(model.fit(x, {"last_hidden_state": states}, verbose=0))).all()


# Graphs: each is traced once, and does all that a graph may do


def pair(name, **options):
    """A model that runs eagerly, and one of the same weights that runs as a graph."""
    shared = {key: options.pop(key) for key in ("loss",) if key in options}
    eager, graph = compiled(name, **shared), compiled(name, run_eagerly=False, **shared, **options)
    graph.set_weights(eager.get_weights())
    return eager, graph


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (PRETRAINING, {"steps_per_execution": 2}),
        pytest.param(ALIGNMENT, {"jit_compile": True}, marks=pytest.mark.full),
        pytest.param(ANSWERING, {"jit_compile": True}, marks=pytest.mark.full),
        pytest.param(VISUAL_BERT_PRETRAINING, {}, marks=pytest.mark.full),
        pytest.param(CHOICE, {}, marks=pytest.mark.full),
    ],
)
def test_a_graph_trains_as_calls_do(name, options):
    eager, graph = pair(name, **options)
    data, how = {**inputs(name), **labels(name)}, dict(batch_size=2, epochs=2, shuffle=False, verbose=0)
    expected = losses_of(eager.fit(data, **how))
    assert losses_of(graph.fit(data, **how)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.full
@pytest.mark.parametrize(("jit_compile", "each"), [(False, True), (True, False)])
def test_reasoning_trains_in_a_graph(jit_compile, each):
    """With a sentence for both images, and with one for each."""
    eager, graph = pair(REASONING, jit_compile=jit_compile)
    x, y = inputs(REASONING), labels(REASONING)["labels"]
    if each:
        words = ("input_ids", "attention_mask", "token_type_ids")
        x |= {name: np.stack([x[name], x[name][::-1]], axis=1) for name in words}
    options = dict(batch_size=2, epochs=2, shuffle=False, verbose=0)
    assert losses_of(graph.fit(x, y, **options)) == pytest.approx(losses_of(eager.fit(x, y, **options)), rel=1e-4)


def test_a_graph_validates_and_predicts_unequal_batches():
    name = VISUAL_BERT_REASONING
    eager, graph = pair(name, loss=CROSS_ENTROPY, metrics=["accuracy"])
    x, options = inputs(name), dict(batch_size=3, epochs=2, shuffle=False, verbose=0)
    history = graph.fit(x, INDICES, validation_data=(x, INDICES), **options).history
    assert history["loss"] == pytest.approx(losses_of(eager.fit(x, INDICES, **options)), rel=1e-4)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_loss"][-1] == pytest.approx(eager.evaluate(x, INDICES, verbose=0), rel=1e-4)
    np.testing.assert_allclose(graph.predict(x, batch_size=3, verbose=0)[0], eager(x)[0], atol=1e-5)


def test_fit_works_after_a_fit_that_failed():
    name = VISUAL_BERT_ANSWERING
    model = compiled(name, run_eagerly=False)
    with pytest.raises(ValueError, match="the data holds no labels to train on"):
        model.fit(small_inputs(name), verbose=0)
    assert np.isfinite(losses_of(model.fit({**small_inputs(name), **small_labels(name)}, verbose=0))).all()


# Callbacks and the other entry points


def test_callbacks(tmp_path):
    model, x = compiled(ANSWERING, rate=0.0), inputs(ANSWERING)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(x, INDICES, validation_data=(x, INDICES), epochs=9, verbose=0, callbacks=callbacks).history
    assert len(history["loss"]) == 2
    with open(tmp_path / "log.csv") as file:
        assert [float(row["val_loss"]) for row in csv.DictReader(file)] == pytest.approx(history["val_loss"])
    best, other = keras.models.load_model(tmp_path / "best.keras"), compiled(ANSWERING)
    other.load_weights(tmp_path / "2.weights.h5")
    for again in (best, other):
        np.testing.assert_array_equal(again(x).question_answering_score, model(x).question_answering_score)
    assert set(compiled(ANSWERING).fit(x, INDICES, validation_split=0.25, verbose=0).history) == {"loss", "val_loss"}


def test_batches_by_hand():
    model, x = compiled(ANSWERING), inputs(ANSWERING)
    expected = float(model(x, labels=INDICES).loss)
    assert model.test_on_batch(x, INDICES) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch({**x, "labels": INDICES}) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(x, INDICES) < expected
    np.testing.assert_array_equal(model.predict_on_batch(x)[0], model(x)[0])


@pytest.mark.parametrize("name", NAMES)
def test_predict_gives_what_a_call_gives(name):
    """Without the loss, whatever labels the data holds; in batches of unequal size."""
    config = small_config(name, output_hidden_states=True, output_attentions=True)
    model, x = compiled(name, config=config), inputs(name)
    found, expected = model.predict({**x, **labels(name)}, batch_size=3, verbose=0), model(x)
    assert found.keys() == expected.keys()
    assert type(found) is type(expected)
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.to_tuple(), expected.to_tuple()
    )


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
    [("tf.data", "y"), ("PyDataset", "y"), ("generator", "input")],
)
def test_kinds_of_data(kind, place):
    data = placed(place, inputs(PRETRAINING), {name: ALL[name] for name in ("obj_labels", "ans")})
    # A data set of bare dicts needs no tuple around them.
    bare = data[0] if place == "input" else data
    source = {
        "tf.data": lambda: tf.data.Dataset.from_tensor_slices(bare).batch(3),
        "PyDataset": lambda: Batches(bare if place == "y" else data),
        "generator": lambda: endless(data),
    }[kind]()
    options = {"steps_per_epoch": 2} if kind == "generator" else {}
    assert falls(losses_of(compiled(PRETRAINING).fit(source, epochs=2, shuffle=False, verbose=0, **options)))


@pytest.mark.parametrize("name", [VISUAL_BERT_PRETRAINING, CHOICE, ALIGNMENT])
def test_data_sets_of_unequal_batches(name):
    data, x, model = {**inputs(name), **labels(name)}, inputs(name), compiled(name)
    if name != VISUAL_BERT_PRETRAINING:  # its words are averaged over each batch
        found = model.evaluate(tf.data.Dataset.from_tensor_slices(data).batch(3), verbose=0)
        assert found == pytest.approx(float(model(data).loss), rel=1e-5)
    pairs = tf.data.Dataset.from_tensor_slices((x, labels(name))).batch(3)
    assert falls(losses_of(model.fit(pairs, epochs=2, shuffle=False, verbose=0)))
    first = {key: value[:1] for key, value in x.items()}
    np.testing.assert_allclose(model.predict(first, verbose=0)[0], model(first)[0], atol=1e-6)


def test_a_generator_may_give_a_mask_of_heads():
    name = VISUAL_BERT_REASONING
    x = {**small_inputs(name, BATCH), "head_mask": np.array([1.0, 0.0, 0.5], dtype="float32")}
    model = compiled(name, run_eagerly=False)
    expected = float(model(x, **labels(name)).loss)
    batches = ((x, labels(name)) for _ in range(2))
    assert model.evaluate(batches, steps=2, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_what_the_tokenizer_gives_merged_with_regions():
    x, words = inputs(ANSWERING), ("input_ids", "attention_mask", "token_type_ids")
    encoding = BatchEncoding({name: x[name] for name in words})
    encoding.update({name: x[name] for name in x if name not in words})
    plain = compiled(ANSWERING)
    expected = float(plain(x, labels=INDICES).loss)
    assert plain.evaluate(encoding, INDICES, batch_size=2, verbose=0) == pytest.approx(expected, rel=1e-5)
    labelled = BatchEncoding({**encoding, "labels": INDICES})
    assert losses_of(plain.fit(labelled, verbose=0)) == pytest.approx([expected], rel=1e-5)
    assert plain.predict(encoding, verbose=0)[0].shape == (BATCH, LABELS)


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT_ANSWERING])
def test_inputs_as_a_list(name):
    model, x = compiled(name), small_inputs(name, BATCH)
    listed = list(x.values())[: 3 if is_visual_bert(name) else None]
    expected = float(model(listed, labels=INDICES).loss)
    assert losses_of(model.fit(listed, INDICES, verbose=0)) == pytest.approx([expected], rel=1e-5)
    np.testing.assert_allclose(model.predict(listed, verbose=0)[0], model(listed)[0], atol=1e-6)
