"""`lxmert convert` and the script: what it writes, what it prints, and when it fails."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.cli import main
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_pt_tf.py"


@pytest.fixture
def source(tmp_path):
    return make_folder(tmp_path / "source")


def convert(*arguments):
    return main(["convert", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a.weights.h5", "Keras weights (.weights.h5)"),
        ("a.keras", "Keras model (.keras)"),
        ("a.h5", "tf_model.h5, for transformers 4.x in TensorFlow"),
        ("a", "folder with config.json and model.safetensors"),
    ],
)
def test_what_was_written_is_printed(name, title, source, tmp_path, capsys):
    assert convert(source, tmp_path / name) == 0
    count = len(tensors_of("LxmertForPreTraining"))
    size = sum(x.nbytes for x in tensors_of("LxmertForPreTraining").values())
    read = f"read {source}/model.safetensors: safetensors; names: Hugging Face (PyTorch); configuration: config.json\n"
    told = f"wrote {tmp_path / name}: LxmertForPreTraining, {count} tensors, {size:,} bytes, {title}\n"
    assert capsys.readouterr() == (read + told, "")


def test_there_and_back(source, tmp_path, capsys):
    assert convert(source, tmp_path / "a.weights.h5", "--quiet") == 0
    assert convert(tmp_path / "a.weights.h5", tmp_path / "b.keras", "--quiet") == 0
    assert convert(tmp_path / "b.keras", tmp_path / "new" / "back", "--quiet") == 0
    assert_bits_equal(read_folder(tmp_path / "new" / "back"), read_folder(source))
    assert capsys.readouterr() == ("", "")


def test_a_configuration_beside(source, tmp_path, capsys):
    (source / "config.json").rename(tmp_path / "config.json")
    assert convert(source, tmp_path / "a") == 1
    assert "has no configuration, and its shapes do not show num_attention_heads" in capsys.readouterr().err
    assert convert(source, tmp_path / "a", "--config", tmp_path / "config.json") == 0
    assert LxmertConfig.from_pretrained(tmp_path / "a") == CONFIG


def test_what_is_left_out_is_printed(source, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG.to_dict(), "task_qa": False}))
    assert convert(source, tmp_path / "a", "--config", tmp_path) == 0
    assert (
        "left out 6 tensors that LxmertForPreTraining has no use for: answer_head.logit_fc.0."
        in capsys.readouterr().out
    )


def test_nothing_steers_the_terminal(tmp_path, capsys):
    evil = "evil\x1b]0;title\x07\x9b2J"
    source = make_folder(tmp_path / "a\x1b[2J", **{evil: np.ones(1, "float32")})
    assert convert(source, tmp_path / "b") == 1
    err = capsys.readouterr().err
    assert not set("\x1b\x07\x9b") & set(err)
    assert "  unexpected  1: evil\\x1b]0;title\\x07\\x9b2J\n" in err
    source = make_folder(tmp_path / "a\x1b[2J")
    assert convert(source, tmp_path / "b\x07") == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x07\x9b") & set(out)
    assert f"read {tmp_path}/a\\x1b[2J/model.safetensors: " in out
    assert f"wrote {tmp_path}/b\\x07: " in out


@pytest.mark.parametrize(
    ("make", "target", "message"),
    [
        (lambda place: place / "absent", "a.keras", "there is no file or folder"),
        (lambda place: place, "a.keras", "has no model.safetensors, pytorch_model.bin or tf_model.h5"),
        (lambda place: place / "source", "a.safetensors", "does not tell which format is wanted"),
        (lambda place: place / "source", "source", "is the source itself"),
        (lambda place: place / "source", "source/config.json/a.keras", "config.json"),
    ],
)
def test_errors(make, target, message, source, tmp_path, capsys):
    assert convert(make(tmp_path), tmp_path / target) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lxmert convert: error: ")
    assert message in err
    assert "Traceback" not in err
    assert sorted(item.name for item in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize(
    ("name", "loaders"),
    [
        ("a.weights.h5", ["from_pretrained", "load_weights"]),
        ("a.keras", ["from_pretrained", "load_model"]),
        ("a.h5", ["from_pretrained"]),
        ("a", ["from_pretrained"]),
    ],
)
def test_verify(name, loaders, source, tmp_path, capsys):
    assert convert(source, tmp_path / name, "--verify") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["read", "wrote"]
    assert lines[2].split() == ["largest", "difference", "of", "largest", "value", *loaders]
    rows = {line.split()[0]: [float(x) for x in line.split()[1:]] for line in lines[3:-1]}
    assert lines[-1].startswith("every output agrees")
    assert list(rows)[:3] == ["prediction_logits", "cross_relationship_score", "question_answering_score"]
    assert len(rows) == 11
    for largest, *differences in rows.values():
        assert len(differences) == len(loaders)
        assert all(x <= 1e-5 * max(1, largest) for x in differences)


def test_verify_sees_a_wrong_weight(source, tmp_path, capsys, monkeypatch):
    from lxmert.inference import verify

    convert(source, tmp_path / "a.weights.h5", "--quiet")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        file["heads/match/vars/1"][0] += 0.001
    agreement = verify.verify(source, tmp_path / "a.weights.h5")
    assert not agreement.agrees
    assert [row.output for row in agreement.rows if not row.agrees] == ["cross_relationship_score"] * 2
    assert "cross_relationship_score" in agreement.complaint()
    assert sum(line.endswith("differs") for line in agreement.table().splitlines()) == 1

    monkeypatch.setattr(verify, "verify", lambda *_, **__: agreement)
    assert convert(source, tmp_path / "b.keras", "--verify", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "cross_relationship_score differ by more than 1e-05" in err


@pytest.mark.parametrize(
    ("architecture", "name", "bypass", "outputs"),
    [
        ("VisualBertModel", "a.weights.h5", True, ["last_hidden_state", "pooler_output"]),
        ("VisualBertForPreTraining", "a", False, ["prediction_logits", "seq_relationship_logits"]),
        ("VisualBertForMultipleChoice", "a.keras", True, ["logits"]),
        ("VisualBertForQuestionAnswering", "a.weights.h5", False, ["logits"]),
        ("VisualBertForVisualReasoning", "a", True, ["logits"]),
        ("VisualBertForRegionToPhraseAlignment", "a", False, ["logits"]),
    ],
)
def test_verify_visual_bert(architecture, name, bypass, outputs, tmp_path, capsys):
    source = make_folder(tmp_path / "source", architecture, VISUAL_BERT.replace(bypass_transformer=bypass))
    assert convert(source, tmp_path / name, "--verify") == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(read_folder(source))
    assert lines[1].startswith(f"wrote {tmp_path / name}: {architecture}, {count} tensors, ")
    assert [line.split()[0] for line in lines[3:-1]] == [*outputs, "hidden_states", "attentions"]
    assert lines[-1].startswith("every output agrees")


def test_verify_a_backbone_without_pooler(tmp_path, capsys):
    source = make_folder(tmp_path / "source", "VisualBertModel", pooler=False)
    assert convert(source, tmp_path / "a.keras", "--verify") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:-1]] == ["last_hidden_state", "hidden_states", "attentions"]


@pytest.mark.parametrize(
    ("architecture", "tensor", "differs"),
    [
        ("VisualBertForVisualReasoning", "cls.bias", ["logits"]),
        ("VisualBertForVisualReasoning", "visual_bert.pooler.dense.weight", ["logits"]),
        ("VisualBertForMultipleChoice", "cls.weight", ["logits"]),
        ("VisualBertForPreTraining", "cls.seq_relationship.weight", ["seq_relationship_logits"]),
        (
            "VisualBertForQuestionAnswering",
            "visual_bert.embeddings.visual_token_type_embeddings.weight",
            ["logits", "hidden_states", "attentions"],
        ),
        (
            "VisualBertModel",
            "encoder.layer.1.attention.self.value.bias",
            ["last_hidden_state", "pooler_output", "hidden_states", "attentions"],
        ),
        (
            "VisualBertModel",
            "additional_layer.attention.self.query.weight",
            ["last_hidden_state", "pooler_output", "hidden_states", "attentions"],
        ),
        # Masked regions have the smallest number for a logit, beside which no other difference may look small.
        ("VisualBertForRegionToPhraseAlignment", "attention.query.weight", ["logits"]),
    ],
)
def test_verify_sees_a_changed_weight_of_visual_bert(architecture, tensor, differs, tmp_path):
    from lxmert.inference.verify import verify

    config = VISUAL_BERT.replace(bypass_transformer=True)
    source = make_folder(tmp_path / "source", architecture, config)
    convert(source, tmp_path / "a", "--quiet")
    changed = read_folder(tmp_path / "a")
    changed[tensor].reshape(-1)[0] += 0.1  # of all at once, a norm would hide it
    save_file(changed, tmp_path / "a" / "model.safetensors")
    agreement = verify(source, tmp_path / "a")
    assert [row.output for row in agreement.rows if not row.agrees] == differs
    assert ", ".join(sorted(differs)) + " differ by more than" in agreement.complaint()


def test_a_configuration_of_visual_bert_beside(tmp_path, capsys):
    source = make_folder(tmp_path / "source", "VisualBertForQuestionAnswering")
    (source / "config.json").rename(tmp_path / "config.json")
    assert convert(source, tmp_path / "a", "--config", tmp_path) == 0
    assert VisualBertConfig.from_pretrained(tmp_path / "a") == VISUAL_BERT
    assert f"\nwrote {tmp_path / 'a'}: VisualBertForQuestionAnswering, " in capsys.readouterr().out
    # That of the authors' LXMERT has no model type.
    (tmp_path / "config.json").write_text(
        json.dumps({name: value for name, value in CONFIG.to_dict().items() if name != "model_type"})
    )
    assert convert(make_folder(tmp_path / "lxmert"), tmp_path / "b", "--config", tmp_path) == 0
    assert LxmertConfig.from_pretrained(tmp_path / "b") == CONFIG


def test_old_names_that_are_left_out_are_printed(tmp_path, capsys):
    old = {"visual_bert.embeddings.position_ids": np.arange(9)[None]}
    assert convert(make_folder(tmp_path / "source", "VisualBertForPreTraining", **old), tmp_path / "a") == 0
    told = "left out 1 tensors that VisualBertForPreTraining has no use for: visual_bert.embeddings.position_ids\n"
    assert capsys.readouterr().out.endswith(told)


def test_verify_of_small_dtypes(tmp_path):
    assert convert(make_folder(tmp_path / "half", dtype="float16"), tmp_path / "a.keras", "--verify") == 0


@pytest.mark.parametrize(
    ("row", "agrees"),
    [
        ((1.0, 1e-5), True),
        ((0.1, 1.1e-5), False),
        ((100.0, 9e-4), True),
        ((100.0, 1.1e-3), False),
        ((1.0, float("nan")), False),
        ((float("nan"), 0.1), False),
        ((1.0, float("inf")), False),
    ],
)
def test_tolerance(row, agrees):
    from lxmert.inference.verify import Row

    assert Row("loader", "output", *row).agrees is agrees


def test_verify_needs_both_frameworks(source, tmp_path):
    script = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == sys.argv[1]: raise ImportError(name + ' is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from lxmert.cli import main\n"
        "sys.exit(main(['convert', *sys.argv[2:], '--verify']))\n"
    )
    for framework, told in (("torch", "lxmert.pt needs PyTorch. Install"), ("keras", "lxmert.tf needs Keras 3")):
        done = subprocess.run(
            [sys.executable, "-c", script, framework, source, tmp_path / "a.keras"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"lxmert convert: error: {told}" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.keras").exists()


def test_the_script_is_the_same_command(source, tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, source, tmp_path / "a.keras"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\nwrote {tmp_path / 'a.keras'}: LxmertForPreTraining, " in done.stdout


@pytest.mark.parametrize("place", [0, 1])
def test_an_empty_path_is_not_the_working_directory(place, tmp_path, capsys, monkeypatch):
    source = make_folder(tmp_path / "source")
    monkeypatch.chdir(make_folder(tmp_path / "here"))
    before = (tmp_path / "here" / "config.json").read_bytes()
    paths = [source, tmp_path / "target"]
    paths[place] = ""
    assert convert(*paths) == 1
    assert "must be a path; got an empty text" in capsys.readouterr().err
    assert (tmp_path / "here" / "config.json").read_bytes() == before
