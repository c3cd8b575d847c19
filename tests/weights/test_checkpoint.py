"""Weight files met with configurations: what a file holds, what fits, and what the message says when it does not."""

import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert import CheckpointMismatchError, LxmertConfig
from lxmert.weights.convert import convert
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import NATIVE, ORIGINAL, TIED_DECODER, parameters
from lxmert.weights.naming.tables import head_names
from lxmert.weights.open import open_checkpoint

from .weight_folders import CONFIG, VISUAL_BERT, make_folder, tensors_of, values_of

WORDS = "lxmert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("LxmertModel", ()),
        ("LxmertForQuestionAnswering", ("answer",)),
        ("LxmertForPreTraining", ("word", "match", "object", "answer")),
        ("LxmertForVisualReasoning", ("reasoning",)),
    ],
)
def test_what_a_file_holds(architecture, heads, tmp_path):
    with open_checkpoint(make_folder(tmp_path, architecture)) as checkpoint:
        assert (checkpoint.architecture, checkpoint.heads) == (architecture, heads)
        assert checkpoint.config == CONFIG
        taken, report = match_parameters(checkpoint, architecture)
        assert taken == list(parameters(CONFIG, heads))
        assert (report.new, report.unexpected) == ((), ())
        assert report.naming == "Hugging Face (PyTorch)"
        for parameter in taken:
            assert np.array_equal(checkpoint.read(parameter), values_of(parameter))


