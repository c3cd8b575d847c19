"""A Keras model on disk: `.keras`, `.weights.h5` and SavedModel, and what is read back."""

import json
import subprocess
import sys
import textwrap

import h5py
import keras
import numpy as np
import pytest

import lxmert.tf
from lxmert.tf import dropout as tf_dropout
from lxmert.tf import embeddings as tf_embeddings
from lxmert.tf import heads as tf_heads
from lxmert.tf import init as tf_init
from lxmert.tf import layers as tf_layers
from lxmert.tf import lxmert as tf_lxmert
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.small import NAMES, everything, is_visual_bert, small_config, small_inputs, small_options

every_name = pytest.mark.parametrize("name", NAMES)
VISUAL_BERT = "VisualBertModel"


def kind(name):
    return getattr(lxmert.tf, f"TF{name}")


def odd_config(name):
    """What changes the weights or their paths: pruned heads, and VisualBERT's layer behind the others."""
    if not is_visual_bert(name):
        return small_config(name, pruned_heads={"language_layers.0.attention": (1,)})
    pruned = {"encoder_layers.1.attention": (1,), "additional_layer.attention": (0,)}
    return small_config(name, bypass_transformer=True, pruned_heads=pruned)


def inputs(name):
    return {**small_inputs(name), **small_options(name)}


