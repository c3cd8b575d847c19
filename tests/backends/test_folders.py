"""The shared folder in both backends: what save_pretrained writes is what from_pretrained and transformers read."""

import re

import numpy as np
import pytest
import torch
import transformers

from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.compare import assert_same
from tests.pt.tensors import tensors
from tests.small import NAMES, TASKS, VISUAL_BERT, everything, is_visual_bert, small_config, small_inputs, small_options

from .backend import BACKENDS

every_name = pytest.mark.parametrize("name", NAMES)
PRETRAINING, ANSWERING = "VisualBertForPreTraining", "VisualBertForQuestionAnswering"


def odd_config(name):
    """What changes the weights or their names: pruned heads, and VisualBERT's layer behind the others."""
    if not is_visual_bert(name):
        return small_config(name, pruned_heads={"language_layers.0.attention": (1,)})
    pruned = {"encoder_layers.1.attention": (1,), "additional_layer.attention": (0,)}
    return small_config(name, bypass_transformer=True, pruned_heads=pruned)


def inputs(name):
    return {**small_inputs(name), **small_options(name)}


def saved(backend, folder, name, *args, **changes):
    """A model that is saved in a folder, and how a class of the backend reads it."""
    model = backend.make(name, *args, **changes)
    model.save_pretrained(folder)
    return model, lambda name, **options: backend.kind(name).from_pretrained(folder, **options)


@every_name
def test_a_folder_comes_back(backend, name, tmp_path):
    config = odd_config(name)
    model, load = saved(backend, tmp_path / "new" / "folder", name, config=config)
    again = load(name)
    assert not getattr(again, "training", False)
    assert again.config == config
    assert again.config.architectures == [name]
    assert again.load_report.new == again.load_report.unexpected == ()
    assert backend.trainable(again) == backend.trainable(model)
    assert_same(backend.run(again, inputs(name)), backend.run(model, inputs(name)), 0.0)


@pytest.mark.parametrize(
    ("backend", "name"),
    [("tf", "LxmertForPreTraining"), *(("pt", name) for name in ("LxmertForPreTraining", *VISUAL_BERT))],
    indirect=["backend"],
)
def test_transformers_reads_the_folder(backend, name, tmp_path):
    model, _ = saved(backend, tmp_path, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("unexpected_keys", "mismatched_keys"))
    # The decoder is the tied word embedding, and its bias the head's.
    assert set(info["missing_keys"]) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    # Their question answering of VisualBERT reads whole masks only; how ours differs is tested in tests/reference.
    given = {key: np.ones_like(x) if "mask" in key else x for key, x in small_inputs(name).items()}
    with torch.no_grad():
        expected = theirs.eval()(**tensors(given)).to_tuple()
    assert_same(backend.run(model, given).to_tuple(), expected, 1e-5)


def test_a_backbone_without_pooler_comes_back(backend, tmp_path):
    name = "VisualBertModel"
    model = backend.kind(name)(odd_config(name), add_pooling_layer=False)
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path, add_pooling_layer=False)
    assert again.pooler is model.pooler is None
    found = backend.run(again, inputs(name))
    assert list(found) == ["last_hidden_state"]
    assert_same(found, backend.run(model, inputs(name)), 0.0)
    with pytest.warns(UserWarning, match=r"lacks 2 parameters of VisualBertModel.*: pooler\.dense\.weight"):
        pooled = backend.kind(name).from_pretrained(tmp_path)
    assert pooled.load_report.new == ("pooler.dense.weight", "pooler.dense.bias")
    with pytest.raises(CheckpointMismatchError, match="no pooler: pass add_pooling_layer=False to from_pretrained"):
        backend.kind(name).from_pretrained(tmp_path, strict=True)


# Parts of a folder


def heads_of(names):
    return {name.split(".")[1] for name in names}


def test_parts_of_a_folder_of_lxmert(backend, tmp_path):
    model, load = saved(backend, tmp_path, "LxmertForPreTraining")
    x, answering = small_inputs(), "LxmertForQuestionAnswering"
    backbone = load("LxmertModel")
    assert_same(backend.run(backbone, x), backend.run(model.backbone, x), 0.0)
    roots = {name.split(".")[0] for name in backbone.load_report.unexpected}
    assert roots == {"cls", "obj_predict_head", "answer_head"}
    # It computes the last layer for the first word alone, and so rounds differently: by 6e-8 where it was measured.
    found, expected = (backend.run(each, x).question_answering_score for each in (load(answering), model))
    assert_same(found, expected, 1e-6)
    fresh = load(answering, only="backbone")
    assert heads_of(fresh.load_report.new) == {"answer"}
    assert not any(getattr(weight, "is_meta", False) for _, weight in fresh.weights_by_name())
    assert_same(backend.run(fresh.backbone, x), backend.run(model.backbone, x), 0.0)
    other = load(answering, num_qa_labels=3, allow_new_head=True)
    assert backend.run(other, x).question_answering_score.shape == (3, 3)


def test_parts_of_a_folder_of_visual_bert(backend, tmp_path):
    model, load = saved(backend, tmp_path, PRETRAINING)
    x, name = inputs("VisualBertModel"), "VisualBertModel"
    backbone, bare = load(name), load(name, add_pooling_layer=False)
    expected = backend.run(model.backbone, x)
    assert_same(backend.run(backbone, x), expected, 0.0)
    assert {name.split(".")[0] for name in backbone.load_report.unexpected} == {"cls"}
    assert_same(backend.run(bare, x).to_tuple(), expected[:1], 0.0)
    assert any(name.endswith("pooler.dense.weight") for name in bare.load_report.unexpected)
    for task, head in (("MultipleChoice", "choice"), ("QuestionAnswering", "classifier")):
        fresh = load(f"VisualBertFor{task}", only="backbone")
        assert heads_of(fresh.load_report.new) == {head}
        assert not any(getattr(weight, "is_meta", False) for _, weight in fresh.weights_by_name())
        assert_same(backend.run(fresh.backbone, x), expected, 0.0)
    aligning = load("VisualBertForRegionToPhraseAlignment", allow_new_head=True)
    assert heads_of(aligning.load_report.new) == {"alignment"}
    assert_same(backend.weights(aligning)["heads.word.bias"], backend.weights(model)["heads.word.bias"], 0.0)


