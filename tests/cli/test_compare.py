"""`lxmert compare`: the verdict, the exit status, what it prints as text and as JSON, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.cli import main
from lxmert.weights.convert import convert
from tests.weights.weight_folders import CONFIG, make_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"
NUMBERS = sum(x.size for x in tensors_of("LxmertForPreTraining").values())


@pytest.fixture
def source(tmp_path):
    return make_folder(tmp_path / "source")


@pytest.fixture
def changed(tmp_path):
    """The same, but for three numbers of two layers."""
    tensors = tensors_of("LxmertForPreTraining")
    first = tensors["lxmert.encoder.r_layers.0.output.dense.bias"].copy()
    second = tensors["lxmert.encoder.r_layers.2.output.dense.weight"].copy()
    first[:2] += 0.25
    second[3, 4] += 1
    return make_folder(
        tmp_path / "changed",
        **{
            "lxmert.encoder.r_layers.0.output.dense.bias": first,
            "lxmert.encoder.r_layers.2.output.dense.weight": second,
        },
    )


def compare(*arguments):
    return main(["compare", *map(str, arguments)])


@pytest.mark.parametrize("target", ["a.weights.h5", "a.keras", "a.h5", "a"])
def test_the_same(target, source, tmp_path, capsys):
    convert(source, tmp_path / target)
    assert compare(source, tmp_path / target) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, second, verdict = out.splitlines()
    assert first == (
        f"A  {source}/model.safetensors: LXMERT, LxmertForPreTraining; safetensors; names: Hugging Face (PyTorch); "
        "configuration: config.json"
    )
    assert second.startswith(f"B  {tmp_path / target}")
    assert verdict == f"the same weights: {NUMBERS:,} numbers, bit for bit"


def test_what_differs(source, changed, capsys):
    assert compare(source, changed) == 1
    out, err = capsys.readouterr()
    assert err == ""
    titles, row, verdict = out.splitlines()[2:]
    assert titles.split() == ["module", "format", "numbers", "differing", "largest", "difference"]
    assert row.split() == ["visual_layers.{0-2}.feed_forward.down", "\xd73", "float32", "396", "3", "1"]
    assert verdict == f"not the same weights: 3 of {NUMBERS:,} numbers differ"


def test_every_module(source, changed, capsys):
    assert compare(source, changed, "--all") == 1
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[3:-1]}
    assert len(rows) == len({name.rpartition(".")[0] for name in tensors_of("LxmertForPreTraining")})
    assert rows["visual_layers.0.feed_forward.down"] == ["float32", "132", "2", "0.25"]
    assert rows["visual_layers.1.feed_forward.down"] == ["float32", "132", "0", "0"]
    assert rows["visual_layers.2.feed_forward.down"] == ["float32", "132", "1", "1"]


@pytest.mark.parametrize(
    ("tolerance", "status", "verdict"),
    [
        ("0", 1, f"not the same weights: 3 of {NUMBERS:,} numbers differ"),
        ("0.26", 1, f"not the same weights: 1 of {NUMBERS:,} numbers differ"),
        ("1.01", 0, f"the same weights: {NUMBERS:,} numbers, within 1.01"),
    ],
)
def test_tolerance(tolerance, status, verdict, source, changed, capsys):
    assert compare(source, changed, "--tolerance", tolerance) == status
    assert capsys.readouterr().out.splitlines()[-1] == verdict


def test_dtypes(source, tmp_path, capsys):
    convert(source, tmp_path / "half", dtype="float16")
    convert(tmp_path / "half", tmp_path / "wide.keras", dtype="float32")
    assert compare(tmp_path / "half", tmp_path / "wide.keras") == 0
    capsys.readouterr()
    assert compare(source, tmp_path / "half") == 1
    assert "float32 / float16" in capsys.readouterr().out


def test_parameters_that_one_has(source, tmp_path, capsys):
    convert(source, tmp_path / "backbone.keras", task="backbone")
    assert compare(tmp_path / "backbone.keras", source) == 1
    lines = capsys.readouterr().out.splitlines()
    count = len(tensors_of("LxmertForPreTraining")) - len(tensors_of("LxmertModel"))
    assert lines[2].startswith(f"only in B, {count}: heads.word.transform.weight, ")
    assert lines[2].endswith(f" and {count - 8} more (--all)")
    shared = sum(x.size for x in tensors_of("LxmertModel").values())
    assert lines[3] == (
        f"not the same weights: what both hold is the same, {shared:,} numbers, bit for bit; "
        f"{count} parameters are only in B"
    )


def test_other_shapes_and_fields(source, tmp_path, capsys):
    other = make_folder(tmp_path / "other", config=CONFIG.replace(num_qa_labels=7, hidden_act="relu"))
    assert compare(source, other) == 1
    out = capsys.readouterr().out
    assert "\nconfiguration: num_qa_labels is 5 in A and 7 in B\n" in out
    assert '\nconfiguration: hidden_act is "gelu" in A and "relu" in B\n' in out
    assert "\nheads.answer.out.weight is [5, 24] in A and [7, 24] in B\n" in out
    assert out.splitlines()[-1] == "not the same weights: 2 parameters have other shapes"


def test_the_weights_decide_not_the_configuration(source, tmp_path, capsys):
    other = make_folder(tmp_path / "other", config=CONFIG.replace(hidden_act="relu"))
    assert compare(source, other) == 0
    told = f"the same weights: {NUMBERS:,} numbers, bit for bit; the configurations differ"
    assert capsys.readouterr().out.splitlines()[-1] == told


def test_different_models(source, tmp_path, capsys):
    assert compare(source, make_folder(tmp_path / "other", "VisualBertForPreTraining")) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "different models: A is LXMERT, B is VisualBERT"


def test_tensors_of_no_model(source, tmp_path, capsys):
    other = make_folder(tmp_path / "other", **{"lxmert.embeddings.position_ids": np.arange(9)[None]})
    assert compare(source, other) == 0
    told = "\nnot compared, of no model, in B, 1: lxmert.embeddings.position_ids\n"
    assert told in capsys.readouterr().out


def test_json(source, changed, tmp_path, capsys):
    assert compare(source, source, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["comparable"], found["tolerance"]) == (True, True, None)
    assert found["first"]["architectures"] == ["LxmertForPreTraining"]
    assert compare(source, changed, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["same"] is False
    row = next(row for row in found["modules"] if row["differing"])
    assert (row["path"], row["layers"], row["differing"]) == ("visual_layers.{0-2}.feed_forward.down", 3, 3)
    assert row["largest"] == pytest.approx(1, abs=1e-6)
    # What JSON has no numbers for.
    bias = {"cls.seq_relationship.bias": np.array([np.nan, 0], "float32")}
    other = make_folder(tmp_path / "other", config=CONFIG.replace(l_layers=3), **bias)
    assert compare(source, other, "--json", "--all") == 1
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["config"] == {"l_layers": [2, 3]}
    assert len(found["only_second"]) == 16
    assert next(row for row in found["modules"] if row["path"] == "heads.match")["largest"] == "NaN"


def test_what_other_programs_wrote(capsys):
    made = GOLDEN / "airsplay"
    pickles = made / "model_LXRT.pth", made / "single_gpu_LXRT.pth"
    assert compare(*pickles, "--set", "num_attention_heads=3") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "the same weights: 43,460 numbers, bit for bit"
    assert compare(*pickles) == 1
    assert "--set num_attention_heads=... on the command line" in capsys.readouterr().err


@pytest.mark.parametrize("sides", [("owner/a", "owner/b"), (None, "owner/b"), ("owner/a", None)])
def test_models_on_the_hub(sides, source, tmp_path, capsys, monkeypatch):

    asked = []

    def download_weights(name, **options):
        asked.append((name, options["revision"]))
        return shutil.copytree(source, tmp_path / name, dirs_exist_ok=True)

    monkeypatch.setattr("lxmert.weights.open.download_weights", download_weights)
    assert compare(*(side or source for side in sides), "--revision", "v2") == 0
    assert asked == [(side, "v2") for side in sides if side]
    assert capsys.readouterr().out.splitlines()[-1].startswith("the same weights")


def test_nothing_steers_the_terminal(tmp_path, capsys):
    evil = "evil\x1b]0;title\x07\x9b2J\u202e"
    config = CONFIG.replace(extra={"architectures": ["LxmertForPreTraining"]})
    folder = tmp_path / "a\x1b[2J"
    source = make_folder(folder, config=config, **{evil: np.ones(1, "float32")})
    assert compare(source, source) == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x07\x9b\u202e") & set(out)
    assert "evil\\x1b]0;title\\x07\\x9b2J\\u202e" in out
    assert "a\\x1b[2J/model.safetensors" in out
    assert compare(source, source, "--json") == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x07\x9b\u202e") & set(out)
    assert json.loads(out)["first"]["unused"] == [evil]


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        ("absent.h5", [], "there is no file or folder"),
        ("other.safetensors", [], "is not a file of LXMERT or VisualBERT: none of its 1 names"),
        ("source", ["--tolerance", "-1"], "tolerance must be a number of at least 0; got -1.0"),
        ("source", ["--tolerance", "nan"], "tolerance must be a number of at least 0; got nan"),
        ("source", ["--set", "heads=1"], "--set: unexpected keyword 'heads'."),
    ],
)
def test_errors(second, options, message, source, tmp_path, capsys):
    save_file({"conv.weight": np.ones((3, 3), "float32")}, tmp_path / "other.safetensors")
    assert compare(source, tmp_path / second, *options) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lxmert compare: error: ")
    assert message in err
