"""`lxmert inspect`: what it prints, as text and as JSON, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.cli import main
from lxmert.weights.convert import convert
from lxmert.weights.naming.key_mapping import ORIGINAL
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def source(tmp_path):
    return make_folder(tmp_path / "source")


def inspect(*arguments):
    return main(["inspect", *map(str, arguments)])


def told(capsys):
    """The facts by their titles, the rows of the table by their modules, and the last line."""
    out, err = capsys.readouterr()
    assert err == ""
    facts, table, last = out.split("\n\n")
    known: dict[str, str] = {}
    title = ""
    for line in facts.splitlines():
        title = line[:16].strip() or title  # a line that goes on has none
        known[title] = f"{known.get(title, '')} {line[16:]}".strip()
    titles, *rows = table.splitlines()
    assert titles.split() == ["module", "weight", "format", "numbers", "bytes", "NaN", "infinite"]
    return known, {row.split("  ")[0]: row.split("  ", 1)[1].split() for row in rows}, last.strip()


def test_text(source, capsys):
    assert inspect(source) == 0
    facts, rows, last = told(capsys)
    tensors = tensors_of("LxmertForPreTraining")
    numbers = sum(x.size for x in tensors.values())
    values = facts.pop("configuration")
    assert facts == {
        "file": f"{source}/model.safetensors",
        "format": "safetensors",
        "names": "Hugging Face (PyTorch)",
        "model": "LXMERT, LxmertForPreTraining",
        "heads": "word, match, object, answer",
        "decoder": "tied, stored once",
        "tensors": f"{len(tensors)}: {numbers:,} numbers, {4 * numbers:,} bytes (float32 {len(tensors)})",
    }
    assert values.startswith('config.json: architectures=["LxmertForPreTraining"], ')
    assert 'hidden_act="gelu"' in values
    assert "tie_word_embeddings=true" in values
    assert rows["language_layers.{0-1}.attention.query \xd72"] == ["[12,", "12]", "float32", "312", "1,248", "0", "0"]
    assert rows["pooler.dense"] == ["[12,", "12]", "float32", "156", "624", "0", "0"]
    assert last == "no value is NaN or infinite"


def test_every_module(source, capsys):
    assert inspect(source, "--all") == 0
    _, rows, _ = told(capsys)
    assert len(rows) == len({name.rpartition(".")[0] for name in tensors_of("LxmertForPreTraining")})
    assert rows["visual_layers.2.feed_forward.down"] == ["[12,", "10]", "float32", "132", "528", "0", "0"]


def test_values_that_are_no_numbers(tmp_path, capsys):
    changed = {"cls.seq_relationship.bias": np.array([np.nan, np.inf], "float32")}
    source = make_folder(tmp_path / "source", **changed)
    assert inspect(source) == 0  # it was asked what the file holds, and that it says
    _, rows, last = told(capsys)
    assert rows["heads.match"][-2:] == ["1", "1"]
    assert last == "1 values are NaN and 1 infinite, in heads.match"
    assert inspect(source, "--no-values") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split()[-2:] == ["-", "-"]
    assert "NaN and" not in out


def test_what_no_model_uses_is_counted_too(tmp_path, capsys):
    word = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    extra = {"a": np.array([np.nan, 1], "float32"), "b": np.array([np.inf] * 3, "float16"), "c": np.arange(4)}
    source = make_folder(tmp_path / "source", **extra, **{"cls.predictions.decoder.weight": word})
    assert inspect(source) == 0
    _, rows, last = told(capsys)
    assert list(rows)[-2:] == ["a copy: cls.predictions.decoder.weight", "not used \xd73"]
    assert rows["a copy: cls.predictions.decoder.weight"] == ["[23,", "12]", "float32", "276", "1,104", "0", "0"]
    assert rows["not used \xd73"] == ["int64,", "float32,", "float16", "9", "46", "1", "3"]
    assert last == "1 values are NaN and 3 infinite, in a, b"
    assert inspect(source, "--all") == 0
    _, rows, last = told(capsys)
    assert {name: row for name, row in rows.items() if name.startswith("not used")} == {
        "not used: a": ["[2]", "float32", "2", "8", "1", "0"],
        "not used: b": ["[3]", "float16", "3", "6", "0", "3"],
        "not used: c": ["[4]", "int64", "4", "32", "0", "0"],
    }
    assert last == "1 values are NaN and 3 infinite, in a, b"
    assert inspect(source, "--no-values") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["-", "-"]


def test_nothing_steers_the_terminal(tmp_path, capsys):
    steering = "\x1b\x07\x9b\x7f\u202e\r"
    evil = "evil\x1b]0;title\x07\x9b2J\x7f\u202e\r"
    source = make_folder(tmp_path / "a\x1b[2J", **{evil: np.array([np.nan], "float32")})
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, evil: evil, "id2label": {"0": evil}}))
    shown = "evil\\x1b]0;title\\x07\\x9b2J\\x7f\\u202e\\r"
    assert inspect(source, "--all") == 0
    facts, rows, last = told(capsys)
    assert facts["file"] == f"{tmp_path}/a\\x1b[2J/model.safetensors"
    assert facts["not used"] == f"1: {shown} [1]"
    assert f"not used: {shown}" in rows
    assert last == f"1 values are NaN and 0 infinite, in {shown}"
    assert inspect(source, "--json") == 0
    out = capsys.readouterr().out
    assert not set(steering) & set(out)
    assert json.loads(out)["unused"][0]["name"] == evil
    assert inspect(source, "--set", "l_layers=none") == 1
    out, err = capsys.readouterr()
    assert not set(steering) & set(out + err)


def test_json(tmp_path, capsys):
    changed = {
        "cls.seq_relationship.bias": np.array([np.nan, np.inf], "float32"),
        "something": np.ones(3, "float16"),
        "lxmert.pooler.dense.bias": None,
    }
    source = make_folder(tmp_path / "source", **changed)
    assert inspect(source, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["path"]) == (str(source), f"{source}/model.safetensors")
    assert (found["model_type"], found["architectures"]) == ("lxmert", ["LxmertForPreTraining"])
    assert found["config"]["num_qa_labels"] == 5
    assert found["dtypes"] == {"float32": found["tensors"] - 1, "float16": 1}
    assert found["unused"] == [
        {"name": "something", "shape": [3], "dtype": "float16", "size": 6, "nan": 0, "inf": 0},
    ]
    assert found["copies"] == []
    assert found["missing"] == ["pooler.dense.bias"]
    match = next(row for row in found["modules"] if row["path"] == "heads.match")
    assert match == {
        "path": "heads.match",
        "layers": 1,
        "shapes": [[2, 12]],
        "dtypes": ["float32"],
        "parameters": 26,
        "size": 104,
        "nan": 1,
        "inf": 1,
    }
    assert inspect(source, "--json", "--all", "--no-values") == 0
    every = json.loads(capsys.readouterr().out)["modules"]
    assert len(every) > len(found["modules"])
    assert {(row["layers"], row["nan"], row["inf"]) for row in every} == {(1, None, None)}


def test_what_does_not_fit(tmp_path, capsys):
    extra = {f"extra.{i}": np.ones(1, "float32") for i in range(10)}
    wrong = {"lxmert.pooler.dense.weight": np.ones((12, 11), "float32"), "lxmert.pooler.dense.bias": None}
    source = make_folder(tmp_path / "source", **extra, **wrong)
    assert inspect(source) == 0
    facts, _, _ = told(capsys)
    assert facts["missing"] == "1: pooler.dense.bias"
    assert facts["wrong shape"] == "1: pooler.dense.weight"
    assert facts["not used"].startswith("10: extra.0 [1], ")
    assert facts["not used"].endswith("extra.7 [1] and 2 more (--all)")
    assert inspect(source, "--all") == 0
    assert told(capsys)[0]["not used"].endswith("extra.9 [1]")


def test_a_class_that_is_not_told(tmp_path, capsys):
    source = make_folder(tmp_path / "source", "VisualBertForVisualReasoning")
    (source / "config.json").write_text(VISUAL_BERT.to_json_string())
    assert inspect(source) == 0
    facts, _, _ = told(capsys)
    assert facts["model"] == (
        "VisualBERT, VisualBertForQuestionAnswering or VisualBertForVisualReasoning, which read their scores at "
        "different places; the configuration does not say which"
    )


def test_a_plain_bert(tmp_path, capsys):
    tensors = {name: x for name, x in tensors_of("VisualBertModel").items() if "visual" not in name}
    save_file(tensors, tmp_path / "bert.safetensors")
    assert inspect(tmp_path / "bert.safetensors", "--set", "num_attention_heads=3") == 0
    facts, _, _ = told(capsys)
    assert facts["model"] == "a plain BERT, which fills a part of LXMERT or VisualBERT"
    assert facts["heads"] == "none"
    assert facts["configuration"].startswith("inferred from the shapes: ")


@pytest.mark.parametrize(
    ("path", "format", "names"),
    [
        ("airsplay/model_LXRT.pth", "PyTorch pickle", "the original authors'"),
        ("airsplay/nlvr2_BEST.pth", "PyTorch pickle", "the original authors', fine-tuned"),
        ("transformers-4.49/pt_pretraining_sharded", "safetensors, in 5 files", "Hugging Face (PyTorch)"),
        (
            "transformers-4.49/tf_small",
            "HDF5, as Hugging Face saves TensorFlow models",
            "Hugging Face (TensorFlow)",
        ),
    ],
)
def test_what_other_programs_wrote(path, format, names, capsys):
    fields = ["--set", "num_attention_heads=3"] if path.endswith(".pth") else []
    assert inspect(GOLDEN / path, *fields) == 0
    facts, _, last = told(capsys)
    assert (facts["format"], facts["names"]) == (format, names)
    assert not {"missing", "wrong shape", "not used"} & set(facts)
    assert last == "no value is NaN or infinite"


@pytest.mark.parametrize(
    ("target", "format"), [("a.keras", "Keras archive (.keras)"), ("a.weights.h5", "HDF5, as Keras")]
)
def test_what_this_package_wrote(target, format, source, tmp_path, capsys):
    convert(source, tmp_path / target)
    assert inspect(tmp_path / target) == 0
    facts, rows, _ = told(capsys)
    assert facts["format"].startswith(format)
    assert rows["region_embeddings.feature"][:2] == ["[12,", "7]"]  # PyTorch's way round


def test_a_guess_is_told_beside(tmp_path, capsys):
    config = CONFIG.replace(hidden_size=64, num_attention_heads=1)
    source = make_folder(tmp_path / "source", config=config, mapping=ORIGINAL)
    (source / "config.json").unlink()
    assert inspect(source, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["config"]["num_attention_heads"] == 1
    assert err.startswith("lxmert inspect: warning: ")
    assert err.count("\n") == 1


def test_a_model_on_the_hub(source, tmp_path, capsys, monkeypatch):

    asked = []

    def download_weights(name, **options):
        asked.append((name, options["revision"]))
        return shutil.copytree(source, tmp_path / "cache")

    monkeypatch.setattr("lxmert.weights.open.download_weights", download_weights)
    assert inspect("owner/name", "--revision", "v2", "--json") == 0
    assert asked == [("owner/name", "v2")]
    assert json.loads(capsys.readouterr().out)["source"] == "owner/name"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda place: place / "absent.h5", [], "there is no file or folder"),
        (lambda place: place, [], "has no model.safetensors, pytorch_model.bin or tf_model.h5"),
        (lambda place: place / "other.safetensors", [], "is not a file of LXMERT or VisualBERT: none of its 1 names"),
        (lambda place: place / "text.bin", [], "is no weight file: it is neither safetensors nor HDF5"),
        (lambda place: place / "source", ["--set", "heads=1"], "--set: unexpected keyword 'heads'."),
        (lambda place: place / "source", ["--set", "vocab_size=many"], "vocab_size must be an integer; got 'many'"),
    ],
)
def test_errors(make, options, message, source, tmp_path, capsys):
    save_file({"conv.weight": np.ones((3, 3), "float32")}, tmp_path / "other.safetensors")
    (tmp_path / "text.bin").write_text("these are no weights")
    assert inspect(make(tmp_path), *options) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lxmert inspect: error: ")
    assert message in err


def test_no_framework_is_imported(source):
    import subprocess
    import sys

    script = (
        "import sys\n"
        "from lxmert.cli import main\n"
        "assert main(['inspect', sys.argv[1]]) == main(['compare', sys.argv[1], sys.argv[1]]) == 0\n"
        "print(sorted({'torch', 'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, source], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
