"""A Keras VisualBERT on disk: `.keras`, `.weights.h5`, SavedModel, the shared folder, and what is read back."""

import json

import keras
import numpy as np
import pytest

import lxmert.tf
from lxmert.tf import embeddings as tf_embeddings
from lxmert.tf import heads as tf_heads
from lxmert.tf import init as tf_starting
from lxmert.tf import layers as tf_layers
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
    small_options,
)

from .test_saving import equal, run_fresh

every_name = pytest.mark.parametrize("name", NAMES)
# What changes the weights or their paths: pruned heads, the layer behind the others, no pooler.
CONFIG = small_config(
    bypass_transformer=True, pruned_heads={"encoder_layers.1.attention": (1,), "additional_layer.attention": (0,)}
)


def kind(name):
    return getattr(lxmert.tf, f"TF{name}")


def inputs(name):
    return {**small_inputs(name), **small_options(name)}


def told(config, name):
    """A config as it comes back from a file, which names the class."""
    return config.replace(extra={"architectures": [name]})


# Keras' own formats


@every_name
def test_a_keras_archive_keeps_everything(name, tmp_path):
    model = kind(name)(CONFIG)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is kind(name)
    assert again.config == CONFIG
    assert again.config.extra == {"architectures": [name]}
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
    equal(again(inputs(name)), model(inputs(name)))


