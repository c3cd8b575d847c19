"""Wrong inputs to the PyTorch models, and right ones beside them. The table is shared with Keras."""

import re

import pytest
import torch

import lxmert.pt
from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertModel
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.bad_inputs import ANSWERING, MODEL, PRETRAINING, REASONING, RIGHT, WRONG, given
from tests.small_lxmert import small_config, small_inputs

from .tensors import inputs, tensors

X = inputs()


MODELS = (MODEL, PRETRAINING, ANSWERING, REASONING)


@pytest.fixture(scope="module")
def models():
    return {name: getattr(lxmert.pt, name)(small_config()).eval() for name in MODELS}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_wrong_inputs(models, wrong):
    with pytest.raises(wrong.error, match=re.escape(wrong.message)):
        models[wrong.model](**tensors(given(wrong.change, wrong.model)))


def test_labels_that_are_no_tensors(models):
    with pytest.raises(TypeError, match=re.escape("labels must be a torch tensor; got list.")):
        models[ANSWERING](**tensors(given({})), labels=[0, 1, 2])


@pytest.mark.parametrize("what", RIGHT)
def test_right_inputs(models, what):
    name, change = RIGHT[what]
    assert all(values.isfinite().all() for values in models[name](**tensors(given(change, name))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": "a red cat"}, "input_ids must be a torch tensor; got str."),
        ({"visual_feats": [[[0.0] * 9] * 7] * 3}, "visual_feats must be a torch tensor; got list."),
        (
            {"visual_pos": small_inputs()["visual_pos"]},
            "visual_pos must be a torch tensor; got ndarray. Use torch.as_tensor(...).",
        ),
        ({"attention_mask": 1}, "attention_mask must be a torch tensor; got int."),
        ({"input_ids": {"input_ids": X["input_ids"]}}, "input_ids must be a torch tensor; got dict."),
    ],
    ids=["text", "a list", "an array", "a number", "a dict"],
)
def test_what_is_no_tensor(models, change, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        models[MODEL](**{**X, **change})


@pytest.mark.parametrize("kind", [LxmertModel, LxmertForPreTraining, LxmertForQuestionAnswering])
@pytest.mark.parametrize("config", [None, {}, "folder"])
def test_a_config_of_the_wrong_type(kind, config):
    with pytest.raises(TypeError, match=f"{kind.__name__} is made from a LxmertConfig; got {type(config).__name__}"):
        kind(config)


def test_wrong_ids_are_told_before_the_lookup(models):
    # In training, too, where PyTorch's own error would be an IndexError without a name.
    model = LxmertForQuestionAnswering(small_config())
    with pytest.raises(ValueError, match="input_ids must be 0 to 28; got values from 0 to 40"):
        model(**{**X, "input_ids": torch.tensor([[0, 40]] * 3), "attention_mask": None, "token_type_ids": None})


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        LxmertModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        LxmertModel.from_pretrained(tmp_path)


def test_folders_that_do_not_fit(tmp_path):
    LxmertForQuestionAnswering(small_config()).save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="Nothing was loaded"):
        LxmertForPreTraining.from_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="num_qa_labels"):
        LxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_labels=5)
    with pytest.raises(CheckpointMismatchError, match="layer"):
        LxmertModel.from_pretrained(tmp_path, l_layers=2)
    with pytest.raises(TypeError, match="Did you mean 'num_qa_labels'"):
        LxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_label=5)
    with pytest.raises(ValueError, match='only must be None or "backbone"'):
        LxmertForQuestionAnswering.from_pretrained(tmp_path, only="heads")
