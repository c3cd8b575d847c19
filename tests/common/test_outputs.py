"""Model outputs: one object that reads by name, by attribute and by place, with absent fields absent everywhere."""

import copy
import dataclasses
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
    assert tuple(kind(*range(len(own)))) == own
    assert tuple(out) == tuple(out.keys()) == names
    assert out.to_tuple() == tuple(out.values()) == tuple(range(len(names)))
    assert tuple(out.items()) == tuple(zip(names, range(len(names)), strict=True))
    assert out.states() == dict(zip(states, range(len(own), len(names)), strict=True))
    assert kind().states() == dict.fromkeys(states)


def test_ways_to_read():
    out = LxmertForQuestionAnsweringOutput(question_answering_score="s", vision_attentions=(1, 2))
    assert out.question_answering_score == out["question_answering_score"] == out[0] == "s"
    assert out[-1] == out["vision_attentions"] == (1, 2)
    assert out[:1] == ("s",)
    assert list(out) == ["question_answering_score", "vision_attentions"]
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
    out.pooled_output = out["vision_output"] = Stubborn()
    assert list(out) == ["language_output", "vision_output", "pooled_output"]


@pytest.mark.parametrize(("kind", "own"), list(FIELDS.items()))
def test_copies(kind, own):
    out = kind(**{own[-1]: [1], states_of(kind)[0][-1]: ([2], [3])})
    assert len(out) == 2
    for twin in (copy.copy(out), copy.deepcopy(out), pickle.loads(pickle.dumps(out))):
        assert type(twin) is kind
        assert twin == out
        assert list(twin) == list(out)


def test_assignment_keeps_attributes_and_entries_in_step():
    out = LxmertForVisualReasoningOutput(logits="s")
    out.loss = 1
    assert list(out.items()) == [("logits", "s"), ("loss", 1)]  # as a dict: in the order of assignment
    out["loss"] = 2
    assert (out.loss, out["loss"], out[1]) == (2, 2, 2)
    out.loss = None
    assert (list(out), out.loss) == (["logits"], None)
    out["loss"] = None
    out.update(loss=3, logits=None)
    assert (list(out), out.loss, out.logits) == (["loss"], 3, None)
    out["extra"] = 4
    assert (out.extra, out[-1], pickle.loads(pickle.dumps(out)).extra) == (4, 4, 4)
    with pytest.raises(AttributeError, match="no attribute 'logit'"):
        _ = out.logit


def test_entries_are_not_deleted():
    out = LxmertForVisualReasoningOutput(1, 2)
    for delete in (lambda: out.pop("loss"), out.popitem, out.clear, lambda: out.setdefault("loss", 1)):
        with pytest.raises(TypeError, match="assign None to a field"):
            delete()
    with pytest.raises(TypeError, match="assign None to a field"):
        del out["loss"]
    assert out.to_tuple() == (1, 2)


def test_answers_are_also_logits():
    out = LxmertForQuestionAnsweringOutput(question_answering_score="s")
    assert out.logits == out["logits"] == out.get("logits") == "s"
    assert "logits" in out
    assert list(out) == ["question_answering_score"]
    out.logits = "t"
    assert out["question_answering_score"] == "t"
    out["logits"] = None
    assert "logits" not in out
    assert out.logits is None
    with pytest.raises(KeyError):
        out["logits"]


@pytest.mark.parametrize("kind", FIELDS)
def test_outputs_are_made_from_mappings_and_pairs(kind):
    pairs = [(FIELDS[kind][-1], 1), (states_of(kind)[0][-1], (2, 3)), ("extra", 4)]
    for given in (dict(pairs), pairs, iter(pairs), (pair for pair in pairs), dict(pairs).items()):
        out = kind(given)
        assert type(out) is kind
        assert list(out.items()) == pairs
    assert list(kind({})) == list(kind([])) == []
    values = [(1, 2), (3, 4)]
    assert kind(values)[0] is values  # pairs of something else are a value
    with pytest.raises(TypeError, match="logit"):
        kind(logit=1)


def test_terms_of_the_loss_are_no_entries():
    out = LxmertForPreTrainingOutput(loss=3, losses={"words": 1, "match": 2})
    assert (list(out), out.losses, "losses" in out) == (["loss"], {"words": 1, "match": 2}, False)
    assert pickle.loads(pickle.dumps(out)).losses == copy.copy(out).losses == out.losses


@dataclasses.dataclass
class Own(LxmertForQuestionAnsweringOutput):
    """A user's output with a field of its own."""

    confidence: object = None


def test_a_dataclass_of_a_user():
    out = Own(loss=1, question_answering_score=2, confidence=3, vision_attentions=(4,))
    assert list(out) == ["loss", "question_answering_score", "confidence", "vision_attentions"]
    assert (out.confidence, out.logits, Own().confidence) == (3, 2, None)
    assert dataclasses.replace(out, loss=None).to_tuple() == (2, 3, (4,))
    assert Own(dict(out)) == out


def test_every_output_is_documented_field_by_field():
    for kind, own in FIELDS.items():
        states, declared = states_of(kind)
        assert all(f"{name}: " in kind.__doc__ for name in own), kind
        assert all(f"{name}: " in declared.__doc__ for name in states), declared
