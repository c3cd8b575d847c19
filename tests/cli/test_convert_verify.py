"""`lxmert convert --verify`: which loaders and outputs are compared, and that a wrong weight is seen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.inference.verify import OutputDifference, verify
from lxmert.weights.convert import convert
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, read_folder

GOLDEN = Path(__file__).parents[1] / "golden"
AGREES = "every output agrees within 1e-05 (times its largest value, where that is above 1)"


def full(*case):
    return pytest.param(*case, marks=pytest.mark.full)


def outputs_of(out):
    """The names of the outputs in the printed table."""
    return [line.split()[0] for line in out.splitlines()[3:-1]]


def differing(agreement):
    return [row.output for row in agreement.rows if not row.agrees]


@pytest.mark.parametrize(
    ("name", "loaders"),
    [
        full("a.weights.h5", ["from_pretrained", "load_weights"]),
        ("a.keras", ["from_pretrained", "load_model"]),
        full("a.h5", ["from_pretrained"]),
        full("a", ["from_pretrained"]),
    ],
)
def test_every_loader_and_output(name, loaders, source, tmp_path, lxmert):
    status, out, _ = lxmert("convert", source, tmp_path / name, "--verify")
    lines = out.splitlines()
    assert (status, [line.split()[0] for line in lines[:2]]) == (0, ["read", "wrote"])
    assert lines[2].split() == ["largest", "difference", "of", "largest", "value", *loaders]
    assert lines[-1] == AGREES
    rows = {line.split()[0]: [float(x) for x in line.split()[1:]] for line in lines[3:-1]}
    assert list(rows)[:3] == ["prediction_logits", "cross_relationship_score", "question_answering_score"]
    assert len(rows) == 11
    for largest, *differences in rows.values():
        assert len(differences) == len(loaders)
        assert all(x <= 1e-5 * max(1, largest) for x in differences)


def test_a_wrong_weight_is_seen(source, tmp_path, refused, monkeypatch):
    convert(source, tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        file["heads/match/vars/1"][0] += 0.001
    agreement = verify(source, tmp_path / "a.weights.h5")
    assert differing(agreement) == ["cross_relationship_score"] * 2
    assert sum(line.endswith("differs") for line in agreement.table().splitlines()) == 1
    monkeypatch.setattr("lxmert.inference.verify.verify", lambda *_, **__: agreement)
    err = refused("convert", source, tmp_path / "b.keras", "--verify", "--quiet")
    assert "cross_relationship_score differ by more than 1e-05" in err


@pytest.mark.parametrize(
    ("architecture", "name", "bypass", "outputs"),
    [
        ("VisualBertModel", "a.weights.h5", True, ["last_hidden_state", "pooler_output"]),
        ("VisualBertForPreTraining", "a", False, ["prediction_logits", "seq_relationship_logits"]),
        full("VisualBertForMultipleChoice", "a.keras", True, ["logits"]),
        full("VisualBertForQuestionAnswering", "a.weights.h5", False, ["logits"]),
        full("VisualBertForVisualReasoning", "a", True, ["logits"]),
        full("VisualBertForRegionToPhraseAlignment", "a", False, ["logits"]),
    ],
)
def test_visual_bert(architecture, name, bypass, outputs, tmp_path, lxmert):
    source = make_folder(tmp_path / "source", architecture, VISUAL_BERT.replace(bypass_transformer=bypass))
    status, out, _ = lxmert("convert", source, tmp_path / name, "--verify")
    count = len(read_folder(source))
    assert status == 0
    assert f"\nwrote {tmp_path / name}: {architecture}, {count} tensors, " in out
    assert outputs_of(out) == [*outputs, "hidden_states", "attentions"]
    assert out.splitlines()[-1] == AGREES


def test_a_backbone_without_pooler(tmp_path, lxmert):
    source = make_folder(tmp_path / "source", "VisualBertModel", pooler=False)
    status, out, _ = lxmert("convert", source, tmp_path / "a.keras", "--verify")
    assert (status, outputs_of(out)) == (0, ["last_hidden_state", "hidden_states", "attentions"])


EVERYTHING = ["last_hidden_state", "pooler_output", "hidden_states", "attentions"]


@pytest.mark.parametrize(
    ("architecture", "tensor", "differs"),
    [
        full("VisualBertForVisualReasoning", "cls.bias", ["logits"]),
        full("VisualBertForVisualReasoning", "visual_bert.pooler.dense.weight", ["logits"]),
        full("VisualBertForMultipleChoice", "cls.weight", ["logits"]),
        full("VisualBertForPreTraining", "cls.seq_relationship.weight", ["seq_relationship_logits"]),
        (
            "VisualBertForQuestionAnswering",
            "visual_bert.embeddings.visual_token_type_embeddings.weight",
            ["logits", "hidden_states", "attentions"],
        ),
        ("VisualBertModel", "encoder.layer.1.attention.self.value.bias", EVERYTHING),
        full("VisualBertModel", "additional_layer.attention.self.query.weight", EVERYTHING),
        # Masked regions have the smallest number for a logit, beside which no other difference may look small.
        ("VisualBertForRegionToPhraseAlignment", "attention.query.weight", ["logits"]),
    ],
)
def test_a_changed_weight_of_visual_bert_is_seen(architecture, tensor, differs, tmp_path):
    source = make_folder(tmp_path / "source", architecture, VISUAL_BERT.replace(bypass_transformer=True))
    convert(source, tmp_path / "a")
    changed = read_folder(tmp_path / "a")
    changed[tensor].reshape(-1)[0] += 0.1  # of all at once, a norm would hide it
    save_file(changed, tmp_path / "a" / "model.safetensors")
    agreement = verify(source, tmp_path / "a")
    assert differing(agreement) == differs
    assert ", ".join(sorted(differs)) + " differ by more than" in agreement.error_message()


@pytest.mark.parametrize(
    ("made_by", "target", "options", "told"),
    [
        ("airsplay/model_LXRT.pth", "a", ["--max-shard-size", "20KB"], "model.safetensors, in 10 files"),
        full("airsplay/nlvr2_multi_gpu_BEST.pth", "a.keras", [], "LxmertForVisualReasoning, 153 tensors"),
        full("airsplay/vqa_BEST.pth", "a", ["--to", "folder"], "names: the original authors', fine-tuned;"),
        ("transformers-4.49/pt_pretraining_bin", "a", ["--to", "tf_model.h5", "--dtype", "float16"], "and tf_model.h5"),
        full("transformers-4.49/pt_pretraining_sharded", "a.h5", ["--head", "backbone"], "LxmertModel, 147 tensors"),
        full("transformers-4.49/tf_pretraining_h5", "a.weights.h5", ["--dtype", "bfloat16"], "as Hugging Face saves"),
        full(
            "transformers-4.49/tf_pretraining_safetensors",
            "a.keras",
            ["--head", "question-answering"],
            "layout; names",
        ),
    ],
)
def test_what_other_programs_wrote(made_by, target, options, told, tmp_path, lxmert):
    fields = ["--set", "num_attention_heads=3"] if made_by.endswith(".pth") else []
    status, out, err = lxmert("convert", GOLDEN / made_by, tmp_path / target, "--verify", *fields, *options)
    assert (status, err) == (0, "")
    assert told in out
    expected = [AGREES]
    if "--dtype" in options:
        expected.append(f"(SOURCE ran with its weights rounded to {options[-1]}, as TARGET's are)")
    assert [line for line in out.splitlines() if line.startswith(("every", "("))] == expected


@pytest.mark.parametrize("dtype", [full("float16"), "bfloat16", full("float64")])
def test_a_wrong_weight_in_another_dtype_is_seen(dtype, source, tmp_path):
    convert(source, tmp_path / "a", dtype=dtype)
    assert verify(source, tmp_path / "a", dtype=dtype).agrees
    tensors = read_folder(tmp_path / "a")
    tensors["cls.seq_relationship.bias"][0] += 1 / 64  # less than the others change by rounding to bfloat16
    save_file(tensors, tmp_path / "a" / "model.safetensors")
    assert differing(verify(source, tmp_path / "a", dtype=dtype)) == ["cross_relationship_score"]


def test_a_source_of_a_small_dtype(tmp_path, lxmert):
    source = make_folder(tmp_path / "half", dtype="float16")
    assert lxmert("convert", source, tmp_path / "a.keras", "--verify")[0] == 0


def test_a_head_moved_wrongly_is_seen(tables, source, tmp_path):
    convert(source, tmp_path / "a", answers=tables, dtype="bfloat16")
    assert verify(source, tmp_path / "a", answers=tables, dtype="bfloat16").agrees
    tensors = read_folder(tmp_path / "a")
    tensors["answer_head.logit_fc.3.bias"][2] = 1e-3  # of the answer that the old table does not have
    save_file(tensors, tmp_path / "a" / "model.safetensors")
    assert differing(verify(source, tmp_path / "a", answers=tables, dtype="bfloat16")) == ["question_answering_score"]


def test_shards_and_pruned_heads_and_an_untied_decoder(tmp_path, lxmert):
    config = CONFIG.replace(pruned_heads={"cross_layers.0.cross_attention": [1]}, tie_word_embeddings=False)
    source = make_folder(tmp_path / "source", config=config)
    status, out, _ = lxmert("convert", source, tmp_path / "a", "--max-shard-size", "2KB", "--verify")
    assert status == 0
    assert AGREES in out


def test_a_decoder_with_values_of_its_own_is_a_warning_in_one_line(tmp_path, lxmert):
    source = make_folder(tmp_path / "source", **{"cls.predictions.decoder.weight": np.ones((23, 12), "float32")})
    _, out, err = lxmert("convert", source, tmp_path / "a.keras", "--verify")
    assert err == (
        f"lxmert convert: warning: {source}/model.safetensors holds cls.predictions.decoder.weight with other values "
        "than lxmert.embeddings.word_embeddings.weight; the model gets both: tie_word_embeddings=False.\n"
    )
    assert AGREES in out


@pytest.mark.parametrize(
    ("largest", "difference", "agrees"),
    [
        (1.0, 1e-5, True),
        (0.1, 1.1e-5, False),
        (100.0, 9e-4, True),
        (100.0, 1.1e-3, False),
        (1.0, float("nan"), False),
        (float("nan"), 0.1, False),
        (1.0, float("inf"), False),
    ],
)
def test_tolerance(largest, difference, agrees):
    assert OutputDifference("loader", "output", largest, difference).agrees is agrees


def test_both_frameworks_are_needed(source, tmp_path):
    script = (
        "import contextlib, io, json, sys\n"
        "from lxmert.cli import main\n"
        "def run(blocked):\n"
        "    class Blocked:\n"
        "        def find_spec(self, name, path=None, target=None):\n"
        "            if name.partition('.')[0] == blocked: raise ImportError(name + ' is blocked')\n"
        "    sys.meta_path.insert(0, Blocked())\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as err:\n"
        "        status = main(['convert', *sys.argv[1:], '--verify'])\n"
        "    del sys.meta_path[0]\n"
        "    return status, err.getvalue()\n"
        "print(json.dumps([run('torch'), run('keras')]))\n"
    )
    command = [sys.executable, "-c", script, source, tmp_path / "a.keras"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "1"}  # nothing imports TensorFlow, and Keras with it, before
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    expected = ("lxmert.pt needs PyTorch. Install", "lxmert.tf needs Keras 3")
    for (status, err), message in zip(json.loads(done.stdout.splitlines()[-1]), expected, strict=True):
        assert status == 1
        assert f"lxmert convert: error: {message}" in err
    assert not (tmp_path / "a.keras").exists()
