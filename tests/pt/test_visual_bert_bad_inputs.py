"""Wrong inputs to the PyTorch VisualBERT models, and right ones beside them. The tables are shared with Keras."""

import re

import pytest
import torch
import transformers

import lxmert.pt
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.small_lxmert import small_config as lxmert_config
from tests.small_visual_bert import ALIGNING, ANSWERING, CHOOSING, MODEL, NAMES, PRETRAINING, REASONING, small_config
from tests.visual_bert_bad_inputs import WRONG, given
from tests.visual_bert_right_inputs import RIGHT

from .tensors import flat, tensors


def kind(name):
    return getattr(lxmert.pt, name)


@pytest.fixture(scope="module")
def models():
    return {name: kind(name)(small_config()).eval() for name in NAMES}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_wrong_inputs(models, wrong):
    with pytest.raises(wrong.error, match=re.escape(wrong.message)):
        models[wrong.model](**tensors(given(wrong.model, wrong.change)))


@pytest.mark.parametrize("what", RIGHT)
def test_right_inputs(models, what):
    name, change = RIGHT[what]
    output = models[name](**tensors(given(name, change)))
    assert ("loss" in output) == any("labels" in key for key in change)
    assert all(values.isfinite().all() for values in flat(output))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [None, {}, lxmert_config()], ids=["None", "a dict", "LXMERT's"])
def test_a_config_of_the_wrong_type(name, config):
    with pytest.raises(TypeError, match=f"{name} is made from a VisualBertConfig; got {type(config).__name__}"):
        kind(name)(config)


@pytest.mark.parametrize(
    ("name", "argument"), [(MODEL, "image_text_alignment"), (ALIGNING, "region_to_phrase_position")]
)
def test_positions_that_are_no_tensors(models, name, argument):
    with pytest.raises(TypeError, match=f"{argument} must be a torch tensor; got list"):
        models[name](**tensors(given(name, {})) | {argument: [[0, 1]]})


# from_pretrained


def test_folders_of_the_other_model(tmp_path):
    kind(MODEL)(small_config()).save_pretrained(tmp_path / "visual_bert")
    lxmert.pt.LxmertModel(lxmert_config()).save_pretrained(tmp_path / "lxmert")
    with pytest.raises(ValueError, match="of a 'visual_bert' model; LxmertConfig reads 'lxmert'"):
        lxmert.pt.LxmertModel.from_pretrained(tmp_path / "visual_bert")
    with pytest.raises(ValueError, match="of a 'lxmert' model; VisualBertConfig reads 'visual_bert'"):
        kind(ANSWERING).from_pretrained(tmp_path / "lxmert")
    with pytest.raises(TypeError, match="config must be a VisualBertConfig; got LxmertConfig"):
        kind(MODEL).from_pretrained(tmp_path / "visual_bert", config=lxmert_config())
    with pytest.raises(CheckpointMismatchError, match="does not fit LxmertModel"):
        lxmert.pt.LxmertModel.from_pretrained(tmp_path / "visual_bert", config=lxmert_config())


def test_folders_that_do_not_fit(tmp_path):
    kind(ANSWERING)(small_config()).save_pretrained(tmp_path)
    for name in (PRETRAINING, CHOOSING, ALIGNING):
        with pytest.raises(CheckpointMismatchError, match="Nothing was loaded"):
            kind(name).from_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="The file has 11 labels: put num_labels=11"):
        kind(REASONING).from_pretrained(tmp_path, num_labels=5)
    with pytest.raises(CheckpointMismatchError, match="The file has 9 visual features: put visual_embedding_dim=9"):
        kind(ANSWERING).from_pretrained(tmp_path, visual_embedding_dim=10)
    with pytest.raises(CheckpointMismatchError, match="additional_layer"):
        kind(ANSWERING).from_pretrained(tmp_path, bypass_transformer=True)
    with pytest.raises(TypeError, match="Did you mean 'num_labels'"):
        kind(ANSWERING).from_pretrained(tmp_path, num_label=5)
    with pytest.raises(TypeError, match="add_pooling_layer"):
        kind(ANSWERING).from_pretrained(tmp_path, add_pooling_layer=False)


def test_a_pooler_that_is_not_there(tmp_path):
    kind(MODEL)(small_config(), add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="no pooler: pass add_pooling_layer=False to from_pretrained"):
        kind(MODEL).from_pretrained(tmp_path)


def test_compiled_positions_are_pytorchs_to_refuse():
    # Values cannot be looked at in a compiled graph; a place before the sequence must not become its first.
    model = torch.compile(kind(ALIGNING)(small_config()).eval(), fullgraph=True, backend="eager")
    for place in (-2, 12):
        inputs = given(ALIGNING, {})
        inputs["region_to_phrase_position"][-1, -1] = place
        with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
            model(**tensors(inputs))


def test_a_config_of_transformers_and_misspelled_options(tmp_path):
    theirs = transformers.VisualBertConfig()
    with pytest.raises(
        TypeError, match=r"got transformers.*VisualBertConfig\. Make one by VisualBertConfig\.from_dict"
    ):
        kind(MODEL)(theirs)
    kind(MODEL)(small_config()).save_pretrained(tmp_path)
    for wrong, right in (("add_pooling_layers", "add_pooling_layer"), ("allow_new_heads", "allow_new_head")):
        with pytest.raises(TypeError, match=f"unexpected keyword '{wrong}'. Did you mean '{right}'"):
            kind(MODEL).from_pretrained(tmp_path, **{wrong: False})
