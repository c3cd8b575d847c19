"""The options of `lxmert convert`: formats, heads, dtypes, shards, answers, fields; each also with --verify."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lxmert import LxmertConfig
from lxmert.cli import convert as command
from lxmert.cli import main
from lxmert.common.specs import tasks
from lxmert.weights.convert import FORMATS, convert
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.naming.key_mapping import ORIGINAL
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"
AGREES = "every output agrees, within 1e-05 (times its largest value, where that is above 1)"


@pytest.fixture
def source(tmp_path):
    return make_folder(tmp_path / "source")


def run(*arguments):
    return main(["convert", *map(str, arguments)])


def test_the_choices_are_those_of_the_library():
    assert (tuple(FORMATS), tasks()) == (command._FORMATS, command._TASKS)
    assert set(command._DTYPES) == set(FLOATS)


@pytest.mark.parametrize(
    ("made_by", "target", "options", "told"),
    [
        ("airsplay/model_LXRT.pth", "a", ["--max-shard-size", "20KB"], "model.safetensors, in 10 files"),
        ("airsplay/nlvr2_multi_gpu_BEST.pth", "a.keras", [], "LxmertForVisualReasoning, 153 tensors"),
        ("airsplay/vqa_BEST.pth", "a", ["--to", "folder"], "names: the original authors', fine-tuned; configuration"),
        ("transformers-4.49/pt_pretraining_bin", "a", ["--to", "tf_model.h5", "--dtype", "float16"], "and tf_model.h5"),
        ("transformers-4.49/pt_pretraining_sharded", "a.h5", ["--head", "backbone"], "LxmertModel, 147 tensors"),
        (
            "transformers-4.49/tf_pretraining_h5",
            "a.weights.h5",
            ["--dtype", "bfloat16"],
            "as Hugging Face saves Tensor",
        ),
        (
            "transformers-4.49/tf_pretraining_safetensors",
            "a.keras",
            ["--head", "question-answering"],
            "way round; names",
        ),
    ],
)
def test_verify_what_other_programs_wrote(made_by, target, options, told, tmp_path, capsys):
    fields = ["--set", "num_attention_heads=3"] if made_by.endswith(".pth") else []
    assert run(GOLDEN / made_by, tmp_path / target, "--verify", *fields, *options) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert told in out
    assert AGREES in out
    rounded = (
        [f"(SOURCE ran with its weights rounded to {options[-1]}, as TARGET's are)"] if "--dtype" in options else []
    )
    assert [line for line in out.splitlines() if line.startswith(("every", "("))] == [AGREES, *rounded]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_wrong_weight_in_another_dtype_is_seen(dtype, source, tmp_path):
    from lxmert.inference.verify import verify

    assert run(source, tmp_path / "a", "--dtype", dtype, "--quiet") == 0
    assert verify(source, tmp_path / "a", dtype=dtype).agrees
    tensors = read_folder(tmp_path / "a")
    tensors["cls.seq_relationship.bias"][0] += 1 / 64  # less than the others change by rounding to bfloat16
    save_file(tensors, tmp_path / "a" / "model.safetensors")
    wrong = [row.output for row in verify(source, tmp_path / "a", dtype=dtype).rows if not row.agrees]
    assert wrong == ["cross_relationship_score"]


def test_verify_shards_and_pruned_heads_and_an_untied_decoder(tmp_path, capsys):
    config = CONFIG.replace(pruned_heads={"cross_layers.0.cross_attention": [1]}, tie_word_embeddings=False)
    source = make_folder(tmp_path / "source", config=config)
    assert run(source, tmp_path / "a", "--max-shard-size", "2KB", "--verify") == 0
    assert AGREES in capsys.readouterr().out


def test_a_decoder_with_values_of_its_own_is_told_in_one_line(tmp_path, capsys):
    decoder = {"cls.predictions.decoder.weight": np.ones((23, 12), "float32")}
    source = make_folder(tmp_path / "source", **decoder)
    assert run(source, tmp_path / "a.keras", "--verify") == 0
    out, err = capsys.readouterr()
    assert err == (
        f"lxmert convert: warning: {source}/model.safetensors holds cls.predictions.decoder.weight with other values "
        "than lxmert.embeddings.word_embeddings.weight; the model gets both: tie_word_embeddings=False.\n"
    )
    assert AGREES in out


def test_a_narrower_dtype_tells_what_overflowed(tmp_path, capsys):
    tensors = {"cls.seq_relationship.bias": np.array([1e5, 1.0], "float32")}
    source = make_folder(tmp_path / "source", **tensors)
    assert run(source, tmp_path / "a", "--dtype", "float16", "--quiet") == 0
    assert capsys.readouterr() == (
        "",
        "lxmert convert: warning: 1 numbers of 1 tensors are too large for float16 and became infinite: "
        "cls.seq_relationship.bias (1)\n",
    )
    assert read_folder(tmp_path / "a")["cls.seq_relationship.bias"].tolist() == [np.inf, 1.0]
    assert run(source, tmp_path / "b", "--dtype", "bfloat16", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "config"),
    [
        (["l_layers=2", "num_attention_heads=4"], CONFIG.replace(num_attention_heads=4)),
        (["task_qa=false"], CONFIG.replace(task_qa=False)),
        (["hidden_act=relu", "layer_norm_eps=1e-5"], CONFIG.replace(hidden_act="relu", layer_norm_eps=1e-5)),
        (['hidden_act="relu"'], CONFIG.replace(hidden_act="relu")),
    ],
)
def test_fields(given, config, source, tmp_path, capsys):
    # In one list, or one by one; and before the source, if that is not the last of them.
    assert run("--set", given[0], "--quiet", source, tmp_path / "a", *(f"--set={text}" for text in given[1:])) == 0
    assert LxmertConfig.from_pretrained(tmp_path / "a") == config
    assert run(source, tmp_path / "a.keras", "--quiet", "--verify", "--set", *given) == 0
    assert capsys.readouterr() == ("", "")


def test_a_field_may_be_null(tmp_path):
    source = make_folder(tmp_path / "source", "VisualBertModel")
    assert run(source, tmp_path / "a", "--set", "pad_token_id=null", "--quiet") == 0
    assert json.loads((tmp_path / "a" / "config.json").read_text())["pad_token_id"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "hiden_size=3"], "--set: unexpected keyword 'hiden_size'. Did you mean 'hidden_size'?"),
        (["--set", "source=3"], "--set: unexpected keyword 'source'. Known: pruned_heads, vocab_size, "),
        (["--set", "hidden_size=wide"], "hidden_size must be an integer; got 'wide' (str)"),
        (["--set", "num_labels=3"], "with the values given beside it: LxmertConfig: unexpected keyword 'num_labels'"),
        (["--set", "l_layers=3"], "The file has 2 layers of the kind that l_layers counts"),
        (["--head", "alignment"], "is a lxmert model, which has no alignment class"),
        (["--head", "visual-reasoning"], "does not fit LxmertForVisualReasoning"),
        (["--to", "keras"], "must end in .keras"),
        (
            ["--max-shard-size", "large"],
            'max_shard_size must be a number of bytes, such as 500000000, "500MB" or "2GB"',
        ),
        (["--to", "tf_model.h5", "--max-shard-size", "1MB"], "max_shard_size divides a folder's safetensors"),
        (
            ["--to", "tf_model.h5", "--dtype", "bfloat16"],
            "tf_model.h5 holds no bfloat16; give dtype float32 or float16",
        ),
        (["--to", "tf_model.h5", "--head", "question-answering"], "transformers had no LxmertForQuestionAnswering"),
        (["--answers", "{new}", "{new}"], "has 4 answers, and the answer head of"),
        (["--answers", "{old}", "{old}", "--head", "backbone"], "LxmertModel, which has no answer head to move"),
        (["--answers", "{old}", "absent.json"], "absent.json: No such file or directory"),
        (["--config", "absent/config.json"], "there is no file or folder absent/config.json"),
    ],
)
def test_bad_options(options, message, source, tables, tmp_path, capsys):
    options = [text.format(old=tables[0], new=tables[1]) for text in options]
    before = sorted(tmp_path.iterdir())
    assert run(source, tmp_path / "a", *options) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lxmert convert: error: ")
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l_layers", "argument --set: 'l_layers' is not FIELD=VALUE"),
        ("=3", "argument --set: '=3' is not FIELD=VALUE"),
    ],
)
def test_fields_that_do_not_parse(text, message, capsys):
    with pytest.raises(SystemExit) as end:
        run("a", "b", "--set", text)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def tables(tmp_path):
    """The answers of the models of the tests, five; and four others, of which the first, second and last are known."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(["yes", "no", "2", "man", "gray"]))
    new.write_text(json.dumps({"Grey.": 0, "a man": 1, "purple": 2, "no": 3}))
    return old, new


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("LxmertForPreTraining", "answer_head.logit_fc.3"),
        ("LxmertForQuestionAnswering", "answer_head.logit_fc.3"),
        ("VisualBertForQuestionAnswering", "cls"),
    ],
)
def test_answers(architecture, head, tables, tmp_path, capsys):
    source = make_folder(tmp_path / "source", architecture)
    assert run(source, tmp_path / "a", "--answers", *tables, "--verify") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\nanswers: 3 of 4 were found in the old table; the other 1 start at zero\n" in out
    assert out.splitlines()[-1] == AGREES
    before, after = read_folder(source), read_folder(tmp_path / "a")
    for leaf in ("weight", "bias"):
        moved = before[f"{head}.{leaf}"][[4, 3, 0, 1]]
        moved[2] = 0
        assert after[f"{head}.{leaf}"].tobytes() == moved.tobytes()
    assert_bits_equal(
        {name: x for name, x in after.items() if not name.startswith(head)},
        {name: x for name, x in before.items() if not name.startswith(head)},
    )
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["id2label"] == {"0": "Grey.", "1": "a man", "2": "purple", "3": "no"}
    assert config["label2id"]["no"] == 3


