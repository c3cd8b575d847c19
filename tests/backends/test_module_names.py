"""Modules are found and replaced by their names in `transformers`; a name of several modules is refused."""

import pytest

from tests.small import TASKS, is_visual_bert, small_config


@pytest.mark.parametrize("name", TASKS)
def test_the_backbone_has_their_name(backend, name):
    model = backend.make(name)
    assert getattr(model, "visual_bert" if is_visual_bert(name) else "lxmert") is model.backbone
    assert not hasattr(model, "lxmert" if is_visual_bert(name) else "visual_bert")


@pytest.mark.parametrize(
    ("name", "theirs", "head"),
    [
        ("LxmertForQuestionAnswering", "answer_head", "answer"),
        ("VisualBertForVisualReasoning", "cls", "classifier"),
        ("VisualBertForMultipleChoice", "cls", "choice"),
    ],
)
def test_a_replaced_module_is_the_one_that_is_used(backend, name, theirs, head):
    model, other = backend.make(name), backend.make(name)
    assert getattr(model, theirs) is getattr(model.heads, head)
    setattr(model, theirs, getattr(other, theirs))
    assert getattr(model.heads, head) is getattr(other.heads, head)
    assert len(backend.paths(model)) == len(backend.paths(other))  # no second module beside the head


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "VisualBertForPreTraining"])
def test_a_name_of_two_heads_is_refused(backend, name):
    model = backend.make(name)
    with pytest.raises(AttributeError, match=r"heads\.word and heads\.match"):
        model.cls = model.heads.word
    with pytest.raises(AttributeError, match=r"heads\.word and heads\.match"):
        model.cls  # noqa: B018


def test_a_head_of_ones_own_under_their_name_on_a_backbone(backend):
    class Classifier(backend.kind("VisualBertModel")):
        def __init__(self, config):
            super().__init__(config)
            self.cls = backend.embedding(3, 24)

    assert Classifier(small_config("VisualBertModel")).cls is not None
