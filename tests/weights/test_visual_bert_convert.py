"""Conversion of VisualBERT where it is more than LXMERT's: no pooler, an additional layer, pruned heads, old files."""

import json

import keras
import numpy as np
import pytest
import transformers

import lxmert.tf
from lxmert import CheckpointMismatchError, VisualBertConfig, convert
from lxmert.common.specs import architectures
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from lxmert.weights.open import open_checkpoint
from tests.small import small_config, small_inputs, small_labels

from .cases import covering
from .weight_folders import VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

CLASSES = architectures("visual_bert")
BACKBONE = "VisualBertModel"
NAMES = ("folder", "model.weights.h5", "model.keras")


@pytest.mark.parametrize(("first", "second"), covering(NAMES, NAMES))
def test_a_backbone_without_pooler_keeps_every_bit(first, second, tmp_path):
    source = place = make_folder(tmp_path / "source", BACKBONE, pooler=False)
    for number, step in enumerate((first, second, "folder")):
        target = tmp_path / str(number) / step
        done = convert(place, target)
        assert (done.architecture, done.tensors) == (BACKBONE, len(tensors_of(BACKBONE)) - 2)
        place = target
    assert (place / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_keras_makes_a_backbone_without_pooler_from_its_archive(tmp_path):
    convert(make_folder(tmp_path / "source", BACKBONE, pooler=False), tmp_path / "a.keras")
    convert(make_folder(tmp_path / "whole", BACKBONE), tmp_path / "b.keras")
    without, whole = (keras.saving.load_model(tmp_path / name) for name in ("a.keras", "b.keras"))
    assert without.pooler is None
    assert set(whole._arrays()) - set(without._arrays()) == {"pooler.dense.weight", "pooler.dense.bias"}
    again = lxmert.tf.TFVisualBertModel.from_pretrained(tmp_path / "a.keras", add_pooling_layer=False)
    assert_bits_equal(again._arrays(), without._arrays())


@pytest.mark.parametrize("name", [name for name in CLASSES if name != BACKBONE])
def test_only_a_backbone_may_be_without_pooler(name, tmp_path):
    source = make_folder(tmp_path / "source", name, pooler=False)
    with pytest.raises(CheckpointMismatchError, match=rf"The file has no pooler, which {name} needs"):
        convert(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", [BACKBONE, "VisualBertForVisualReasoning"])
def test_an_additional_layer_pruned_heads_and_extra_keys_travel(name, tmp_path):
    config = VISUAL_BERT.replace(
        bypass_transformer=True,
        pruned_heads={"1": [0, 2], "additional_layer.attention": [1]},
        id2label={i: f"L{i}" for i in range(5)},
        architectures=["X"],
    )
    source = make_folder(tmp_path / "source", name, config)
    convert(source, tmp_path / "a.weights.h5")
    convert(tmp_path / "a.weights.h5", tmp_path / "b.keras")
    convert(tmp_path / "b.keras", tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), read_folder(source))
    again = VisualBertConfig.from_pretrained(tmp_path / "back")
    assert again == config
    assert (again.id2label, again.architectures) == (config.id2label, [name])
    assert keras.saving.load_model(tmp_path / "b.keras").config == config


def test_what_no_model_has_is_left_out_and_reported(tmp_path):
    name, words = "VisualBertForPreTraining", "visual_bert.embeddings.word_embeddings.weight"
    held = tensors_of(name)
    beside = {
        "visual_bert.embeddings.position_ids": np.arange(9)[None],
        "cls.predictions.decoder.weight": held[words],
        "cls.predictions.decoder.bias": held["cls.predictions.bias"],
    }
    seen = []
    done = convert(
        make_folder(tmp_path / "source", name, **beside),
        tmp_path / "a.keras",
        progress=lambda size, total: seen.append((size, total)),
    )
    assert done.report.unexpected == ("visual_bert.embeddings.position_ids",)
    assert done.report.source == str(tmp_path / "source" / "model.safetensors")
    assert done.report.naming == HUGGING_FACE.title
    assert (done.tensors, done.size) == (len(held), sum(x.nbytes for x in held.values()))
    assert (len(seen), sum(size for size, _ in seen), {total for _, total in seen}) == (
        done.tensors,
        done.size,
        {done.size},
    )
    convert(tmp_path / "a.keras", tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), held)


def test_another_configuration_leaves_nothing_out_without_a_word(tmp_path):
    source = make_folder(tmp_path / "source", BACKBONE, VISUAL_BERT.replace(bypass_transformer=True))
    with pytest.raises(CheckpointMismatchError, match="unexpected  16: additional_layer"):
        convert(source, tmp_path / "target", VISUAL_BERT)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtypes_are_kept(dtype, tmp_path):
    name = "VisualBertForRegionToPhraseAlignment"
    convert(make_folder(tmp_path / "source", name, dtype=dtype), tmp_path / "a.keras")
    convert(tmp_path / "a.keras", tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of(name, dtype=dtype))


@pytest.mark.parametrize("name", CLASSES)
def test_transformers_reads_what_we_write_with_nothing_missing(name, tmp_path):
    convert(make_folder(tmp_path / "source", name), tmp_path / "a.weights.h5")
    convert(tmp_path / "a.weights.h5", tmp_path / "back")
    theirs, told = getattr(transformers, name).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert {what: list(names) for what, names in told.items() if names} == {}
    held = {key: x.numpy() for key, x in theirs.state_dict().items()}
    wanted = tensors_of(name)
    assert_bits_equal({key: held[key] for key in wanted}, wanted)
    assert set(held) - set(wanted) == set(HUGGING_FACE.tied_copies()) & set(held)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras"])
def test_heads_of_one_name_are_told_apart_in_keras_files(name, tmp_path):
    holds, wanted = "VisualBertForMultipleChoice", "VisualBertForQuestionAnswering"
    convert(make_folder(tmp_path / "source", holds, VISUAL_BERT.replace(num_labels=1)), tmp_path / name)
    with open_checkpoint(tmp_path / name) as checkpoint:
        assert (checkpoint.heads, checkpoint.architecture) == (("choice",), holds)
        with pytest.raises(CheckpointMismatchError, match="The file lacks tensors of the heads: classifier"):
            match_parameters(checkpoint, wanted)


def test_the_keras_files_name_the_model_and_the_class(tmp_path):
    convert(make_folder(tmp_path / "source", "VisualBertForMultipleChoice"), tmp_path / "a.keras")
    with open_checkpoint(tmp_path / "a.keras") as checkpoint:
        stored = checkpoint.file.config
    assert stored == {**json.loads(VISUAL_BERT.to_json_string()), "architectures": ["VisualBertForMultipleChoice"]}


CHOICE = "VisualBertForMultipleChoice"


def test_what_keras_saves_of_a_trained_model_reads(tmp_path):
    model = lxmert.tf.TFVisualBertForMultipleChoice(small_config(CHOICE))
    model.compile(optimizer="adam", run_eagerly=True)
    model.train_on_batch({**small_inputs(CHOICE), **small_labels(CHOICE)})
    model.save_weights(tmp_path / "trained.weights.h5")
    model.save(tmp_path / "trained.keras")
    for name in ("trained.weights.h5", "trained.keras"):
        done = convert(tmp_path / name, tmp_path / "folder")
        assert (done.architecture, done.report.unexpected) == (CHOICE, ())
        again = lxmert.tf.TFVisualBertForMultipleChoice.from_pretrained(tmp_path / "folder")
        assert_bits_equal(again._arrays(), model._arrays())
