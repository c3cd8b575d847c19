"""What a Keras VisualBERT can do beside answering: show and count itself, start, change its sizes, lose heads."""

import keras
import numpy as np
import pytest

import lxmert.tf
from lxmert.tf.layers import Embedding
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CLASSES,
    MODEL,
    NAMES,
    PRETRAINING,
    REASONING,
    UNUSED,
    WORDS,
    small_config,
    small_inputs,
    small_labels,
)

from .test_model_tools import numpy, paths

every_name = pytest.mark.parametrize("name", NAMES)


def kind(name):
    return getattr(lxmert.tf, f"TF{name}")


def make(name, **changes):
    return kind(name)(small_config(**changes))


def equal(found, expected, atol=0.0):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def train_once(model, name):
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    assert np.isfinite(model.train_on_batch(small_inputs(name), small_labels(name)))


# Showing and counting


@every_name
def test_the_summary_shows_shapes(name):
    lines, model = [], make(name)
    model.summary(print_fn=lines.append, expand_nested=True)
    text = "\n".join(map(str, lines))
    assert "?" not in text
    assert "(None, None, 24)" in text
    assert f"{model.count_params():,}" in text


@every_name
def test_counts_are_those_of_the_name_table(name):
    model = make(name)
    sizes = {p: int(np.prod(p.shape)) for p in parameters(model.config, head_names(name, model.config))}
    assert model.num_parameters() == model.count_params() == sum(sizes.values())
    trained = sum(size for p, size in sizes.items() if p.module not in UNUSED.get(name, ()))
    assert model.num_parameters(only_trainable=True) == trained
    assert trained == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_a_backbone_without_pooler_is_counted_without_it():
    bare = kind(MODEL)(small_config(), add_pooling_layer=False)
    assert bare.num_parameters() == bare.count_params() == make(MODEL).num_parameters() - 24 * 25
    lines = []
    bare.summary(print_fn=lines.append, expand_nested=True)
    assert "?" not in "\n".join(map(str, lines))


# How a model starts


@pytest.mark.parametrize("pad", [1, 0, None])
def test_only_the_padding_starts_at_zero(pad):
    tables = make(MODEL, pad_token_id=pad).embeddings
    for table in (tables.word, tables.position, tables.token_type, tables.visual_position, tables.visual_token_type):
        zeros = [row for row, values in enumerate(numpy(table.embeddings)) if not values.any()]
        assert zeros == ([pad] if table is tables.word and pad is not None else [])


@every_name
def test_the_tables_of_regions_start_as_those_of_words(name, tmp_path):
    def pairs(model):
        tables = model.base.embeddings
        for part in ("position", "token_type"):
            yield numpy(getattr(tables, part).embeddings), numpy(getattr(tables, f"visual_{part}").embeddings)

    model = make(name)
    assert all(np.array_equal(text, visual) for text, visual in pairs(model))
    assert not any(np.array_equal(text, visual) for text, visual in pairs(make(name, special_visual_initialize=False)))
    # What was learned is not started again.
    model.base.embeddings.position.embeddings.assign_add(np.ones((8, 24)))
    model.base.embeddings.token_type.embeddings.assign_add(np.ones((2, 24)))
    model.save_pretrained(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (kind(name).from_pretrained(tmp_path / "folder"), keras.models.load_model(tmp_path / "model.keras")):
        for (text, visual), (wanted_text, wanted_visual) in zip(pairs(again), pairs(model), strict=True):
            np.testing.assert_array_equal(text, wanted_text)
            np.testing.assert_array_equal(visual, wanted_visual)
            assert not np.array_equal(text, visual)


# Words


@pytest.mark.parametrize(
    ("asked", "count"),
    [((WORDS + 4,), WORDS + 4), ((10,), 10), ((None,), WORDS), ((None, 8), 32), ((33, 8), 40), ((2,), 2)],
)
@pytest.mark.parametrize("name", [PRETRAINING, ALIGNING])
def test_resizing_the_vocabulary(name, asked, count):
    model = make(name)
    before = {p.name: numpy(v) for p, v in model.weights_by_name()}
    names, trained = paths(model), [p.name for p, v in model.weights_by_name() if v.trainable]
    table = model.resize_token_embeddings(*asked)
    assert table is model.get_input_embeddings()
    assert table.padding_idx == 1
    assert model.config.vocab_size == model.backbone.config.vocab_size == count
    assert sorted(paths(model)) == sorted(names)
    assert [p.name for p, v in model.weights_by_name() if v.trainable] == trained
    for parameter, values in model.weights_by_name():
        kept = min(count, WORDS) if parameter.name in ("embeddings.word.weight", "heads.word.bias") else None
        assert kept is None or values.shape[0] == count
        np.testing.assert_array_equal(numpy(values)[:kept], before[parameter.name][:kept])
    x = small_inputs(name)
    output = model({**x, "input_ids": x["input_ids"] % count})
    assert name == ALIGNING or output.prediction_logits.shape == (2, 12, count)


@pytest.mark.parametrize("count", [0, 1])
def test_a_vocabulary_keeps_its_padding(count):
    model = make(PRETRAINING)
    with pytest.raises(ValueError, match=r"new_num_tokens must be at least 1; got 0|pad_token_id must be a word's id"):
        model.resize_token_embeddings(count)
    with pytest.raises(ValueError, match="pad_token_id must be a word's id"):
        model.set_input_embeddings(Embedding(1, 24))
    assert model.config == small_config()
    train_once(model, PRETRAINING)


def test_the_word_head_stays_tied(tmp_path):
    model, x = make(PRETRAINING), small_inputs()
    table = Embedding(WORDS + 2, 24)
    table.build((None, None))
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    table.embeddings.assign(np.zeros((WORDS + 2, 24)))
    bias = dict((p.name, v) for p, v in model.weights_by_name())["heads.word.bias"]
    bias.assign(np.arange(WORDS + 2))
    np.testing.assert_array_equal(model(x).prediction_logits, np.broadcast_to(numpy(bias), (2, 12, WORDS + 2)))
    model.save(tmp_path / "model.keras")
    model.save_pretrained(tmp_path / "folder")
    for again in (
        kind(PRETRAINING).from_pretrained(tmp_path / "folder"),
        keras.models.load_model(tmp_path / "model.keras"),
    ):
        assert again.config.vocab_size == WORDS + 2
        np.testing.assert_array_equal(again(x).prediction_logits, model(x).prediction_logits)
    with pytest.raises(ValueError, match=r"embeddings must be \[V, 24\] \(hidden_size\); got \[9, 23\]"):
        model.set_input_embeddings(Embedding(9, 23))


# Labels


@pytest.mark.parametrize("name", [ANSWERING, REASONING])
@pytest.mark.parametrize("count", [CLASSES + 3, 4, CLASSES, None])
def test_resizing_the_labels(name, count, tmp_path):
    model = make(name)
    old, names, layer = numpy(model(small_inputs()).logits), paths(model), model.get_qa_logit_layer()
    new = model.resize_num_qa_labels(count)
    wanted = count or CLASSES
    assert new is model.get_qa_logit_layer()
    assert (new is layer) == (wanted == CLASSES)
    assert new.units == model.config.num_labels == model.backbone.config.num_labels == wanted
    assert sorted(paths(model)) == sorted(names)
    found = numpy(model(small_inputs()).logits)
    assert found.shape == (2, wanted)
    np.testing.assert_allclose(found[:, :CLASSES], old[:, :wanted], atol=1e-6)
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(kind(name).from_pretrained(tmp_path)(small_inputs()).logits, found)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    assert np.isfinite(model.train_on_batch(small_inputs(), np.array([0, wanted - 1])))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (ANSWERING, REASONING)])
def test_models_without_labels_to_resize(name):
    model = make(name)
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert model.config == small_config()


