"""The options of `lxmert convert`: heads, dtypes, answers, fields, models on the hub."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from lxmert import LxmertConfig
from lxmert.cli import convert as command
from lxmert.cli import main
from lxmert.weights.convert import FORMATS
from lxmert.weights.formats.raw_io import FLOATS
from tests.weights.weight_folders import CONFIG, assert_bits_equal, make_folder, read_folder

AGREES = "every output agrees within 1e-05 (times its largest value, where that is above 1)"


def test_the_choices_are_those_of_the_library():
    assert tuple(FORMATS) == command._FORMATS
    assert set(command._DTYPES) == {*FLOATS, "int8"}


def test_a_narrower_dtype_tells_what_overflowed(tmp_path, lxmert):
    tensors = {"cls.seq_relationship.bias": np.array([1e5, 1.0], "float32")}
    source = make_folder(tmp_path / "source", **tensors)
    err = (
        "lxmert convert: warning: 1 values of 1 tensors are too large for float16 and became infinite: "
        "cls.seq_relationship.bias (1)\n"
    )
    assert lxmert("convert", source, tmp_path / "a", "--dtype", "float16", "--quiet") == (0, "", err)
    assert read_folder(tmp_path / "a")["cls.seq_relationship.bias"].tolist() == [np.inf, 1.0]
    assert lxmert("convert", source, tmp_path / "b", "--dtype", "bfloat16", "--quiet") == (0, "", "")


def test_bfloat16_is_rounded_to_the_nearest(source, tmp_path, lxmert):
    assert lxmert("convert", source, tmp_path / "a", "--dtype", "bfloat16", "--quiet") == (0, "", "")
    before = {name: x.astype(ml_dtypes.bfloat16) for name, x in read_folder(source).items()}
    assert_bits_equal(load_file(tmp_path / "a" / "model.safetensors"), before)


@pytest.mark.parametrize(
    ("given", "config"),
    [
        (["l_layers=2", "num_attention_heads=4"], CONFIG.replace(num_attention_heads=4)),
        pytest.param(["task_qa=false"], CONFIG.replace(task_qa=False), marks=pytest.mark.full),
        pytest.param(
            ["hidden_act=relu", "layer_norm_eps=1e-5"],
            CONFIG.replace(hidden_act="relu", layer_norm_eps=1e-5),
            marks=pytest.mark.full,
        ),
        pytest.param(['hidden_act="relu"'], CONFIG.replace(hidden_act="relu"), marks=pytest.mark.full),
    ],
)
def test_fields(given, config, source, tmp_path, lxmert):
    # In one list, or one by one; and before the source, if that is not the last of them.
    one_by_one = (f"--set={text}" for text in given[1:])
    assert lxmert("convert", "--set", given[0], "--quiet", source, tmp_path / "a", *one_by_one) == (0, "", "")
    assert LxmertConfig.from_pretrained(tmp_path / "a") == config
    assert lxmert("convert", source, tmp_path / "a.keras", "--quiet", "--verify", "--set", *given) == (0, "", "")


def test_a_field_may_be_null(tmp_path, lxmert):
    source = make_folder(tmp_path / "source", "VisualBertModel")
    assert lxmert("convert", source, tmp_path / "a", "--set", "pad_token_id=null", "--quiet") == (0, "", "")
    assert json.loads((tmp_path / "a" / "config.json").read_text())["pad_token_id"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "hiden_size=3"], "--set: unexpected field 'hiden_size'. Did you mean 'hidden_size'?"),
        (["--set", "source=3"], "--set: unexpected field 'source'. Known: pruned_heads, vocab_size, "),
        (["--set", "hidden_size=wide"], "hidden_size must be an integer; got 'wide' (str)"),
        (["--set", "visual_embedding_dim=3"], "LxmertConfig: unexpected keyword 'visual_embedding_dim'"),
        (["--set", "l_layers=3"], "The file has 2 layers of the kind that l_layers counts"),
        (["--head", "alignment"], "is a lxmert model, which has no alignment class"),
        (["--head", "visual-reasoning"], "does not fit LxmertForVisualReasoning"),
        (["--to", "keras"], "must end in .keras"),
        (
            ["--max-shard-size", "large"],
            '--max-shard-size must be a number of bytes, such as 500000000, "500MB" or "2GB"',
        ),
        (["--to", "tf_model.h5", "--max-shard-size", "1MB"], "--max-shard-size divides a folder's safetensors"),
        (
            ["--to", "tf_model.h5", "--dtype", "bfloat16"],
            "tf_model.h5 holds no bfloat16; pass --dtype float32 or float16",
        ),
        (["--to", "tf_model.h5", "--head", "question-answering"], "transformers has no LxmertForQuestionAnswering"),
        (["--answers", "{new}", "{new}"], "has 4 answers, and the answer head of"),
        (["--answers", "{old}", "{old}", "--head", "backbone"], "LxmertModel, which has no answer head to move"),
        (["--answers", "{old}", "absent.json"], "absent.json: No such file or directory"),
        (["--config", "absent/config.json"], "there is no file or folder absent/config.json"),
    ],
)
def test_bad_options(options, message, source, tables, tmp_path, refused):
    before = sorted(tmp_path.iterdir())
    options = [text.format(old=tables[0], new=tables[1]) for text in options]
    assert message in refused("convert", source, tmp_path / "a", *options)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("text", ["l_layers", "=3"])
def test_fields_that_do_not_parse(text, capsys):
    with pytest.raises(SystemExit) as end:
        main(["convert", "a", "b", "--set", text])
    assert end.value.code == 2
    assert f"argument --set: {text!r} is not FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        pytest.param("LxmertForPreTraining", "answer_head.logit_fc.3", marks=pytest.mark.full),
        ("LxmertForQuestionAnswering", "answer_head.logit_fc.3"),
        ("VisualBertForQuestionAnswering", "cls"),
    ],
)
def test_answers(architecture, head, tables, tmp_path, lxmert):
    source = make_folder(tmp_path / "source", architecture)
    status, out, err = lxmert("convert", source, tmp_path / "a", "--answers", *tables, "--verify")
    assert (status, err) == (0, "")
    assert "\nanswers: 3 of 4 were found in the old vocabulary; the weights of the other 1 are zero\n" in out
    assert out.splitlines()[-1] == AGREES
    before, after = read_folder(source), read_folder(tmp_path / "a")
    for leaf in ("weight", "bias"):
        moved = before[f"{head}.{leaf}"][[4, 3, 0, 1]]
        moved[2] = 0
        assert after[f"{head}.{leaf}"].tobytes() == moved.tobytes()
    others = [{name: x for name, x in tensors.items() if not name.startswith(head)} for tensors in (after, before)]
    assert_bits_equal(*others)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["id2label"] == {"0": "Grey.", "1": "a man", "2": "purple", "3": "no"}
    assert config["label2id"]["no"] == 3


def test_answers_that_all_are_known(tables, source, tmp_path, lxmert):
    _, out, _ = lxmert("convert", source, tmp_path / "a.keras", "--answers", tables[0], tables[0])
    assert out.endswith("\nanswers: 5 of 5 were found in the old vocabulary\n")


def test_a_model_on_the_hub(hub, lxmert):
    status, out, _ = lxmert("convert", "owner/name", "a.keras", "--revision", "v2", "--verify")
    assert (status, set(hub)) == (0, {("owner/name", "v2")})
    assert AGREES in out
