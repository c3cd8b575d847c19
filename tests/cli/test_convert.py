"""`lxmert convert` and the script: what it writes, what it prints, and when it fails."""

import json
import os
import runpy
import signal
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.cli import main
from lxmert.weights.convert import convert
from lxmert.weights.naming.key_mapping import ORIGINAL
from tests.cli.conftest import shows_nothing_of
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_pt_tf.py"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a.weights.h5", "Keras weights (.weights.h5)"),
        ("a.keras", "Keras model (.keras)"),
        ("a.h5", "tf_model.h5, for transformers 4.x in TensorFlow"),
        ("a", "folder with config.json and model.safetensors"),
    ],
)
def test_what_was_written_is_printed(name, title, source, tmp_path, lxmert):
    tensors = tensors_of("LxmertForPreTraining").values()
    size = sum(x.nbytes for x in tensors)
    read = f"read {source}/model.safetensors: safetensors; names: Hugging Face (PyTorch); configuration: config.json\n"
    wrote = f"wrote {tmp_path / name}: LxmertForPreTraining, {len(tensors)} tensors, {size:,} bytes, {title}\n"
    assert lxmert("convert", source, tmp_path / name) == (0, read + wrote, "")


def test_there_and_back(source, tmp_path, lxmert):
    places = [source, tmp_path / "a.weights.h5", tmp_path / "b.keras", tmp_path / "new" / "back"]
    for origin, target in pairwise(places):
        assert lxmert("convert", origin, target, "--quiet") == (0, "", "")
    assert_bits_equal(read_folder(places[-1]), read_folder(source))


def test_a_configuration_beside(source, tmp_path, lxmert, refused):
    (source / "config.json").rename(tmp_path / "config.json")
    assert "has no configuration, and its shapes do not show num_attention_heads" in refused(
        "convert", source, tmp_path / "a"
    )
    assert lxmert("convert", source, tmp_path / "a", "--config", tmp_path / "config.json")[0] == 0
    assert LxmertConfig.from_pretrained(tmp_path / "a") == CONFIG


def test_a_configuration_of_visual_bert_beside(tmp_path, lxmert):
    source = make_folder(tmp_path / "source", "VisualBertForQuestionAnswering")
    (source / "config.json").rename(tmp_path / "config.json")
    _, out, _ = lxmert("convert", source, tmp_path / "a", "--config", tmp_path)
    assert VisualBertConfig.from_pretrained(tmp_path / "a") == VISUAL_BERT
    assert f"\nwrote {tmp_path / 'a'}: VisualBertForQuestionAnswering, " in out
    # That of the authors' LXMERT has no model type.
    values = {name: value for name, value in CONFIG.to_dict().items() if name != "model_type"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert lxmert("convert", make_folder(tmp_path / "lxmert"), tmp_path / "b", "--config", tmp_path)[0] == 0
    assert LxmertConfig.from_pretrained(tmp_path / "b") == CONFIG


def test_a_guess_is_a_warning(tmp_path, lxmert):
    config = CONFIG.replace(hidden_size=64, num_attention_heads=1)
    source = make_folder(tmp_path / "source", config=config, mapping=ORIGINAL)
    (source / "config.json").unlink()
    status, out, err = lxmert("convert", source, tmp_path / "a")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(f"lxmert convert: warning: {source}/model.safetensors has no configuration.")
    assert "num_attention_heads=1 is a guess" in err
    assert "configuration: inferred from the shapes\n" in out
    assert LxmertConfig.from_pretrained(tmp_path / "a") == config


def test_what_is_left_out_is_printed(source, tmp_path, lxmert):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG.to_dict(), "task_qa": False}))
    _, out, _ = lxmert("convert", source, tmp_path / "a", "--config", tmp_path)
    assert "left out 6 tensors that LxmertForPreTraining does not use: answer_head.logit_fc.0." in out
    old = {"visual_bert.embeddings.position_ids": np.arange(9)[None]}
    source = make_folder(tmp_path / "old", "VisualBertForPreTraining", **old)
    _, out, _ = lxmert("convert", source, tmp_path / "b")
    left_out = "left out 1 tensors that VisualBertForPreTraining does not use: visual_bert.embeddings.position_ids\n"
    assert out.endswith(left_out)
    assert lxmert("convert", source, tmp_path / "c", "--head", "backbone", "--quiet") == (0, "", "")
    assert_bits_equal(read_folder(tmp_path / "c"), tensors_of("VisualBertModel"))