def equal(found, expected, atol=0.0):
    found, expected = ([*x.values()] if isinstance(x, dict) else x for x in (found, expected))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def run_fresh(code, *arguments):
    """Run code in a process of its own; it says what went wrong if something did."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Keras' own formats


@every_name
def test_archives_and_weight_files_keep_everything(name, tmp_path):
    config = odd_config(name)
    model = kind(name)(config)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    archived = keras.models.load_model(tmp_path / "model.keras")
    read = kind(name).from_pretrained(tmp_path / "a.weights.h5")
    others = []
    if "PreTraining" in name:  # of the others test_convert_processes.py reads such files in this way
        others.append(kind(name)(config))
        others[0].load_weights(tmp_path / "a.weights.h5")
    expected = model(inputs(name))
    for again in (archived, read, *others):
        assert type(again) is kind(name)
        assert again.config == config
        assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
        equal(again(inputs(name)), expected)
    assert [v.path for v in archived.variables] == [v.path for v in model.variables]
    for again in (archived, read):
        assert again.config.architectures == [name]


def test_a_weight_file_that_keras_does_not_read_is_named(tmp_path):
    model = kind("LxmertModel")(small_config("LxmertModel"))
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        del file["pooler/dense/vars/1"]
    with pytest.raises(
        ValueError, match=r"a\.weights\.h5 is not read by Keras: .*expected 2 variables, but received 1"
    ):
        model.load_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForPreTraining"])
def test_training_goes_on_after_loading(name, tmp_path):
    model, data = kind(name)(small_config(name)), everything(name)
    data.pop("head_mask", None)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), run_eagerly=True)
    model.fit(data, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert int(again.optimizer.iterations) == 1
    expected, found = (m.fit(data, epochs=2, verbose=0).history["loss"] for m in (model, again))
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_decoder_of_its_own_is_kept_in_every_format(tmp_path):
    pretraining, x = kind("LxmertForPreTraining"), small_inputs()
    model = pretraining(small_config(tie_word_embeddings=False))
    model.heads.word.decoder.trainable = False
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    archived = keras.models.load_model(tmp_path / "model.keras")
    other = pretraining(small_config(tie_word_embeddings=False))
    other.load_weights(tmp_path / "a.weights.h5")
    read = [pretraining.from_pretrained(tmp_path / name) for name in ("model.keras", "a.weights.h5")]
    for again in (archived, other, *read):
        assert again.config.untied_words
        equal([again.heads.word.decoder.embeddings], [model.heads.word.decoder.embeddings])
        equal(again(x), model(x))
    with pytest.raises(CheckpointMismatchError, match="unexpected  1: heads/word/decoder/vars/0"):
        pretraining.from_pretrained(tmp_path / "a.weights.h5", tie_word_embeddings=True)


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5"])
def test_a_backbone_without_pooler_comes_back(file, tmp_path):
    model = kind(VISUAL_BERT)(odd_config(VISUAL_BERT), add_pooling_layer=False)
    (model.save if file == "model.keras" else model.save_weights)(tmp_path / file)
    again = kind(VISUAL_BERT).from_pretrained(tmp_path / file, add_pooling_layer=False)
    assert again.pooler is None
    equal(again(inputs(VISUAL_BERT)), model(inputs(VISUAL_BERT)))
    if file == "model.keras":
        assert keras.models.load_model(tmp_path / file).pooler is None


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "VisualBertForPreTraining"])
def test_a_resized_model_with_another_table_comes_back(name, tmp_path):
    model, x = kind(name)(small_config(name)), small_inputs(name)
    model.resize_token_embeddings(31)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.config.vocab_size == 31
    equal(again(x), model(x))


@every_name
def test_configs_and_clones(name):
    model = kind(name)(odd_config(name), dtype="mixed_bfloat16", name="mine")
    json.dumps(model.get_config())
    for made in (kind(name).from_config(model.get_config()), keras.models.clone_model(model)):
        assert made.name == "mine"
        assert made.config == odd_config(name)
        assert made.config.architectures == [name]
        assert made.dtype_policy.name == "mixed_bfloat16"
        assert [v.path for v in made.variables] == [v.path for v in model.variables]
    # The paths of the variables are those of the attributes.
    ours = [p for p, _ in model.weights_by_name()]
    nested = "" if name.endswith("Model") else "backbone/"
    expected = {
        f"mine/{'' if p.head else nested}{p.module.replace('_layers.', '_layers#').replace('.', '/')}".replace("#", ".")
        + (f"/{p.leaf.keras}" if p.leaf.keras else "")
        for p in ours
    }
    assert {v.path for v in model.variables} == expected
    assert len(model.variables) == len(ours)


def test_clones_without_pooler():
    without = kind(VISUAL_BERT)(odd_config(VISUAL_BERT), add_pooling_layer=False)
    assert kind(VISUAL_BERT).from_config(without.get_config()).pooler is None
    assert keras.models.clone_model(without).pooler is None


def layers():
    config, other = small_config(), odd_config(VISUAL_BERT)
    hidden, ids = (None, None, 24), (None, None)
    heads = {"all": ("word", "match", "classifier", "choice", "alignment"), "one": ("choice",)}
    return [
        (tf_layers.Embedding(9, 24, embeddings_initializer=tf_init.NormalInitializer(0.1, 0)), ids),
        (tf_layers.Embedding(9, 24, 1, embeddings_initializer=tf_init.NormalInitializer(0.1, 1)), ids),
        (tf_layers.Embedding(9, 24, None, embeddings_initializer=tf_init.NormalInitializer(0.1, None)), ids),
        (tf_dropout.Dropout(0.1), hidden),
        (tf_layers.Attention(config, pruned_heads=(1,)), hidden),
        (tf_layers.FeedForward(config), hidden),
        (tf_layers.TransformerLayer(config, pruned_heads=(0, 2)), hidden),
        (tf_layers.TransformerLayer(other, pruned_heads=(0, 2)), hidden),
        (tf_embeddings.LanguageEmbeddings(config), ids),
        (tf_embeddings.RegionEmbeddings(config), (None, None, 9)),
        (tf_embeddings.JointEmbeddings(other), ids),
        (tf_lxmert.CrossLayer(config, 0), hidden),
        (tf_layers.Pooler(config), hidden),
        (tf_heads.WordHead(config), hidden),
        (tf_heads.WordHead(small_config(tie_word_embeddings=False)), hidden),
        (tf_heads.ObjectHead(config), hidden),
        (tf_heads.AnswerHead(config, 11), (None, 24)),
        (tf_heads.AnswerHead(config, 2, images=2), (None, 48)),
        (tf_heads.Heads(config, ("word", "match")), hidden),
        (tf_heads.AlignmentHead(other), hidden),
        *((tf_heads.VisualBertHeads(other, names), hidden) for names in heads.values()),
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


def test_a_file_that_is_not_to_be_overwritten_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.weights.h5"
    kind("LxmertForQuestionAnswering")(small_config()).save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr("builtins.input", lambda _: "n")
    model = kind("LxmertModel")(small_config())
    model.save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    model.save_weights(path)
    assert b'"LxmertModel"' in path.read_bytes()


# In other processes


# Each head, each number of images, and a backbone; the other classes have the same inputs and heads.
EXPORTED = ("VisualBertForMultipleChoice", "LxmertForPreTraining", "LxmertForVisualReasoning", NAMES[-1], VISUAL_BERT)
SIZES = ((1, 3, 2), (4, 6, 1))


@pytest.mark.parametrize(
    "names",
    [EXPORTED[:1], EXPORTED[1:]],
    ids=["one", "the others"],
)
@pytest.mark.full
def test_exported_models_answer_without_this_package(names, tmp_path):
    models = {}
    for name in names:
        layers = {"num_hidden_layers": 1, "bypass_transformer": name == VISUAL_BERT} if is_visual_bert(name) else {}
        options = {"add_pooling_layer": False} if name == VISUAL_BERT else {}
        models[name] = kind(name)(small_config(name, **layers), **options)

    def given(name, i):
        # Other numbers of phrases and choices, too.
        x = small_inputs(name, *SIZES[i])
        if "region_to_phrase_position" in x:
            x["region_to_phrase_position"] = x["region_to_phrase_position"][:, : i + 1]
        return {key: values[:, : i + 1] for key, values in x.items()} if "Choice" in name else x

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
                    key: tf.constant(values, ("int32", "int64")[i] if values.dtype.kind == "i" else "float32")
                    for key, values in np.load(f"{folder}/{name}{i}.npz").items()
                }
                np.savez(f"{folder}/{name}{i}.out.npz", **{key: v.numpy() for key, v in served.serve(given).items()})
            absent = [key for key in given if "mask" in key or "type" in key]
            for some in ([absent[0]], absent[1:], absent):
                kept = {key: values for key, values in given.items() if key not in some}
                scores = served.serve(kept)
            kept = {key: tf.cast(v, "int32") if v.dtype.is_integer else v for key, v in kept.items()}
            for key, values in served.signatures["without_masks"](**kept).items():  # the signature of a server
                np.testing.assert_allclose(values, scores[key], atol=1e-5)
            assert set(served.signatures) == {"serve", "serving_default", "without_masks"}
            np.savez(f"{folder}/{name}.bare.npz", **{key: values.numpy() for key, values in scores.items()})
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
        bare = {key: values for key, values in given(name, 1).items() if not ("mask" in key or "type" in key)}
        with np.load(tmp_path / f"{name}.bare.npz") as found:
            equal([found[key] for key in expected], list(model(bare).values()), atol=1e-5)