@pytest.mark.parametrize("name", [PRETRAINING, ALIGNING])
def test_training_goes_on_after_loading(name, tmp_path):
    model, x, labels = kind(name)(small_config()), inputs(name), small_labels(name)
    del x["head_mask"]
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), run_eagerly=True)
    model.fit(x, labels, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert int(again.optimizer.iterations) == 2
    expected, found = (m.fit(x, labels, epochs=1, verbose=0).history["loss"] for m in (model, again))
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_fresh_process_loads_keras_archives(tmp_path):
    models = {name: kind(name)(CONFIG) for name in NAMES}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.inputs.npz", **inputs(name))
    run_fresh(
        """
        import sys
        import lxmert.tf, keras, numpy as np
        folder, *names = sys.argv[1:]
        for name in names:
            output = keras.models.load_model(f"{folder}/{name}.keras")(dict(np.load(f"{folder}/{name}.inputs.npz")))
            np.savez(f"{folder}/{name}.outputs.npz", *[np.asarray(values) for values in output])
        assert "torch" not in sys.modules
        """,
        tmp_path,
        *models,
    )
    for name, model in models.items():
        with np.load(tmp_path / f"{name}.outputs.npz") as found:
            equal([found[key] for key in found.files], model(inputs(name)), atol=1e-6)


@every_name
def test_weights_files(name, tmp_path):
    model, other = kind(name)(CONFIG), kind(name)(CONFIG)
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    equal(other(inputs(name)), model(inputs(name)))
    read = kind(name).from_pretrained(tmp_path / "a.weights.h5")
    assert read.config == CONFIG
    equal(read(inputs(name)), model(inputs(name)))


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5", "folder"])
def test_a_backbone_without_pooler_comes_back(file, tmp_path):
    model = kind(MODEL)(CONFIG, add_pooling_layer=False)
    if file == "folder":
        model.save_pretrained(tmp_path / file)
    else:
        (model.save if file == "model.keras" else model.save_weights)(tmp_path / file)
    again = kind(MODEL).from_pretrained(tmp_path / file, add_pooling_layer=False)
    assert again.pooler is None
    equal(again(inputs(MODEL)), model(inputs(MODEL)))
    if file == "model.keras":
        assert keras.models.load_model(tmp_path / file).pooler is None


@every_name
def test_variable_paths_are_attribute_paths(name):
    model = kind(name)(CONFIG, name="mine")
    ours = [p for p, _ in model.weights_by_name()]
    nested = "" if name == MODEL else "backbone/"
    expected = {
        f"mine/{'' if p.head else nested}{p.module.replace('_layers.', '_layers#').replace('.', '/')}".replace("#", ".")
        + (f"/{p.leaf.keras}" if p.leaf.keras else "")
        for p in ours
    }
    assert {v.path for v in model.variables} == expected
    assert len(model.variables) == len(ours)


@every_name
def test_configs_and_clones(name):
    model = kind(name)(CONFIG, dtype="mixed_bfloat16", name="mine")
    json.dumps(model.get_config())
    for made in (kind(name).from_config(model.get_config()), keras.models.clone_model(model)):
        assert made.name == "mine"
        assert made.config == told(CONFIG, name)
        assert made.dtype_policy.name == "mixed_bfloat16"
        assert [v.path for v in made.variables] == [v.path for v in model.variables]
    without = kind(MODEL)(CONFIG, add_pooling_layer=False)
    assert kind(MODEL).from_config(without.get_config()).pooler is keras.models.clone_model(without).pooler is None


def layers():
    hidden = (None, None, 24)
    heads = {"all": ("word", "match", "classifier", "choice", "alignment"), "one": ("choice",)}
    return [
        (tf_layers.Embedding(9, 24, 1, embeddings_initializer=tf_starting.NormalInitializer(0.1, 1)), (None, None)),
        (
            tf_layers.Embedding(9, 24, None, embeddings_initializer=tf_starting.NormalInitializer(0.1, None)),
            (None, None),
        ),
        (tf_layers.TransformerLayer(CONFIG, pruned_heads=(0, 2)), hidden),
        (tf_embeddings.JointEmbeddings(CONFIG), (None, None)),
        (tf_layers.Pooler(CONFIG), hidden),
        (tf_heads.AlignmentHead(CONFIG), hidden),
        *((tf_heads.VisualBertHeads(CONFIG, names), hidden) for names in heads.values()),
    ]


@pytest.mark.parametrize(("layer", "shape"), layers(), ids=lambda value: type(value).__name__)
def test_layers_are_made_again_from_their_configs(layer, shape):
    saved = keras.saving.serialize_keras_object(layer)
    json.dumps(saved)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config() == keras.saving.deserialize_keras_object(saved).get_config()
    layer.build(shape)
    again.build(shape)
    assert [v.shape for v in again.variables] == [v.shape for v in layer.variables]
    assert len(layer.variables) >= 1


# SavedModel


def test_exported_models_answer_without_this_package(tmp_path):
    models = {name: kind(name)(small_config(num_hidden_layers=1)) for name in TASKS}
    models[MODEL] = kind(MODEL)(small_config(num_hidden_layers=1, bypass_transformer=True), add_pooling_layer=False)
    sizes = ((1, 3, 2), (4, 6, 1))

    def given(name, i):
        # Other numbers of phrases and choices, too.
        x = small_inputs(name, *sizes[i])
        if name == ALIGNING:
            x["region_to_phrase_position"] = x["region_to_phrase_position"][:, : i + 1]
        return {key: values[:, : i + 1] for key, values in x.items()} if name == CHOOSING else x

    for name, model in models.items():
        model.export(tmp_path / name, verbose=False)
        for i in range(2):
            np.savez(tmp_path / f"{name}{i}.npz", **given(name, i))
    run_fresh(
        """
        import sys
        sys.modules["lxmert"] = sys.modules["keras"] = None  # importing them fails
        import numpy as np
        import tensorflow as tf
        folder, *names = sys.argv[1:]
        for name in names:
            served = tf.saved_model.load(f"{folder}/{name}")
            for i in range(2):
                given = {
                    key: tf.constant(values, "int32" if values.dtype.kind == "i" else "float32")
                    for key, values in np.load(f"{folder}/{name}{i}.npz").items()
                }
                np.savez(f"{folder}/{name}{i}.out.npz", **{key: v.numpy() for key, v in served.serve(given).items()})
        """,
        tmp_path,
        *models,
    )
    for name, model in models.items():
        for i in range(2):
            expected = dict(model(given(name, i)).items())
            with np.load(tmp_path / f"{name}{i}.out.npz") as found:
                assert set(found.files) == set(expected)
                equal([found[key] for key in expected], list(expected.values()), atol=1e-5)


# The shared folder


@every_name
def test_a_folder_comes_back(name, tmp_path):
    model = kind(name)(CONFIG)
    model.save_pretrained(tmp_path / "new" / "folder")
    again = kind(name).from_pretrained(tmp_path / "new" / "folder")
    assert again.config == CONFIG
    assert again.config.extra["architectures"] == [name]
    assert again.load_report.new == again.load_report.unexpected == ()
    assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
    equal(again(inputs(name)), model(inputs(name)))


def test_parts_of_a_folder(tmp_path):
    model = kind(PRETRAINING)(small_config())
    model.save_pretrained(tmp_path)
    x = inputs(MODEL)
    backbone = kind(MODEL).from_pretrained(tmp_path)
    equal(backbone(x), model.backbone(x))
    assert {name.split(".")[0] for name in backbone.load_report.unexpected} == {"cls"}
    bare = kind(MODEL).from_pretrained(tmp_path, add_pooling_layer=False)
    equal(bare(x), model.backbone(x)[:1])
    assert any(name.endswith("pooler.dense.weight") for name in bare.load_report.unexpected)
    for name, head in ((CHOOSING, "choice"), (ANSWERING, "classifier"), (REASONING, "classifier")):
        fresh = kind(name).from_pretrained(tmp_path, only="backbone")
        assert {part.split(".")[1] for part in fresh.load_report.new} == {head}
        equal(fresh.backbone(x), model.backbone(x))
    aligning = kind(ALIGNING).from_pretrained(tmp_path, allow_new_head=True)
    assert {part.split(".")[1] for part in aligning.load_report.new} == {"alignment"}
    equal([aligning.heads.word.bias], [model.heads.word.bias])
    changed = kind(PRETRAINING).from_pretrained(tmp_path, output_hidden_states=True, dtype="float64")
    assert changed.config.output_hidden_states
    assert {v.dtype for v in changed.variables} == {"float64"}


def test_another_number_of_labels(tmp_path):
    kind(ANSWERING)(small_config()).save_pretrained(tmp_path)
    other = kind(REASONING).from_pretrained(tmp_path, num_labels=3, allow_new_head=True)
    assert other(inputs(REASONING)).logits.shape == (2, 3)
    assert {part.split(".")[1] for part in other.load_report.new} == {"classifier"}