def test_answers_that_all_are_known(tables, source, tmp_path, capsys):
    assert run(source, tmp_path / "a.keras", "--answers", tables[0], tables[0]) == 0
    assert capsys.readouterr().out.endswith("\nanswers: 5 of 5 were found in the old table\n")


def test_a_head_moved_wrongly_is_seen(tables, source, tmp_path):
    from lxmert.inference.verify import verify

    assert run(source, tmp_path / "a", "--answers", *tables, "--quiet", "--dtype", "bfloat16") == 0
    assert verify(source, tmp_path / "a", answers=tables, dtype="bfloat16").agrees
    tensors = read_folder(tmp_path / "a")
    tensors["answer_head.logit_fc.3.bias"][2] = 1e-3  # of the answer that the old table does not have
    save_file(tensors, tmp_path / "a" / "model.safetensors")
    comparison = verify(source, tmp_path / "a", answers=tables, dtype="bfloat16")
    assert [row.output for row in comparison.rows if not row.agrees] == ["question_answering_score"]


def test_a_plain_bert_is_refused_with_advice(tmp_path, capsys):
    tensors = {name: x for name, x in tensors_of("LxmertModel").items() if name.startswith(("embeddings", "encoder.l"))}
    save_file(tensors, tmp_path / "bert.safetensors")
    assert run(tmp_path / "bert.safetensors", tmp_path / "a", "--set", "num_attention_heads=3") == 1
    assert "is a plain BERT, which is only a part of these models" in capsys.readouterr().err


