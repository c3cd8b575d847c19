"""tf_model.h5, in which TensorFlow models of transformers 4.x are saved: read as it was written there, and written so.

tests/golden/transformers-4.49/tf_small was made by transformers 4.49 with TensorFlow 2.18.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors import safe_open

from lxmert import CheckpointMismatchError, LxmertConfig, convert
from lxmert.weights.formats import open_weights
from lxmert.weights.formats.hdf5 import CONFIG_ATTRIBUTE
from lxmert.weights.load import match_parameters
from lxmert.weights.open import open_checkpoint

from .weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden" / "transformers-4.49"
SMALL = GOLDEN / "tf_small"


def layout(path):
    """All that an HDF5 file holds: groups and data sets in order, their attributes in order, types and values."""
    seen = {}

    def attributes(item):
        found = {}
        for name in item.attrs:
            kind = item.attrs.get_id(name)
            values = np.asarray(item.attrs[name])
            text = h5py.check_string_dtype(kind.dtype)
            held = values.astype(object).tolist() if values.dtype == object else values.tolist()
            found[name] = (kind.shape, kind.dtype.str, text, kind.get_type().get_class(), held)
        return found

    def note(name, item):
        values = (item.dtype.str, item.shape, item[()].tobytes()) if isinstance(item, h5py.Dataset) else None
        seen[name] = (values, attributes(item))

    with h5py.File(path) as file:
        file.visititems(note)
        return attributes(file), seen


@pytest.mark.parametrize("name", ["tf_small", "tf_pretraining_h5"])
def test_the_layout_is_theirs(name, tmp_path):
    """Converted to a folder and back, all is as it was but for one attribute of ours."""
    convert(GOLDEN / name, tmp_path / "folder")
    convert(tmp_path / "folder", tmp_path / "back", to="tf_model.h5")
    assert sorted(file.name for file in (tmp_path / "back").iterdir()) == ["config.json", "tf_model.h5"]
    theirs, ours = layout(GOLDEN / name / "tf_model.h5"), layout(tmp_path / "back" / "tf_model.h5")
    config = ours[0].pop(CONFIG_ATTRIBUTE)
    assert list(ours[0]) == list(theirs[0]) == ["backend", "keras_version", "layer_names"]
    assert ours[0] == theirs[0]
    assert list(ours[1]) == list(theirs[1])
    for place, (values, attributes) in theirs[1].items():
        assert ours[1][place][0] == values, place
        assert list(ours[1][place][1].items()) == list(attributes.items()), place
    values = json.loads(config[-1])
    assert values == json.loads((tmp_path / "back" / "config.json").read_text())
    assert values["architectures"] == ["LxmertForPreTraining"]
    assert {k: v for k, v in values.items() if k in json.loads((SMALL / "config.json").read_text())} == json.loads(
        (GOLDEN / name / "config.json").read_text()
    )


def test_a_file_by_itself_describes_itself(tmp_path):
    for name in ("tf_model.h5", "mine.h5"):
        done = convert(SMALL, tmp_path / name)
        assert (done.format, done.architecture) == ("tf_model.h5", "LxmertForPreTraining")
        with open_checkpoint(tmp_path / name) as checkpoint:
            assert checkpoint.config == LxmertConfig.from_pretrained(SMALL)
            assert match_parameters(checkpoint, checkpoint.architecture)[1].unexpected == ()
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("architecture", ["LxmertModel", "LxmertForPreTraining"])
@pytest.mark.parametrize(
    "config", [CONFIG, CONFIG.replace(task_qa=False), CONFIG.replace(task_obj_predict=False, r_layers=0)]
)
def test_there_and_back(architecture, config, tmp_path):
    source = make_folder(tmp_path / "source", architecture, config)
    done = convert(source, tmp_path / "there", to="tf_model.h5")
    assert done.tensors == len(tensors_of(architecture, config))
    convert(tmp_path / "there", tmp_path / "back")
    assert (tmp_path / "back" / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    with h5py.File(tmp_path / "there" / "tf_model.h5") as file:
        layers = ["lxmert", "cls", "obj_predict_head", "answer_head"]
        if architecture == "LxmertModel":
            layers = layers[:1]
        off = {"obj_predict_head": not config.task_obj_predict, "answer_head": not config.task_qa}
        assert file.attrs["layer_names"].tolist() == [layer for layer in layers if not off.get(layer)]
        root = {"LxmertModel": "tf_lxmert_model", "LxmertForPreTraining": "tf_lxmert_for_pre_training"}[architecture]
        assert list(file["lxmert"]) == [root]


def without_config(path):
    with h5py.File(path, "a") as file:
        file.attrs.pop(CONFIG_ATTRIBUTE, None)


def test_long_lists_of_names_are_split_as_keras_splits_them(tmp_path):
    """An attribute of HDF5 holds 64 kB; for more names Keras writes weight_names0, weight_names1, ..."""
    config = CONFIG.replace(l_layers=90, x_layers=9, hidden_size=3, num_attention_heads=3, intermediate_size=2)
    source = make_folder(tmp_path / "source", "LxmertModel", config)
    convert(source, tmp_path / "there", to="tf_model.h5")
    with h5py.File(tmp_path / "there" / "tf_model.h5") as file:
        names = sorted(file["lxmert"].attrs)
        assert names == [f"weight_names{i}" for i in range(len(names))]
        assert len(names) > 1
        listed = [name.decode() for part in names for name in file["lxmert"].attrs[part]]
        assert len(listed) == len(set(listed)) == len(tensors_of("LxmertModel", config))
        assert all(isinstance(file["lxmert"][name], h5py.Dataset) for name in listed)
        assert listed[0] == "tf_lxmert_model/lxmert/embeddings/word_embeddings/weight:0"
    convert(tmp_path / "there", tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), read_folder(source))


def test_a_root_whose_layers_are_split(tmp_path):
    path = tmp_path / "tf_model.h5"
    convert(SMALL, path)
    without_config(path)
    shutil.copy(SMALL / "config.json", tmp_path)
    with h5py.File(path, "a") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
    convert(path, tmp_path / "folder")
    convert(SMALL, tmp_path / "whole")
    assert_bits_equal(read_folder(tmp_path / "folder"), read_folder(tmp_path / "whole"))


@pytest.mark.parametrize("root", ["tf_lxmert_for_pre_training_7", "my_model", "lxmert"])
def test_any_name_of_the_model_reads(root, tmp_path):
    path = tmp_path / "tf_model.h5"
    shutil.copy(SMALL / "config.json", tmp_path)
    shutil.copy(SMALL / "tf_model.h5", path)
    with h5py.File(path, "a") as file:
        for layer in file:
            if list(file[layer]):
                file.move(f"{layer}/tf_lxmert_for_pre_training", f"{layer}/{root}")
    convert(path, tmp_path / "folder")
    convert(SMALL, tmp_path / "whole")
    assert_bits_equal(read_folder(tmp_path / "folder"), read_folder(tmp_path / "whole"))


def test_a_word_embedding_that_was_an_ordinary_layer(tmp_path):
    """Files of the first versions have `word_embeddings/embeddings:0` where later ones have `weight:0`."""
    shutil.copy(SMALL / "config.json", tmp_path)
    shutil.copy(SMALL / "tf_model.h5", path := tmp_path / "tf_model.h5")
    with h5py.File(path, "a") as file:
        for layer in ("lxmert", "cls"):
            words = f"{layer}/tf_lxmert_for_pre_training/lxmert/embeddings/word_embeddings"
            file.move(f"{words}/weight:0", f"{words}/embeddings:0")
    convert(path, tmp_path / "folder")
    convert(SMALL, tmp_path / "whole")
    assert_bits_equal(read_folder(tmp_path / "folder"), read_folder(tmp_path / "whole"))


def test_embeddings_that_differ_from_their_second_copy(tmp_path):
    """The word head holds the layer of the embeddings, so they are in the file twice."""
    shutil.copy(SMALL / "config.json", tmp_path)
    shutil.copy(SMALL / "tf_model.h5", path := tmp_path / "tf_model.h5")
    words = "tf_lxmert_for_pre_training/lxmert/embeddings/word_embeddings/weight:0"
    with h5py.File(path, "a") as file:
        file[f"cls/{words}"][3, 4] += 1
    with pytest.raises(ValueError, match=rf"holds lxmert/embeddings/word_embeddings/weight:0 twice, .*cls/{words}"):
        convert(path, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    # A backbone does not look at a head's copy, and is not hindered by one of another size.
    with h5py.File(path, "a") as file:
        del file[f"cls/{words}"]
        file[f"cls/{words}"] = np.ones((5, 8), "f4")
    with pytest.raises(ValueError, match=r"holds lxmert/embeddings/word_embeddings/weight:0 twice, as \["):
        open_weights(path)


def test_tensorflows_way_round_in_safetensors(tmp_path):
    """Names with `:0`, kernels turned; converted, they are what PyTorch reads."""
    source = GOLDEN / "tf_pretraining_safetensors"
    done = convert(source, tmp_path / "folder")
    assert (done.report.format, done.report.naming) == (
        "safetensors in TensorFlow's layout",
        "Hugging Face (TensorFlow)",
    )
    before, after = read_folder(source), read_folder(tmp_path / "folder")
    assert len(before) == len(after)
    name = "obj_predict_head/decoder_dict.obj/kernel:0"
    assert np.array_equal(after["obj_predict_head.decoder_dict.obj.weight"], before[name].T)
    name = "lxmert/encoder/x_layers_._1/visual_attention/att/query/kernel:0"
    assert np.array_equal(after["lxmert.encoder.x_layers.1.visual_attention.att.query.weight"], before[name].T)
    with safe_open(tmp_path / "folder" / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
    # Without a configuration too: the names and shapes are enough for all but the number of heads.
    shutil.copy(source / "model.safetensors", tmp_path / "alone.safetensors")
    with open_checkpoint(tmp_path / "alone.safetensors", num_attention_heads=3) as checkpoint:
        assert checkpoint.config == LxmertConfig.from_pretrained(source)


@pytest.mark.parametrize(
    ("architecture", "config", "options", "message"),
    [
        (
            "LxmertForQuestionAnswering",
            CONFIG,
            {},
            "has no LxmertForQuestionAnswering in TensorFlow; it has LxmertModel",
        ),
        ("VisualBertModel", VISUAL_BERT, {}, "transformers has no VisualBertModel in TensorFlow"),
        (
            "LxmertModel",
            CONFIG.replace(pruned_heads={"visual_layers.1.attention": [0]}),
            {},
            "have neither pruned heads nor an untied word head",
        ),
        ("LxmertForPreTraining", CONFIG.replace(tie_word_embeddings=False), {}, "nor an untied word head"),
        ("LxmertModel", CONFIG, {"dtype": "bfloat16"}, "tf_model.h5 holds no bfloat16; pass dtype float32 or float16"),
        ("LxmertModel", CONFIG, {"max_shard_size": 99}, "max_shard_size divides a folder's safetensors; .* is to be"),
    ],
)
def test_what_was_not_there_in_tensorflow(architecture, config, options, message, tmp_path):
    source = make_folder(tmp_path / "source", architecture, config)
    with pytest.raises(ValueError, match=message):
        convert(source, tmp_path / "there", to="tf_model.h5", **options)
    assert not (tmp_path / "there").exists()


def test_a_damaged_copy_says_what_is_missing(tmp_path):
    shutil.copy(SMALL / "config.json", tmp_path)
    shutil.copy(SMALL / "tf_model.h5", path := tmp_path / "tf_model.h5")
    with h5py.File(path, "a") as file:
        del file["lxmert/tf_lxmert_for_pre_training/lxmert/pooler/dense/kernel:0"]
    with pytest.raises(CheckpointMismatchError, match=r"missing     1: lxmert/pooler/dense/kernel:0") as error:
        convert(path, tmp_path / "folder")
    assert error.value.missing == ("lxmert/pooler/dense/kernel:0",)


def test_beside_the_weights_of_another_model(tmp_path):
    """A new config.json would make the old weights another model's."""
    convert(make_folder(tmp_path / "a"), tmp_path / "both")
    with pytest.raises(ValueError, match=r"holds model\.safetensors, which every reader takes before a tf_model\.h5"):
        convert(tmp_path / "a", tmp_path / "both", to="tf_model.h5")
    convert(tmp_path / "both", tmp_path / "both", to="tf_model.h5")  # the same weights: both may lie there
    other = make_folder(tmp_path / "b", config=CONFIG.replace(num_attention_heads=2))
    before = (tmp_path / "both/config.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds model\.safetensors, which every reader takes before"):
        convert(other, tmp_path / "both", to="tf_model.h5")
    assert (tmp_path / "both/config.json").read_bytes() == before
    with pytest.raises(
        ValueError, match=r"holds tf_model\.h5, whose config\.json is of another model than the model\.sa"
    ):
        convert(other, tmp_path / "both")
    convert(other, tmp_path / "a")  # its own kind is replaced
