"""Modules are found and replaced by their names in `transformers`; a name of several modules is refused."""

import copy

import pytest
import torch

import lxmert.pt
from tests.small import TASKS, is_visual_bert, small_config


@pytest.mark.parametrize("name", [*TASKS, "LxmertForVisualReasoning"])
def test_the_backbone_has_their_name(name):
    model = getattr(lxmert.pt, name)(small_config(name))
    assert getattr(model, "visual_bert" if is_visual_bert(name) else "lxmert") is model.backbone
    assert not hasattr(model, "lxmert" if is_visual_bert(name) else "visual_bert")


def test_a_replaced_module_is_the_one_that_is_used():
    model = lxmert.pt.LxmertForQuestionAnswering(small_config())
    names = list(dict(model.named_modules()))
    head = model.answer_head = torch.nn.Linear(24, 3)
    assert model.heads.answer is head
    assert [name for name in dict(model.named_modules()) if not name.startswith("heads.answer.")] == [
        name for name in names if not name.startswith("heads.answer.")
    ]
    again = copy.deepcopy(model)
    assert again.answer_head is again.heads.answer
    assert again.answer_head is not head


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "VisualBertForPreTraining"])
def test_a_name_of_two_heads_is_refused(name):
    model = getattr(lxmert.pt, name)(small_config(name))
    with pytest.raises(AttributeError, match=r"heads\.word and heads\.match"):
        model.cls = torch.nn.Linear(24, 3)
    with pytest.raises(AttributeError, match=r"heads\.word and heads\.match"):
        model.cls  # noqa: B018


def test_a_head_of_ones_own_under_their_name_on_a_backbone():
    class Classifier(lxmert.pt.VisualBertModel):
        def __init__(self, config):
            super().__init__(config)
            self.cls = torch.nn.Linear(config.hidden_size, 2)

    model = Classifier(small_config("VisualBertModel"))
    assert "cls.weight" in model.state_dict()