def test_a_guess_is_told(tmp_path, capsys):
    config = CONFIG.replace(hidden_size=64, num_attention_heads=1)
    source = make_folder(tmp_path / "source", config=config, mapping=ORIGINAL)
    (source / "config.json").unlink()
    assert run(source, tmp_path / "a") == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"lxmert convert: warning: {source}/model.safetensors has no configuration.")
    assert "num_attention_heads=1 is a guess" in err
    assert err.count("\n") == 1
    assert "configuration: inferred from the shapes\n" in out
    assert LxmertConfig.from_pretrained(tmp_path / "a") == config


def test_a_model_on_the_hub(source, tmp_path, capsys, monkeypatch):

    asked = []

    def download_weights(name, **options):
        asked.append((name, options["revision"]))
        return shutil.copytree(source, tmp_path / "cache" / name, dirs_exist_ok=True)

    monkeypatch.setattr("lxmert.weights.open.download_weights", download_weights)
    monkeypatch.chdir(tmp_path)
    assert run("owner/name", "a.keras", "--revision", "v2", "--verify") == 0
    assert asked
    assert set(asked) == {("owner/name", "v2")}
    assert AGREES in capsys.readouterr().out


def test_a_conversion_says_where_the_weights_are(source, tmp_path):
    done = convert(source, tmp_path / "a", max_shard_size=4096)
    assert done.written == tmp_path / "a" / "model.safetensors.index.json"
    assert done.files == len(list((tmp_path / "a").glob("*.safetensors"))) > 1
    done = convert(source, tmp_path / "a")
    assert (done.written, done.files) == (tmp_path / "a" / "model.safetensors", 1)
    done = convert(source, tmp_path / "b", to="tf_model.h5")
    assert (done.written, done.files) == (tmp_path / "b" / "tf_model.h5", 1)


def test_quiet_is_quiet_of_what_is_left_out(tmp_path, capsys):
    source = make_folder(tmp_path / "source", "VisualBertForPreTraining", VISUAL_BERT)
    assert run(source, tmp_path / "a", "--head", "backbone", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert_bits_equal(read_folder(tmp_path / "a"), tensors_of("VisualBertModel"))


def test_bfloat16_is_rounded_to_the_nearest(source, tmp_path):
    assert run(source, tmp_path / "a", "--dtype", "bfloat16", "--quiet") == 0
    before = {name: x.astype(ml_dtypes.bfloat16) for name, x in read_folder(source).items()}
    assert_bits_equal(load_file(tmp_path / "a" / "model.safetensors"), before)


def test_a_process_that_is_asked_to_end_leaves_nothing(tmp_path):
    """As after Ctrl-C: batch systems send this signal first."""
    source = make_folder(tmp_path / "source")
    code = (
        "import os, signal, sys; from lxmert.common import hdf5_writing; from lxmert.cli import main\n"
        "hdf5_writing.write_slots = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for target in ("a.weights.h5", "a.keras", "tf/tf_model.h5"):
        command = [sys.executable, "-c", code, "convert", str(source), str(tmp_path / "out" / target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 128 + 15, done.stderr
        assert not (tmp_path / "out").exists()


def test_a_disk_without_room(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    assert main(["convert", str(make_folder(tmp_path / "source")), str(tmp_path / "out")]) == 1
    assert "out: no room on the disk: " in (error := capsys.readouterr().err)
    assert "bytes are to be written, 100 are free" in error
    assert not (tmp_path / "out").exists()
