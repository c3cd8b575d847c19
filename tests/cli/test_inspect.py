"""`lxmert inspect`: what it prints, as text and as JSON, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.weights.convert import convert
from lxmert.weights.naming.key_mapping import ORIGINAL
from tests.cli.conftest import shows_nothing_of
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def inspect(lxmert):
    """Inspects a file: the facts by their titles, the rows of the table by their modules, and the last line."""

    def run(*arguments):
        status, out, err = lxmert("inspect", *arguments)
        assert (status, err) == (0, "")
        return parsed(out)

    return run


def parsed(out):
    facts, table, last = out.split("\n\n")
    known: dict[str, str] = {}
    title = ""
    for line in facts.splitlines():
        title = line[:16].strip() or title  # a line that goes on has none
        known[title] = f"{known.get(title, '')} {line[16:]}".strip()
    titles, *rows = table.splitlines()
    assert titles.split() == ["module", "shape", "dtype", "values", "bytes", "NaN", "infinite"]
    return known, {row.split("  ")[0]: row.split("  ", 1)[1].split() for row in rows}, last.strip()


def test_text(source, inspect):
    facts, rows, last = inspect(source)
    tensors = tensors_of("LxmertForPreTraining")
    count = sum(x.size for x in tensors.values())
    values = facts.pop("configuration")
    assert facts == {
        "file": f"{source}/model.safetensors",
        "format": "safetensors",
        "names": "Hugging Face (PyTorch)",
        "model": "LXMERT, LxmertForPreTraining",
        "heads": "word, match, object, answer",
        "decoder": "tied, stored once",
        "tensors": f"{len(tensors)}: {count:,} values, {4 * count:,} bytes (float32 {len(tensors)})",
    }
    assert values.startswith("config.json: vocab_size=23, hidden_size=12, ")
    assert 'hidden_act="gelu"' in values
    assert "tie_word_embeddings=true" in values
    assert rows["language_layers.{0-1}.attention.query \xd72"] == ["[12,", "12]", "float32", "312", "1,248", "0", "0"]
    assert rows["pooler.dense"] == ["[12,", "12]", "float32", "156", "624", "0", "0"]
    assert last == "no value is NaN or infinite"


def test_every_module(source, inspect):
    _, rows, _ = inspect(source, "--all")
    assert len(rows) == len({name.rpartition(".")[0] for name in tensors_of("LxmertForPreTraining")})
    assert rows["visual_layers.2.feed_forward.down"] == ["[12,", "10]", "float32", "132", "528", "0", "0"]


def test_values_that_are_no_numbers(tmp_path, inspect, lxmert):
    changed = {"cls.seq_relationship.bias": np.array([np.nan, np.inf], "float32")}
    source = make_folder(tmp_path / "source", **changed)
    _, rows, last = inspect(source)
    assert rows["heads.match"][-2:] == ["1", "1"]
    assert last == "1 values are NaN and 1 infinite, in heads.match"
    out = lxmert("inspect", source, "--no-values")[1]
    assert out.splitlines()[-1].split()[-2:] == ["-", "-"]
    assert "NaN and" not in out


def test_what_no_model_uses_is_counted_too(tmp_path, inspect, lxmert):
    word = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    extra = {"a": np.array([np.nan, 1], "float32"), "b": np.array([np.inf] * 3, "float16"), "c": np.arange(4)}
    source = make_folder(tmp_path / "source", **extra, **{"cls.predictions.decoder.weight": word})
    _, rows, last = inspect(source)
    assert list(rows)[-2:] == ["a copy: cls.predictions.decoder.weight", "not used \xd73"]
    assert rows["a copy: cls.predictions.decoder.weight"] == ["[23,", "12]", "float32", "276", "1,104", "0", "0"]
    assert rows["not used \xd73"] == ["int64,", "float32,", "float16", "9", "46", "1", "3"]
    assert last == "1 values are NaN and 3 infinite, in a, b"
    _, rows, last = inspect(source, "--all")
    assert {name: row for name, row in rows.items() if name.startswith("not used")} == {
        "not used: a": ["[2]", "float32", "2", "8", "1", "0"],
        "not used: b": ["[3]", "float16", "3", "6", "0", "3"],
        "not used: c": ["[4]", "int64", "4", "32", "0", "0"],
    }
    assert last == "1 values are NaN and 3 infinite, in a, b"
    assert lxmert("inspect", source, "--no-values")[1].splitlines()[-1].split()[-2:] == ["-", "-"]


def test_control_characters_are_escaped(tmp_path, inspect, lxmert, refused):
    evil = "evil\x1b]0;title\x07\x9b2J\x7f\u202e\r"
    source = make_folder(tmp_path / "a\x1b[2J", **{evil: np.array([np.nan], "float32")})
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, evil: evil, "id2label": {"0": evil}}))
    shown = "evil\\x1b]0;title\\x07\\x9b2J\\x7f\\u202e\\r"
    facts, rows, last = inspect(source, "--all")
    assert facts["file"] == f"{tmp_path}/a\\x1b[2J/model.safetensors"
    assert facts["not used"] == f"1: {shown} [1]"
    assert f"not used: {shown}" in rows
    assert last == f"1 values are NaN and 0 infinite, in {shown}"
    out = lxmert("inspect", source, "--json")[1]
    assert shows_nothing_of(evil, out.replace("\n", ""))
    assert json.loads(out)["unused"][0]["name"] == evil
    err = refused("inspect", source, "--set", "l_layers=none")
    assert shows_nothing_of(evil, err)


def test_json(tmp_path, lxmert):
    changed = {
        "cls.seq_relationship.bias": np.array([np.nan, np.inf], "float32"),
        "something": np.ones(3, "float16"),
        "lxmert.pooler.dense.bias": None,
    }
    source = make_folder(tmp_path / "source", **changed)
    found = json.loads(lxmert("inspect", source, "--json")[1])
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
    every = json.loads(lxmert("inspect", source, "--json", "--all", "--no-values")[1])["modules"]
    assert len(every) > len(found["modules"])
    assert {(row["layers"], row["nan"], row["inf"]) for row in every} == {(1, None, None)}


def test_what_does_not_fit(tmp_path, inspect):
    extra = {f"extra.{i}": np.ones(1, "float32") for i in range(10)}
    wrong = {"lxmert.pooler.dense.weight": np.ones((12, 11), "float32"), "lxmert.pooler.dense.bias": None}
    source = make_folder(tmp_path / "source", **extra, **wrong)
    facts, _, _ = inspect(source)
    assert facts["missing"] == "1: pooler.dense.bias"
    assert facts["wrong shape"] == "1: pooler.dense.weight"
    assert facts["not used"].startswith("10: extra.0 [1], ")
    assert facts["not used"].endswith("extra.7 [1] and 2 more (--all)")
    assert inspect(source, "--all")[0]["not used"].endswith("extra.9 [1]")


def test_a_class_that_is_not_told(tmp_path, inspect):
    source = make_folder(tmp_path / "source", "VisualBertForVisualReasoning")
    (source / "config.json").write_text(VISUAL_BERT.to_json_string())
    facts, _, _ = inspect(source)
    assert facts["model"] == (
        "VisualBERT, VisualBertForQuestionAnswering or VisualBertForVisualReasoning, which take their scores "
        "from different positions; the configuration does not say which"
    )


def test_a_plain_bert(tmp_path, inspect):
    tensors = {name: x for name, x in tensors_of("VisualBertModel").items() if "visual" not in name}
    save_file(tensors, tmp_path / "bert.safetensors")
    facts, _, _ = inspect(tmp_path / "bert.safetensors", "--set", "num_attention_heads=3")
    assert facts["model"] == "a plain BERT, which is a part of LXMERT or VisualBERT"
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
def test_what_other_programs_wrote(path, format, names, inspect):
    fields = ["--set", "num_attention_heads=3"] if path.endswith(".pth") else []
    facts, _, last = inspect(GOLDEN / path, *fields)
    assert (facts["format"], facts["names"]) == (format, names)
    assert not {"missing", "wrong shape", "not used"} & set(facts)
    assert last == "no value is NaN or infinite"


@pytest.mark.parametrize(
    ("target", "format"), [("a.keras", "Keras archive (.keras)"), ("a.weights.h5", "HDF5, as Keras")]
)
def test_what_this_package_wrote(target, format, source, tmp_path, inspect):
    convert(source, tmp_path / target)
    facts, rows, _ = inspect(tmp_path / target)
    assert facts["format"].startswith(format)
    assert rows["region_embeddings.feature"][:2] == ["[12,", "7]"]  # PyTorch's way round


def test_a_guess_is_told_beside(tmp_path, lxmert):
    config = CONFIG.replace(hidden_size=64, num_attention_heads=1)
    source = make_folder(tmp_path / "source", config=config, mapping=ORIGINAL)
    (source / "config.json").unlink()
    _, out, err = lxmert("inspect", source, "--json")
    assert json.loads(out)["config"]["num_attention_heads"] == 1
    assert err.startswith("lxmert inspect: warning: ")
    assert err.count("\n") == 1


def test_a_model_on_the_hub(hub, lxmert):
    status, out, _ = lxmert("inspect", "owner/name", "--revision", "v2", "--json")
    assert (status, hub) == (0, [("owner/name", "v2")])
    assert json.loads(out)["source"] == "owner/name"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("absent.h5", [], "there is no file or folder"),
        ("", [], "has no model.safetensors, pytorch_model.bin or tf_model.h5"),
        (
            "other.safetensors",
            [],
            "is not a file of LXMERT, VisualBERT, Visual Genome detector or VCR detector: none of its 1 names",
        ),
        ("text.bin", [], "is no weight file: it is neither safetensors nor HDF5"),
        ("source", ["--set", "heads=1"], "--set: unexpected field 'heads'."),
        ("source", ["--set", "vocab_size=many"], "vocab_size must be an integer; got 'many'"),
    ],
)
def test_errors(name, options, message, source, tmp_path, refused):
    save_file({"conv.weight": np.ones((3, 3), "float32")}, tmp_path / "other.safetensors")
    (tmp_path / "text.bin").write_text("these are no weights")
    assert message in refused("inspect", tmp_path / name, *options)


def test_no_framework_is_imported(source):
    script = (
        "import sys\n"
        "from lxmert.cli import main\n"
        "assert main(['inspect', sys.argv[1]]) == main(['compare', sys.argv[1], sys.argv[1]]) == 0\n"
        "print(sorted({'torch', 'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, source], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
