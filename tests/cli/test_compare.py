"""`lxmert compare`: the verdict, the exit status, what it prints as text and as JSON, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.weights.convert import convert
from tests.cli.conftest import shows_nothing_of
from tests.weights.weight_folders import CONFIG, make_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"
COUNT = sum(x.size for x in tensors_of("LxmertForPreTraining").values())
BIAS, WEIGHT = (f"lxmert.encoder.r_layers.{name}" for name in ("0.output.dense.bias", "2.output.dense.weight"))


@pytest.fixture
def changed(tmp_path):
    """The same, but for three values of two layers."""
    tensors = tensors_of("LxmertForPreTraining")
    bias, weight = tensors[BIAS].copy(), tensors[WEIGHT].copy()
    bias[:2] += 0.25
    weight[3, 4] += 1
    return make_folder(tmp_path / "changed", **{BIAS: bias, WEIGHT: weight})


@pytest.mark.parametrize("target", ["a.weights.h5", "a.keras", "a.h5", "a"])
def test_the_same(target, source, tmp_path, lxmert):
    convert(source, tmp_path / target)
    status, out, err = lxmert("compare", source, tmp_path / target)
    assert (status, err) == (0, "")
    first, second, verdict = out.splitlines()
    assert first == (
        f"A  {source}/model.safetensors: LXMERT, LxmertForPreTraining; safetensors; names: Hugging Face (PyTorch); "
        "configuration: config.json"
    )
    assert second.startswith(f"B  {tmp_path / target}")
    assert verdict == f"the same weights: {COUNT:,} values, bit for bit"


def test_what_differs(source, changed, lxmert):
    status, out, err = lxmert("compare", source, changed)
    assert (status, err) == (1, "")
    titles, row, verdict = out.splitlines()[2:]
    assert titles.split() == ["module", "dtype", "values", "differing", "largest", "difference"]
    assert row.split() == ["visual_layers.{0-2}.feed_forward.down", "\xd73", "float32", "396", "3", "1"]
    assert verdict == f"not the same weights: 3 of {COUNT:,} values differ"


def test_every_module(source, changed, lxmert):
    status, out, _ = lxmert("compare", source, changed, "--all")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[3:-1]}
    assert (status, len(rows)) == (1, len({name.rpartition(".")[0] for name in tensors_of("LxmertForPreTraining")}))
    assert rows["visual_layers.0.feed_forward.down"] == ["float32", "132", "2", "0.25"]
    assert rows["visual_layers.1.feed_forward.down"] == ["float32", "132", "0", "0"]
    assert rows["visual_layers.2.feed_forward.down"] == ["float32", "132", "1", "1"]


@pytest.mark.parametrize(
    ("tolerance", "status", "verdict"),
    [
        ("0", 1, f"not the same weights: 3 of {COUNT:,} values differ"),
        ("0.26", 1, f"not the same weights: 1 of {COUNT:,} values differ"),
        ("1.01", 0, f"the same weights: {COUNT:,} values, within 1.01"),
    ],
)
def test_tolerance(tolerance, status, verdict, source, changed, lxmert):
    found, out, _ = lxmert("compare", source, changed, "--tolerance", tolerance)
    assert (found, out.splitlines()[-1]) == (status, verdict)


def test_dtypes(source, tmp_path, lxmert):
    convert(source, tmp_path / "half", dtype="float16")
    convert(tmp_path / "half", tmp_path / "wide.keras", dtype="float32")
    assert lxmert("compare", tmp_path / "half", tmp_path / "wide.keras")[0] == 0
    status, out, _ = lxmert("compare", source, tmp_path / "half")
    assert status == 1
    assert "float32 / float16" in out


def test_parameters_that_one_has(source, tmp_path, lxmert):
    convert(source, tmp_path / "backbone.keras", task="backbone")
    status, out, _ = lxmert("compare", tmp_path / "backbone.keras", source)
    lines = out.splitlines()
    count = len(tensors_of("LxmertForPreTraining")) - len(tensors_of("LxmertModel"))
    assert status == 1
    assert lines[2].startswith(f"only in B, {count}: heads.word.transform.weight, ")
    assert lines[2].endswith(f" and {count - 8} more (--all)")
    shared = sum(x.size for x in tensors_of("LxmertModel").values())
    assert lines[3] == (
        f"not the same weights: the common part is the same, {shared:,} values, bit for bit; "
        f"{count} parameters are only in B"
    )


def test_other_shapes_and_fields(source, tmp_path, lxmert):
    other = make_folder(tmp_path / "other", config=CONFIG.replace(num_qa_labels=7, hidden_act="relu"))
    status, out, _ = lxmert("compare", source, other)
    assert status == 1
    assert "\nconfiguration: num_qa_labels is 5 in A and 7 in B\n" in out
    assert '\nconfiguration: hidden_act is "gelu" in A and "relu" in B\n' in out
    assert "\nheads.answer.out.weight is [5, 24] in A and [7, 24] in B\n" in out
    assert out.splitlines()[-1] == "not the same weights: 2 parameters have other shapes"


def test_the_weights_decide_not_the_configuration(source, tmp_path, lxmert):
    status, out, _ = lxmert(
        "compare", source, make_folder(tmp_path / "other", config=CONFIG.replace(hidden_act="relu"))
    )
    assert status == 0
    assert out.splitlines()[-1] == f"the same weights: {COUNT:,} values, bit for bit; the configurations differ"


def test_different_models(source, tmp_path, lxmert):
    status, out, _ = lxmert("compare", source, make_folder(tmp_path / "other", "VisualBertForPreTraining"))
    assert (status, out.splitlines()[-1]) == (1, "different models: A is LXMERT, B is VisualBERT")


def test_tensors_of_no_model(source, tmp_path, lxmert):
    other = make_folder(tmp_path / "other", **{"lxmert.embeddings.position_ids": np.arange(9)[None]})
    status, out, _ = lxmert("compare", source, other)
    assert status == 0
    assert "\nnot compared, unknown in B, 1: lxmert.embeddings.position_ids\n" in out


def test_json(source, changed, tmp_path, lxmert):
    status, out, _ = lxmert("compare", source, source, "--json")
    found = json.loads(out)
    assert (status, found["same"], found["comparable"], found["tolerance"]) == (0, True, True, None)
    assert found["first"]["architectures"] == ["LxmertForPreTraining"]
    status, out, _ = lxmert("compare", source, changed, "--json")
    found = json.loads(out)
    row = next(row for row in found["modules"] if row["differing"])
    assert (status, found["same"]) == (1, False)
    assert (row["path"], row["layers"], row["differing"]) == ("visual_layers.{0-2}.feed_forward.down", 3, 3)
    assert row["largest"] == pytest.approx(1, abs=1e-6)
    # What JSON has no numbers for.
    bias = {"cls.seq_relationship.bias": np.array([np.nan, 0], "float32")}
    other = make_folder(tmp_path / "other", config=CONFIG.replace(l_layers=3), **bias)
    status, out, _ = lxmert("compare", source, other, "--json", "--all")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (status, found["config"], len(found["only_second"])) == (1, {"l_layers": [2, 3]}, 16)
    assert next(row for row in found["modules"] if row["path"] == "heads.match")["largest"] == "NaN"


def test_what_other_programs_wrote(lxmert):
    pickles = GOLDEN / "airsplay" / "model_LXRT.pth", GOLDEN / "airsplay" / "single_gpu_LXRT.pth"
    status, out, _ = lxmert("compare", *pickles, "--set", "num_attention_heads=3")
    assert (status, out.splitlines()[-1]) == (0, "the same weights: 43,460 values, bit for bit")
    status, _, err = lxmert("compare", *pickles)
    assert status == 1
    assert "pass --set num_attention_heads=..." in err


@pytest.mark.parametrize("sides", [("owner/a", "owner/b"), (None, "owner/b"), ("owner/a", None)])
def test_models_on_the_hub(sides, source, hub, lxmert):
    status, out, _ = lxmert("compare", *(side or source for side in sides), "--revision", "v2")
    assert (status, hub) == (0, [(side, "v2") for side in sides if side])
    assert out.splitlines()[-1].startswith("the same weights")


def test_control_characters_are_escaped(tmp_path, lxmert):
    evil = "evil\x1b]0;title\x07\x9b2J\u202e"
    source = make_folder(tmp_path / "a\x1b[2J", **{evil: np.ones(1, "float32")})
    status, out, _ = lxmert("compare", source, source)
    assert status == 0
    assert shows_nothing_of(evil, out.replace("\n", ""))
    assert "evil\\x1b]0;title\\x07\\x9b2J\\u202e" in out
    assert "a\\x1b[2J/model.safetensors" in out
    _, out, _ = lxmert("compare", source, source, "--json")
    assert shows_nothing_of(evil, out.replace("\n", ""))
    assert json.loads(out)["first"]["unused"] == [evil]


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        ("absent.h5", [], "there is no file or folder"),
        (
            "other.safetensors",
            [],
            "is not a file of LXMERT, VisualBERT, Visual Genome detector or VCR detector: none of its 1 names",
        ),
        ("source", ["--tolerance", "-1"], "tolerance must be a number of at least 0; got -1.0"),
        ("source", ["--tolerance", "nan"], "tolerance must be a number of at least 0; got nan"),
        ("source", ["--set", "heads=1"], "--set: unexpected field 'heads'."),
    ],
)
def test_errors(second, options, message, source, tmp_path, refused):
    save_file({"conv.weight": np.ones((3, 3), "float32")}, tmp_path / "other.safetensors")
    assert message in refused("compare", source, tmp_path / second, *options)