def test_a_folder_of_one_task_for_another_one(backend, tmp_path):
    _, load = saved(backend, tmp_path, ANSWERING)
    name = "VisualBertForVisualReasoning"
    other = load(name, num_labels=3, allow_new_head=True)
    assert backend.run(other, inputs(name)).logits.shape == (2, 3)
    assert heads_of(other.load_report.new) == {"classifier"}


@pytest.mark.parametrize("name", ["LxmertForPreTraining", PRETRAINING])
def test_options_of_from_pretrained(backend, name, tmp_path):
    _, load = saved(backend, tmp_path, name)
    changed = load(name, output_hidden_states=True, config=None, dtype="float64")
    assert backend.stored(changed) == {"float64"}
    found = backend.run(changed, {key: x.astype("f8") if x.dtype.kind == "f" else x for key, x in inputs(name).items()})
    assert len(found.language_hidden_states if "Lxmert" in name else found.hidden_states) == (2 if "Lx" in name else 3)
    given = load(name, config=small_config(name, return_dict=False))
    assert isinstance(backend.run(given, inputs(name)), tuple)


@pytest.mark.parametrize("name", TASKS)
def test_loaded_weights_can_be_trained(name, tmp_path):
    """The file is closed, and the weights are the model's own: the folder may be written over."""
    backend = BACKENDS["pt"]
    saved(backend, tmp_path, name)
    model = backend.kind(name).from_pretrained(tmp_path)
    (before,) = backend.steps(model, everything(name))
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path)
    assert_same(backend.run(again, everything(name)), backend.run(model, everything(name)), 0.0)
    assert backend.run(again, everything(name)).loss < before


# Folders that cannot be loaded


def test_nothing_to_load(backend, tmp_path):
    kind = backend.kind("LxmertModel")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        kind.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        kind.from_pretrained(tmp_path)


NOT_FITTING = [
    ("LxmertForPreTraining", {"strict": True}, CheckpointMismatchError, "Nothing was loaded"),
    ("LxmertForQuestionAnswering", {"num_qa_labels": 5}, CheckpointMismatchError, "num_qa_labels"),
    ("LxmertModel", {"l_layers": 2}, CheckpointMismatchError, "layer"),
    ("LxmertForQuestionAnswering", {"num_qa_label": 5}, TypeError, "Did you mean 'num_qa_labels'"),
    ("LxmertForQuestionAnswering", {"only": "heads"}, ValueError, 'only must be None or "backbone"'),
    (PRETRAINING, {"strict": True}, CheckpointMismatchError, "Nothing was loaded"),
    ("VisualBertForMultipleChoice", {}, CheckpointMismatchError, "Nothing was loaded"),
    ("VisualBertForRegionToPhraseAlignment", {"strict": True}, CheckpointMismatchError, "Nothing was loaded"),
    (
        "VisualBertForVisualReasoning",
        {"num_labels": 5},
        CheckpointMismatchError,
        "The file has 11 labels: put num_labels=11",
    ),
    (
        ANSWERING,
        {"visual_embedding_dim": 10},
        CheckpointMismatchError,
        "The file has 9 visual features: put visual_embedding_dim=9",
    ),
    (ANSWERING, {"bypass_transformer": True}, CheckpointMismatchError, "additional_layer"),
    (ANSWERING, {"num_label": 5}, TypeError, "Did you mean 'num_labels'"),
    (ANSWERING, {"only": "heads"}, ValueError, 'only must be None or "backbone"'),
    (ANSWERING, {"add_pooling_layer": False}, TypeError, "add_pooling_layer"),
    (ANSWERING, {"allow_new_heads": False}, TypeError, "keyword 'allow_new_heads'. Did you mean 'allow_new_head'"),
    ("VisualBertModel", {"add_pooling_layers": False}, TypeError, "Did you mean 'add_pooling_layer'"),
]


def test_folders_that_do_not_fit(backend, tmp_path):
    folders = {"L": tmp_path / "lxmert", "V": tmp_path / "visual_bert"}
    backend.make("LxmertForQuestionAnswering").save_pretrained(folders["L"])
    backend.make(ANSWERING).save_pretrained(folders["V"])
    for name, options, error, message in NOT_FITTING:
        with pytest.raises(error, match=re.escape(message)):
            backend.kind(name).from_pretrained(folders[name[0]], **options)
    with pytest.raises(ValueError, match="of a 'visual_bert' model; LxmertConfig reads 'lxmert'"):
        backend.kind("LxmertModel").from_pretrained(folders["V"])
    with pytest.raises(ValueError, match="of a 'lxmert' model; VisualBertConfig reads 'visual_bert'"):
        backend.kind(ANSWERING).from_pretrained(folders["L"])
    with pytest.raises(TypeError, match="config must be a VisualBertConfig; got LxmertConfig"):
        backend.kind("VisualBertModel").from_pretrained(folders["V"], config=small_config())
    backend.make("VisualBertModel").save_pretrained(tmp_path / "backbone")
    with pytest.raises(CheckpointMismatchError, match=r"does not fit (TF)?LxmertModel"):
        backend.kind("LxmertModel").from_pretrained(tmp_path / "backbone", config=small_config())
