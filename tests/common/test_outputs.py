"""Model outputs: one object that reads by name, by attribute and by place, with absent fields absent everywhere."""

import copy
import pickle

import pytest

from lxmert import (
    LxmertForPreTrainingOutput,
    LxmertForQuestionAnsweringOutput,
    LxmertForVisualReasoningOutput,
    LxmertModelOutput,
    VisualBertForPreTrainingOutput,
    VisualBertModelOutput,
    VisualBertTaskOutput,
)
from lxmert.common import outputs

LXMERT_STATES = (
    "language_hidden_states",
    "vision_hidden_states",
    "language_attentions",
    "vision_attentions",
    "cross_encoder_attentions",
    "cross_encoder_vision_attentions",
    "cross_encoder_language_self_attentions",
    "cross_encoder_vision_self_attentions",
)
STATES = {"Lxmert": LXMERT_STATES, "VisualBert": ("hidden_states", "attentions")}
FIELDS = {
    LxmertModelOutput: ("language_output", "vision_output", "pooled_output"),
    LxmertForPreTrainingOutput: (
        "loss",
        "prediction_logits",
        "cross_relationship_score",
        "question_answering_score",
    ),
    LxmertForQuestionAnsweringOutput: ("loss", "question_answering_score"),
    LxmertForVisualReasoningOutput: ("loss", "logits"),
    VisualBertModelOutput: ("last_hidden_state", "pooler_output"),
    VisualBertForPreTrainingOutput: ("loss", "prediction_logits", "seq_relationship_logits"),
    VisualBertTaskOutput: ("loss", "logits"),
}


def states_of(kind):
    """The states that the outputs of one model share, and where they are declared."""
    model = next(model for model in STATES if kind.__name__.startswith(model))
    return STATES[model], getattr(outputs, f"{model}States")


@pytest.mark.parametrize(("kind", "own"), list(FIELDS.items()))
def test_fields_in_order(kind, own):
    states, _ = states_of(kind)
    names = (*own, *states)
    out = kind(**dict(zip(names, range(len(names)), strict=True)))
    assert kind(*range(len(own))).keys() == own
    assert out.keys() == names
    assert out.to_tuple() == out.values() == tuple(range(len(names)))
    assert out.items() == tuple(zip(names, range(len(names)), strict=True))
    assert out.states() == dict(zip(states, range(len(own), len(names)), strict=True))
    assert kind().states() == dict.fromkeys(states)


def test_ways_to_read():
    out = LxmertForQuestionAnsweringOutput(question_answering_score="s", vision_attentions=(1, 2))
    assert out.question_answering_score == out["question_answering_score"] == out[0] == "s"
    assert out[-1] == out["vision_attentions"] == (1, 2)
    assert out[:1] == ("s",)
    score, attentions = out
    assert (score, attentions) == ("s", (1, 2))
    assert len(out) == 2
    assert dict(out) == {**out} == {"question_answering_score": "s", "vision_attentions": (1, 2)}
    assert out.get("question_answering_score") == "s"


def test_absent_fields():
    out = LxmertForQuestionAnsweringOutput(question_answering_score="s")
    assert out.loss is None
    assert "loss" not in out
    assert out.get("loss") is None
    assert out.get("loss", 3) == 3
    with pytest.raises(KeyError, match=r"'loss' is not in this .*Output, which has question_answering_score"):
        out["loss"]
    with pytest.raises(IndexError):
        out[1]
    assert LxmertModelOutput().to_tuple() == ()


def test_values_are_never_compared_or_asked_for_truth():
    class Stubborn:
        """As a tensor of many elements: neither true nor false, and `==` gives no truth either."""

        def __bool__(self):
            raise AssertionError

        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    out = LxmertModelOutput(Stubborn(), vision_output=Stubborn())
    assert len(out) == 2
    assert out.get("vision_output") is out[1]
    assert out == out
    assert out != LxmertModelOutput()


@pytest.mark.parametrize(("kind", "own"), list(FIELDS.items()))
def test_copies_and_tensorflow_structure(kind, own):
    out = kind(**{own[-1]: [1], states_of(kind)[0][-1]: ([2], [3])})
    assert len(out) == 2
    for twin in (copy.copy(out), copy.deepcopy(out), pickle.loads(pickle.dumps(out))):
        assert twin.items() == out.items()
    names, values = out.__tf_flatten__()
    assert kind.__tf_unflatten__(names, values).items() == out.items()


def test_every_output_is_documented_field_by_field():
    for kind, own in FIELDS.items():
        states, declared = states_of(kind)
        assert all(f"{name}: " in kind.__doc__ for name in own), kind
        assert all(f"{name}: " in declared.__doc__ for name in states), declared
