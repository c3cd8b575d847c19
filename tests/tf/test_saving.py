"""A Keras model on disk: `.keras`, `.weights.h5`, SavedModel, the shared folder, and what is read back."""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import transformers

from lxmert.common.config import LxmertConfig
from lxmert.tf import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning, TFLxmertModel
from lxmert.tf import dropout as tf_dropout
from lxmert.tf import embeddings as tf_embeddings
from lxmert.tf import heads as tf_heads
from lxmert.tf import init as tf_starting
from lxmert.tf import layers as tf_layers
from lxmert.tf import lxmert as tf_lxmert
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.small_lxmert import answer_indices, small_config, small_inputs

X = small_inputs()
ANSWER = answer_indices()
KINDS = (TFLxmertModel, TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def x_of(kind):
    """The inputs of a class."""
    return small_inputs(name=kind.architecture())


def equal(found, expected, atol=0.0):
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


@every_kind
def test_a_keras_archive_keeps_everything(kind, tmp_path):
    model = kind(small_config(pruned_heads={"language_layers.0.attention": (1,)}))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is kind
    assert again.config == model.config.replace(extra={"architectures": [kind.architecture()]})
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
    equal(again(x_of(kind)), model(x_of(kind)))


def test_training_goes_on_after_loading(tmp_path):
    model = TFLxmertForQuestionAnswering(small_config())
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True, metrics=["accuracy"])
    model.fit(X, ANSWER, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert int(again.optimizer.iterations) == 2
    expected, found = (m.fit(X, ANSWER, epochs=2, verbose=0).history for m in (model, again))
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert found["accuracy"] == expected["accuracy"]
    equal(again(X), model(X), atol=1e-6)


def test_a_fresh_process_loads_a_keras_archive(tmp_path):
    model = TFLxmertForPreTraining(small_config())
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **X)
    run_fresh(
        """
        import sys
        import lxmert.tf, keras, numpy as np
        model = keras.models.load_model(sys.argv[1] + "/model.keras")
        output = model(dict(np.load(sys.argv[1] + "/inputs.npz")))
        np.savez(sys.argv[1] + "/outputs.npz", *[np.asarray(values) for values in output])
        assert "torch" not in sys.modules
        """,
        tmp_path,
    )
    with np.load(tmp_path / "outputs.npz") as found:
        equal([found[name] for name in found.files], model(X), atol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_decoder_of_its_own_is_kept_in_every_format(frozen, tmp_path):
    model = TFLxmertForPreTraining(small_config(tie_word_embeddings=False))
    model.heads.word.decoder.trainable = not frozen
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    archived = keras.models.load_model(tmp_path / "model.keras")
    other = TFLxmertForPreTraining(small_config(tie_word_embeddings=False))
    other.load_weights(tmp_path / "a.weights.h5")
    read = [TFLxmertForPreTraining.from_pretrained(tmp_path / name) for name in ("model.keras", "a.weights.h5")]
    for again in (archived, other, *read):
        assert again.config.untied_words
        equal([again.heads.word.decoder.embeddings], [model.heads.word.decoder.embeddings])
        equal(again(X), model(X))
    with pytest.raises(CheckpointMismatchError, match="unexpected  1: heads/word/decoder/vars/0"):
        TFLxmertForPreTraining.from_pretrained(tmp_path / "a.weights.h5", tie_word_embeddings=True)


@every_kind
def test_weights_files(kind, tmp_path):
    model, other = kind(small_config()), kind(small_config())
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    equal(other(x_of(kind)), model(x_of(kind)))
    read = kind.from_pretrained(tmp_path / "a.weights.h5")
    assert read.config.extra["architectures"] == [kind.architecture()]
    equal(read(x_of(kind)), model(x_of(kind)))


@every_kind
def test_variable_paths_are_attribute_paths(kind):
    model = kind(small_config(), name="mine")
    ours = [p for p, _ in model.weights_by_name()]
    nested = "" if kind is TFLxmertModel else "backbone/"
    expected = {
        f"mine/{'' if p.head else nested}{p.module.replace('_layers.', '_layers#').replace('.', '/')}".replace("#", ".")
        + (f"/{p.leaf.keras}" if p.leaf.keras else "")
        for p in ours
    }
    assert {v.path for v in model.variables} == expected
    assert len(model.variables) == len(ours)


@every_kind
def test_configs_and_clones(kind):
    model = kind(small_config(task_matched=False), dtype="mixed_bfloat16", name="mine")
    json.dumps(model.get_config())
    for made in (kind.from_config(model.get_config()), keras.models.clone_model(model)):
        assert made.name == "mine"
        assert made.config == model.config.replace(extra={"architectures": [kind.architecture()]})
        assert made.dtype_policy.name == "mixed_bfloat16"
        assert [v.path for v in made.variables] == [v.path for v in model.variables]


def layers():
    config = small_config()
    hidden = (None, None, 24)
    return [
        (tf_layers.Embedding(9, 24, embeddings_initializer=tf_starting.NormalInitializer(0.1, 0)), (None, None)),
        (tf_dropout.Dropout(0.1), hidden),
        (tf_layers.Attention(config, pruned_heads=(1,)), hidden),
        (tf_layers.FeedForward(config), hidden),
        (tf_layers.TransformerLayer(config, pruned_heads=(0, 2)), hidden),
        (tf_embeddings.LanguageEmbeddings(config), (None, None)),
        (tf_embeddings.RegionEmbeddings(config), (None, None, 9)),
        (tf_lxmert.CrossLayer(config, 0), hidden),
        (tf_layers.Pooler(config), hidden),
        (tf_heads.WordHead(config), hidden),
        (tf_heads.ObjectHead(config), hidden),
        (tf_heads.AnswerHead(config, 11), (None, 24)),
        (tf_heads.AnswerHead(config, 2, images=2), (None, 48)),
        (tf_heads.WordHead(small_config(tie_word_embeddings=False)), hidden),
        (tf_heads.LxmertHeads(config, ("word", "match")), hidden),
    ]


@pytest.mark.parametrize(("layer", "shape"), layers(), ids=lambda value: type(value).__name__)
def test_layers_are_made_again_from_their_configs(layer, shape):
    config = layer.get_config()
    json.dumps(keras.saving.serialize_keras_object(layer))
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config() == config
    layer.build(shape)
    again.build(shape)
    assert [v.shape for v in again.variables] == [v.shape for v in layer.variables]


# SavedModel


def test_exported_models_answer_without_this_package(tmp_path):
    models = {kind.__name__: kind(small_config()) for kind in KINDS}
    sizes = ((1, 3, 2), (4, 6, 1))
    for name, model in models.items():
        model.export(tmp_path / name, verbose=False)
    for i, (batch, length, regions) in enumerate(sizes):
        for name in models:
            given = small_inputs(batch, length, regions, name=name.removeprefix("TF"))
            np.savez(tmp_path / f"{name}_inputs{i}.npz", **given)
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
                    for key, values in np.load(f"{folder}/{name}_inputs{i}.npz").items()
                }
                np.savez(f"{folder}/{name}{i}.npz", **{key: v.numpy() for key, v in served.serve(given).items()})
        """,
        tmp_path,
        *models,
    )
    for name, model in models.items():
        for i, size in enumerate(sizes):
            expected = dict(model(small_inputs(*size, name=model.architecture())).items())
            with np.load(tmp_path / f"{name}{i}.npz") as found:
                assert set(found.files) == set(expected)
                equal([found[key] for key in expected], list(expected.values()), atol=1e-6)


# The shared folder


def test_transformers_reads_the_folder(tmp_path):
    import torch

    model = TFLxmertForPreTraining(small_config())
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    theirs, info = transformers.LxmertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("unexpected_keys", "mismatched_keys"))
    # Its decoder is the tied word embedding.
    assert set(info["missing_keys"]) <= {"cls.predictions.decoder.weight"}
    x = {name: values[:2] for name, values in X.items()}
    with torch.no_grad():
        expected = theirs.eval()(**{name: torch.from_numpy(values) for name, values in x.items()})
    found = model(x)
    np.testing.assert_allclose(found.prediction_logits, expected.prediction_logits, atol=1e-5)
    np.testing.assert_allclose(found.question_answering_score, expected.question_answering_score, atol=1e-5)


@every_kind
def test_a_folder_comes_back(kind, tmp_path):
    model = kind(small_config())
    model.save_pretrained(tmp_path / "new" / "folder")
    again = kind.from_pretrained(tmp_path / "new" / "folder")
    assert LxmertConfig.from_pretrained(tmp_path / "new" / "folder").extra["architectures"] == [kind.architecture()]
    assert again.load_report.new == again.load_report.unexpected == ()
    assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
    equal(again(x_of(kind)), model(x_of(kind)))


def test_parts_of_a_folder(tmp_path):
    model = TFLxmertForPreTraining(small_config())
    model.save_pretrained(tmp_path)
    backbone = TFLxmertModel.from_pretrained(tmp_path)
    equal(backbone(X), model.backbone(X))
    assert all(
        name.split(".")[0] in ("cls", "obj_predict_head", "answer_head") for name in backbone.load_report.unexpected
    )
    answering = TFLxmertForQuestionAnswering.from_pretrained(tmp_path)
    # It computes the last layer for the first word alone, and so rounds otherwise: by 6e-8 where it was measured.
    np.testing.assert_allclose(answering(X).question_answering_score, model(X).question_answering_score, atol=1e-6)
    fresh = TFLxmertForQuestionAnswering.from_pretrained(tmp_path, only="backbone")
    assert {name.split(".")[1] for name in fresh.load_report.new} == {"answer"}
    equal(fresh.backbone(X), model.backbone(X))
    other = TFLxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_labels=3, allow_new_head=True)
    assert other(X).question_answering_score.shape == (3, 3)
    changed = TFLxmertForQuestionAnswering.from_pretrained(tmp_path, output_hidden_states=True, dtype="float64")
    assert changed.config.output_hidden_states
    assert {v.dtype for v in changed.variables} == {"float64"}


def test_a_file_that_is_not_to_be_overwritten_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.weights.h5"
    TFLxmertForQuestionAnswering(small_config()).save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr("builtins.input", lambda _: "n")
    TFLxmertModel(small_config()).save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    TFLxmertModel(small_config()).save_weights(path)
    assert b'"LxmertModel"' in path.read_bytes()