def test_control_characters_are_escaped(tmp_path, lxmert, refused):
    evil = "evil\x1b]0;title\x07\x9b2J"
    source = make_folder(tmp_path / "a\x1b[2J", **{evil: np.ones(1, "float32")})
    err = refused("convert", source, tmp_path / "b")
    assert shows_nothing_of(evil, err)
    assert "  unexpected  1: evil\\x1b]0;title\\x07\\x9b2J\n" in err
    _, out, _ = lxmert("convert", make_folder(tmp_path / "a\x1b[2J"), tmp_path / "b\x07")
    assert shows_nothing_of(evil, out)
    assert f"read {tmp_path}/a\\x1b[2J/model.safetensors: " in out
    assert f"wrote {tmp_path}/b\\x07: " in out


@pytest.mark.parametrize(
    ("origin", "target", "message"),
    [
        ("absent", "a.keras", "there is no file or folder"),
        ("", "a.keras", "has no model.safetensors, pytorch_model.bin or tf_model.h5"),
        ("source", "a.safetensors", "does not tell which format is wanted"),
        ("source", "source", "is the source itself"),
        ("source", "source/config.json/a.keras", "config.json"),
    ],
)
def test_errors(origin, target, message, source, tmp_path, refused):
    assert message in refused("convert", tmp_path / origin, tmp_path / target)
    assert [item.name for item in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("place", [0, 1])
def test_an_empty_path_is_not_the_working_directory(place, source, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path / "here"))
    before = (tmp_path / "here" / "config.json").read_bytes()
    paths = [source, tmp_path / "target"]
    paths[place] = ""
    assert "must be a path; got an empty string" in refused("convert", *paths)
    assert (tmp_path / "here" / "config.json").read_bytes() == before


def test_a_plain_bert_is_refused_with_advice(tmp_path, refused):
    tensors = {name: x for name, x in tensors_of("LxmertModel").items() if name.startswith(("embeddings", "encoder.l"))}
    save_file(tensors, tmp_path / "bert.safetensors")
    err = refused("convert", tmp_path / "bert.safetensors", tmp_path / "a", "--set", "num_attention_heads=3")
    assert "is a plain BERT, which is only a part of these models" in err


def test_a_full_disk(source, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    err = refused("convert", source, tmp_path / "out")
    assert "out: no room on the disk: " in err
    assert "bytes are to be written, 100 are free" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["a.weights.h5", "a.keras", "tf/tf_model.h5"])
def test_sigterm_leaves_nothing(target, source, tmp_path, monkeypatch):
    """As after Ctrl-C: batch systems send this signal first."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("lxmert.weights.save_hdf5.write_slots", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as end:
        main(["convert", str(source), str(tmp_path / "out" / target)])
    assert end.value.code == 128 + 15
    assert not (tmp_path / "out").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_script_is_the_same_command(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(source), str(tmp_path / "a.keras")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 0
    assert f"\nwrote {tmp_path / 'a.keras'}: LxmertForPreTraining, " in capsys.readouterr().out


def test_a_conversion_says_where_the_weights_are(source, tmp_path):
    done = convert(source, tmp_path / "a", max_shard_size=4096)
    assert done.written == tmp_path / "a" / "model.safetensors.index.json"
    assert done.files == len(list((tmp_path / "a").glob("*.safetensors"))) > 1
    done = convert(source, tmp_path / "a")
    assert (done.written, done.files) == (tmp_path / "a" / "model.safetensors", 1)
    done = convert(source, tmp_path / "b", to="tf_model.h5")
    assert (done.written, done.files) == (tmp_path / "b" / "tf_model.h5", 1)
