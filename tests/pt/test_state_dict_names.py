"""`load_state_dict` reads the names of Hugging Face, alone and inside of another module; own names cost nothing."""

import copy
import pickle

import pytest
import torch
import transformers
from torch import nn

import lxmert.pt
from lxmert.pt import (
    LxmertForPreTraining,
    LxmertForQuestionAnswering,
    LxmertModel,
    VisualBertForPreTraining,
    state_dicts,
)
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests.small import NAMES, is_visual_bert, small_config

PRETRAINING = ("LxmertForPreTraining", "VisualBertForPreTraining")


def theirs(name, **changes):
    kind = transformers.VisualBertConfig if is_visual_bert(name) else transformers.LxmertConfig
    torch.manual_seed(1)
    return getattr(transformers, name)(kind(**small_config(name, **changes).to_dict())).state_dict()


def ours(name, **changes):
    return getattr(lxmert.pt, name)(small_config(name, **changes))


def equal(model, state, prefix=""):
    """Whether a model has the values of a state dict of `transformers`."""
    names = {HUGGING_FACE.key(p, model.nested): w for p, w in model.weights_by_name()}
    return all(torch.equal(state[prefix + name], values) for name, values in names.items())


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(transformers, name)])
def test_every_model_reads_their_state_dict(name, strict):
    state, model = theirs(name), ours(name)
    report = model.load_state_dict(state, strict=strict)
    assert not report.missing_keys
    assert not report.unexpected_keys
    assert equal(model, state)


@pytest.mark.parametrize("name", PRETRAINING)
def test_untied_decoders(name):
    state, model = theirs(name, tie_word_embeddings=False), ours(name, tie_word_embeddings=False)
    state["cls.predictions.decoder.weight"] = torch.rand_like(state["cls.predictions.decoder.weight"])
    if name == "VisualBertForPreTraining":
        state["cls.predictions.decoder.bias"] = torch.rand_like(state["cls.predictions.bias"])
    model.load_state_dict(state)
    assert torch.equal(model.heads.word.decoder.weight, state["cls.predictions.decoder.weight"])
    assert torch.equal(model.heads.word.bias, state.get("cls.predictions.decoder.bias", state["cls.predictions.bias"]))


def test_a_copy_with_other_values_is_refused():
    state, model = theirs("LxmertForPreTraining"), ours("LxmertForPreTraining")
    state["cls.predictions.decoder.weight"] = state["cls.predictions.decoder.weight"] + 1
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=r"has other values than backbone\.embeddings\.word\.weight.*tie_word"):
            model.load_state_dict(state, strict=strict)
    word = state.pop("lxmert.embeddings.word_embeddings.weight") + 1
    model.load_state_dict(state)  # the one copy that there is
    assert torch.equal(model.get_input_embeddings().weight, word)


def test_inside_of_another_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(2, 2), ours("LxmertForQuestionAnswering")])
            self.encoder = ours("VisualBertModel")

    state = {f"parts.1.{name}": x for name, x in theirs("LxmertForQuestionAnswering").items()}
    state |= {f"encoder.{name}": x for name, x in theirs("VisualBertModel").items()}
    net = Net()
    report = net.load_state_dict(state, strict=False)
    assert report.missing_keys == ["parts.0.weight", "parts.0.bias"]
    assert report.unexpected_keys == []
    assert equal(net.parts[1], state, "parts.1.")
    assert equal(net.encoder, state, "encoder.")


def test_what_does_not_fit_is_still_reported():
    state, model = theirs("LxmertForPreTraining"), ours("LxmertForQuestionAnswering")
    report = model.load_state_dict(state, strict=False)
    assert report.missing_keys == []
    assert all(name.startswith(("cls.", "obj_predict_head.")) for name in report.unexpected_keys)
    assert len(report.unexpected_keys) > 0
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(state)
    del state["answer_head.logit_fc.0.bias"]
    assert model.load_state_dict(state, strict=False).missing_keys == ["heads.answer.up.bias"]
    state["lxmert.pooler.dense.bias"] = torch.zeros(5)
    with pytest.raises(RuntimeError, match=r"size mismatch for backbone\.pooler\.dense\.bias"):
        model.load_state_dict(state, strict=False)


def test_position_ids_of_old_files_are_left_out():
    state = theirs("VisualBertModel") | {"embeddings.position_ids": torch.arange(9)[None]}
    assert ours("VisualBertModel").load_state_dict(state).unexpected_keys == []


def test_own_names_are_not_looked_up(monkeypatch):
    model = LxmertForPreTraining(small_config("LxmertForPreTraining"))
    state = model.state_dict()
    monkeypatch.setattr(state_dicts, "table_names", lambda model: pytest.fail("the table is made"))
    assert LxmertForPreTraining(model.config).load_state_dict(state).missing_keys == []


def test_the_state_dict_that_is_given_stays_as_it_is():
    state = theirs("LxmertModel")
    names = list(state)
    ours("LxmertModel").load_state_dict(state)
    assert list(state) == names


def test_copies_of_a_model_read_their_names_too():
    state = theirs("LxmertModel")
    for model in (copy.deepcopy(ours("LxmertModel")), pickle.loads(pickle.dumps(ours("LxmertModel")))):
        model.load_state_dict(state, assign=True)
        assert equal(model, state)


def test_parts_of_an_own_state_dict():
    model = LxmertForQuestionAnswering(small_config("LxmertForQuestionAnswering"))
    part = {name: x + 1 for name, x in model.state_dict().items() if name.startswith("heads.")}
    report = model.load_state_dict(part, strict=False)
    assert not report.unexpected_keys
    assert torch.equal(model.heads.answer.out.bias, part["heads.answer.out.bias"])
    backbone = LxmertModel(small_config("LxmertModel"))
    assert VisualBertForPreTraining.base_model_prefix == "visual_bert"
    assert model.backbone.load_state_dict(backbone.state_dict()).missing_keys == []