@pytest.mark.parametrize("prefix", ["", "lxmert."])
def test_a_backbone_alone_reads_with_and_without_prefix(prefix, tmp_path):
    tensors = {prefix + name: x for name, x in tensors_of("LxmertModel").items()}
    save_file(tensors, tmp_path / "model.safetensors")
    CONFIG.save_pretrained(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.architecture == "LxmertModel"
        assert len(match_parameters(checkpoint, "LxmertModel")[0]) == len(tensors)


@pytest.mark.parametrize("mapping", [NATIVE, ORIGINAL], ids=lambda s: s.title)
def test_other_spellings_in_safetensors(mapping, tmp_path):
    found = list(parameters(CONFIG, head_names("LxmertForPreTraining", CONFIG)))
    tensors = {mapping.key(p, True): values_of(p) for p in found}
    if mapping.tied:
        tensors[TIED_DECODER] = tensors["bert.embeddings.word_embeddings.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with open_checkpoint(tmp_path / "model.safetensors", CONFIG) as checkpoint:
        assert checkpoint.mapping is mapping
        taken, report = match_parameters(checkpoint, "LxmertForPreTraining")
        assert (taken, report.unexpected) == (found, ())


def test_heads_that_a_model_does_without_are_left_out_and_named(tmp_path):
    make_folder(tmp_path, **{TIED_DECODER: np.ones((23, 12), "float32")})  # other values, but nobody wants them
    with open_checkpoint(tmp_path) as checkpoint:
        taken, report = match_parameters(checkpoint, "LxmertForQuestionAnswering")
        assert {p.head for p in taken} == {None, "answer"}
        assert TIED_DECODER in report.unexpected
        assert "cls.seq_relationship.bias" in report.unexpected
        assert not any(name.startswith(("lxmert.", "answer_head.")) for name in report.unexpected)


def test_a_tied_decoder_of_equal_values_is_the_embedding(tmp_path):
    words = tensors_of("LxmertForPreTraining")[WORDS]
    words[3, 4] = np.nan
    with open_checkpoint(make_folder(tmp_path, **{WORDS: words, TIED_DECODER: words.copy()})) as checkpoint:
        assert match_parameters(checkpoint, "LxmertForPreTraining")[1].unexpected == ()


@pytest.mark.parametrize("shape", [(12, 23), (24, 12)])
def test_a_tied_decoder_of_another_shape_is_refused(shape, tmp_path):
    decoder = np.zeros(shape, "float32")
    with open_checkpoint(make_folder(tmp_path, **{TIED_DECODER: decoder})) as checkpoint:
        with pytest.raises(CheckpointMismatchError) as error:
            match_parameters(checkpoint, "LxmertForPreTraining")
        assert f"holds {TIED_DECODER} {list(shape)} next to {WORDS} [23, 12] with other values" in str(error.value)
        assert "Nothing was loaded. Take cls.predictions.decoder.weight out of the file" in str(error.value)
        assert match_parameters(checkpoint, "LxmertForPreTraining", only="backbone")  # then nobody wants it


def mismatch(folder, architecture="LxmertForPreTraining", **overrides):
    with open_checkpoint(folder, **overrides) as checkpoint, pytest.raises(CheckpointMismatchError) as error:
        match_parameters(checkpoint, architecture)
    return str(error.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    changed = {
        "lxmert.pooler.dense.bias": None,
        "cls.seq_relationship.bias": None,
        "lxmert.pooler.dance.bias": np.ones(12, "float32"),
        "lxmert.pooler.dense.weight": np.ones((12, 13), "float32"),
        "lxmert.embeddings.LayerNorm.weight": np.ones((12, 1), "float32"),
    }
    message = mismatch(make_folder(tmp_path, **changed)).splitlines()
    assert message[:4] == [
        "model.safetensors (Hugging Face (PyTorch)) does not fit "
        "LxmertForPreTraining(l_layers=2, x_layers=1, r_layers=3):",
        "  missing     2: lxmert.pooler.dense.bias, cls.seq_relationship.bias",
        "  unexpected  1: lxmert.pooler.dance.bias",
        "  wrong shape 2: embeddings.norm.weight needs [12], the file has [12, 1], "
        "pooler.dense.weight needs [12, 12], the file has [12, 13]",
    ]
    assert message[4].startswith("Nothing was loaded.")


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        (
            {"l_layers": 3},
            "2 layers of the kind that l_layers counts: put l_layers=2 into config.json, or pass l_layers=2",
        ),
        ({"r_layers": 0}, "The file has 3 layers of the kind that r_layers counts: put r_layers=3"),
        ({"x_layers": 90}, "The file has 1 layers of the kind that x_layers counts: put x_layers=1"),
        ({"vocab_size": 29}, "The file has 23 words in its vocabulary: put vocab_size=23"),
        ({"hidden_size": 24}, "put hidden_size=12"),
        ({"max_position_embeddings": 512}, "The file has 9 positions: put max_position_embeddings=9"),
        ({"type_vocab_size": 2}, "put type_vocab_size=3"),
        ({"intermediate_size": 11}, "put intermediate_size=10"),
        ({"visual_feat_dim": 2048}, "The file has 7 visual features: put visual_feat_dim=7"),
        ({"visual_pos_dim": 4}, "put visual_pos_dim=8"),
        ({"num_object_labels": 1600}, "put num_object_labels=4"),
        ({"num_attr_labels": 400}, "put num_attr_labels=6"),
        (
            {"num_qa_labels": 9500},
            "or pass num_qa_labels=5. Or pass allow_new_head=True to from_pretrained",
        ),
    ],
)
def test_a_configuration_that_disagrees(overrides, advice, tmp_path):
    message = mismatch(make_folder(tmp_path), **overrides)
    assert advice in message
    assert "Nothing was loaded." in message


def test_both_ways_of_a_wrong_layer_count(tmp_path):
    lines = mismatch(make_folder(tmp_path), l_layers=3, r_layers=1).splitlines()
    assert lines[1].startswith("  missing     16: lxmert.encoder.layer.2.attention.self.query.weight, ")
    assert lines[1].endswith(" and 10 more")
    assert lines[2].startswith("  unexpected  32: lxmert.encoder.r_layers.1.")


def test_missing_heads(tmp_path):
    message = mismatch(make_folder(tmp_path, "LxmertForQuestionAnswering"))
    assert "The file lacks tensors of the heads: match, object, word. Pass allow_new_head=True" in message
    with open_checkpoint(tmp_path) as checkpoint:
        taken, report = match_parameters(checkpoint, "LxmertForPreTraining", allow_new_head=True)
        assert {p.head for p in taken} == {None, "answer"}
        assert {name.split(".")[1] for name in report.new} == {"match", "object", "word"}


def test_only_the_backbone(tmp_path):
    odd = {"answer_head.logit_fc.9.weight": np.ones(3, "float32")}
    with open_checkpoint(make_folder(tmp_path, **odd), num_qa_labels=77) as checkpoint:
        taken, report = match_parameters(checkpoint, "LxmertForQuestionAnswering", only="backbone")
        assert not any(p.head for p in taken)
        assert len(report.new) == 6
        with pytest.raises(ValueError, match=r"only must be None or .backbone.; got 'heads'"):
            match_parameters(checkpoint, "LxmertForQuestionAnswering", only="heads")


def test_shapes_are_compared_before_anything_is_read(tmp_path):
    """A file may hold any shape; the table says which one is read."""
    convert(make_folder(tmp_path / "f"), tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        del file["heads/match/vars/1"]
        file["heads/match/vars/1"] = np.ones(30_000, "f4")
    with open_checkpoint(tmp_path / "w.weights.h5") as checkpoint:
        checkpoint.file.read = None
        with pytest.raises(CheckpointMismatchError, match=r"heads.match.bias needs \[2\], the file has \[30000\]"):
            match_parameters(checkpoint, "LxmertForPreTraining")


def test_no_configuration(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"has no configuration, and its shapes do not show num_attention_heads"):
        open_checkpoint(tmp_path)
    with open_checkpoint(tmp_path, num_attention_heads=3) as checkpoint:
        assert (checkpoint.config, checkpoint.config_source) == (CONFIG, "inferred from the shapes")
    with open_checkpoint(tmp_path, CONFIG.replace(l_layers=5), l_layers=2) as checkpoint:
        assert (checkpoint.config, checkpoint.config_source) == (CONFIG, "given")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"model_type": "vilt"},
            ValueError,
            "the configuration of .*: model_type must be one of lxmert, visual_bert, .*; got 'vilt'",
        ),
        ({"hidden_size": "12"}, TypeError, "the configuration of .*: hidden_size must be an integer; got '12'"),
        ({"hidden_size": 13}, ValueError, "the configuration of .*: hidden_size must be a multiple of"),
    ],
)
def test_a_configuration_of_something_else(values, error, message, tmp_path):
    make_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG.to_dict(), **values}))
    with pytest.raises(error, match=message):
        open_checkpoint(tmp_path)
    with open_checkpoint(tmp_path, CONFIG):  # it does not matter where another one is given
        pass