def test_frozen_layers_stay_frozen_when_they_are_resized():
    model = kind(ANSWERING)(small_config(), dtype="mixed_bfloat16")
    model.get_input_embeddings().trainable = model.get_qa_logit_layer().trainable = False
    model.resize_token_embeddings(40)
    model.resize_num_qa_labels(13)
    frozen = {p.module for p, v in model.weights_by_name() if not v.trainable}
    assert frozen == {"embeddings.word", "heads.classifier", "pooler.dense"}
    assert {part.dtype_policy.name for part in (model.get_input_embeddings(), model.get_qa_logit_layer())} == {
        "mixed_bfloat16"
    }


# Heads of attention


PRUNED = {"encoder_layers.0.attention": (1,), "encoder_layers.1.attention": (0, 2)}


@pytest.mark.parametrize(("name", "form"), [*((name, "paths") for name in NAMES), (MODEL, "numbers")])
def test_pruning_takes_away_what_a_mask_would_silence(name, form, tmp_path):
    model, x = make(name), small_inputs(name)
    mask = np.array([[1, 0, 1], [0, 1, 0]], dtype="float32")
    expected, names, count = model({**x, "head_mask": mask}), paths(model), model.num_parameters()
    first, second = PRUNED if form == "paths" else (0, 1)
    model.prune_heads({first: [1], second: [2]})
    model.prune_heads({second: [0, 2]})
    assert model.config.pruned_heads == model.base.config.pruned_heads == PRUNED
    assert sorted(paths(model)) == sorted(names)
    # Three heads are gone, each with 8 columns of three projections, their biases, and 8 rows of the fourth.
    assert model.num_parameters() == count - 3 * (4 * 8 * 24 + 3 * 8)
    equal(model(x), expected, atol=1e-5)
    # A mask counts the heads as in the unpruned model.
    equal(model({**x, "head_mask": mask}), model(x))
    assert [maps.shape[1] for maps in model(x, output_attentions=True).attentions] == [2, 1]
    model.save_pretrained(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (kind(name).from_pretrained(tmp_path / "folder"), keras.models.load_model(tmp_path / "model.keras")):
        assert again.config.pruned_heads == PRUNED
        equal(again(x), model(x))


def test_the_additional_layer_loses_heads_too():
    model = make(ANSWERING, bypass_transformer=True)
    model.prune_heads({"additional_layer.attention": [0, 1]})
    assert model.config.pruned_heads == {"additional_layer.attention": (0, 1)}
    maps = model(small_inputs(), output_attentions=True).attentions
    assert [values.shape for values in maps] == [(2, 3, 5, 5), (2, 3, 5, 5), (2, 1, 12, 12)]
    train_once(model, ANSWERING)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({2: [0]}, "pruned_heads names attentions by path, as 'encoder_layers.0.attention'; got 'encoder_layers.2"),
        ({"additional_layer.attention": [0]}, "pruned_heads names attentions by path"),
        ({0: [3]}, "must be some of the heads 0 to 2, not all; got [3]"),
        ({"encoder_layers.1.attention": [0, 1, 2]}, "must be some of the heads 0 to 2, not all; got [0, 1, 2]"),
    ],
)
def test_heads_that_cannot_be_pruned(heads, message):
    model = make(MODEL)
    before = [numpy(v) for v in model.variables]
    with pytest.raises(ValueError, match="pruned_heads") as raised:
        model.prune_heads(heads)
    assert message in str(raised.value)
    assert model.config == small_config()
    equal([numpy(v) for v in model.variables], before)