def test_weights_of_something_else(tmp_path):
    save_file({"encoder.weight": np.ones(2, "f4"), "a": np.ones(2, "f4")}, tmp_path / "model.safetensors")
    CONFIG.save_pretrained(tmp_path)
    with pytest.raises(
        CheckpointMismatchError, match=r"is not a file of LXMERT: none of its 2 names is known .* \(the first"
    ):
        open_checkpoint(tmp_path)
    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"none of its 0 names is known .* \(the first are none\)"):
        open_checkpoint(tmp_path)
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:  # not as TensorFlow's models are saved: no list of layers
        file["lxmert/tf_lxmert_model/lxmert/pooler/dense/kernel:0"] = np.ones((12, 12), "f4")
    with pytest.raises(
        CheckpointMismatchError, match=r"none of its 1 names is known .* \(the first are lxmert/tf_lxme"
    ):
        open_checkpoint(tmp_path / "tf_model.h5")


def test_weights_that_are_check_integers_are_refused(tmp_path):
    changed = {"cls.seq_relationship.bias": np.ones(2, "int64"), "lxmert.pooler.dense.bias": np.ones(12, "int8")}
    with open_checkpoint(make_folder(tmp_path, **changed)) as checkpoint:
        with pytest.raises(CheckpointMismatchError) as error:
            match_parameters(checkpoint, "LxmertForPreTraining")
        found = "lxmert.pooler.dense.bias as int8, cls.seq_relationship.bias as int64"
        assert f"holds 2 weights as integers: {found}. " in str(error.value)
        assert "Nothing was loaded. Save them as floating-point numbers." in str(error.value)


@pytest.mark.parametrize("config", [CONFIG.to_dict(), VISUAL_BERT])
def test_a_configuration_of_another_kind_than_asked_for(config, tmp_path):
    with pytest.raises(TypeError, match=rf"config must be a LxmertConfig; got {type(config).__name__}\."):
        open_checkpoint(make_folder(tmp_path), config, LxmertConfig)


def test_pruned_weights_fit_their_configuration(tmp_path):
    config = CONFIG.replace(pruned_heads={"language_layers.1.attention": [0, 2]})
    with open_checkpoint(make_folder(tmp_path, config=config)) as checkpoint:
        taken, _ = match_parameters(checkpoint, "LxmertForPreTraining")
        shapes = {p.name: p.shape for p in taken}
    assert shapes["language_layers.1.attention.query.weight"] == (4, 12)
    assert shapes["language_layers.1.attention.out.weight"] == (12, 4)
    assert "wrong shape 7" in mismatch(tmp_path, pruned_heads={})


def test_a_task_that_the_configuration_switches_off(tmp_path):
    make_folder(tmp_path)
    with open_checkpoint(tmp_path, task_qa=False, visual_attr_loss=False) as checkpoint:
        wanted = list(parameters(checkpoint.config, head_names("LxmertForPreTraining", checkpoint.config)))
        assert not any(p.module.startswith(("heads.answer", "heads.object.attr")) for p in wanted)
        taken, report = match_parameters(checkpoint, "LxmertForPreTraining")
        assert taken == wanted
        assert sorted({name.rpartition(".")[0] for name in report.unexpected}) == [
            *(f"answer_head.logit_fc.{i}" for i in (0, 2, 3)),
            "obj_predict_head.decoder_dict.attr",
        ]
