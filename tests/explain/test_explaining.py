"""How `explain` is called: what it takes, what it leaves alone, and what it refuses with which words."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lxmert.pt
from lxmert.explain import explain, explain_methods, explaining, methods_of
from lxmert.explain.batch import read_batch
from lxmert.explain.gradients import AttentionGradients, InputGradients, Target
from lxmert.explain.rules.lxmert import STREAMS
from lxmert.explain.targets import positions_read
from tests.small import small_config, small_inputs

from .agreement import arrays_of, assert_close

ANSWERING, PRETRAINING, ALIGNING = (
    "LxmertForQuestionAnswering",
    "LxmertForPreTraining",
    "VisualBertForRegionToPhraseAlignment",
)
VISUAL_BERT, CHOOSING = "VisualBertForQuestionAnswering", "VisualBertForMultipleChoice"


def model_of(name, **changes):
    torch.manual_seed(0)
    return getattr(lxmert.pt, name)(small_config(name, **changes)).eval()


@pytest.fixture(scope="module")
def models():
    return {name: model_of(name) for name in (ANSWERING, PRETRAINING, VISUAL_BERT, CHOOSING, ALIGNING)}


def inputs_of(name, **changes):
    given = {**small_inputs(name), **changes}
    if name == ALIGNING and "region_to_phrase_position" not in changes:
        given["region_to_phrase_position"] = np.array([[2, -1], [5, 0]])
    return given


NAN = np.full((3, 7, 9), np.nan, np.float32)
REFUSED = {
    "a misspelled method": (ANSWERING, {"method": "relevance"}, r"unexpected method 'relevance'. Did you mean 'relev"),
    "a method of two streams": (
        VISUAL_BERT,
        {"method": "relevancy_no_normalization"},
        "only LXMERT has the method 'relevancy_no_normalization', .* this model has one sequence of words and regions",
    ),
    "no steps": (ANSWERING, {"steps": 0}, "steps must be at least 1; got 0"),
    "answers of another batch": (
        ANSWERING,
        {"answer": [1, 2]},
        r"answer must be an integer or \[B\] = \[3\].*got \[2\]",
    ),
    "answers that there are not": (
        ANSWERING,
        {"answer": [11, 2, -1]},
        "answer must be 0 to 10; got 11 for example 0, -1 for example 2",
    ),
    "a choice that there is not": (
        CHOOSING,
        {"answer": 3},
        "answer must be 0 to 2; got 3 for example 0, 3 for example",
    ),
    "a region that there is not": (
        ALIGNING,
        {"answer": 7, "position": 0},
        "answer must be 0 to 6; got 7 for example 0",
    ),
    "a region that is hidden": (
        ALIGNING,
        {"answer": [1, 0], "position": 0},
        "answer must be a region that .*got 1 for",
    ),
    "fractions of answers": (ANSWERING, {"answer": 1.0}, r"answer must be an integer or \[B\] integers; got 1.0"),
    "a yes for an answer": (ANSWERING, {"answer": True}, "answer must be an integer"),
    "no head": (PRETRAINING, {}, "score must be one of 'word', 'match', 'answer': LxmertForPreTraining has several"),
    "an unknown head": (PRETRAINING, {"score": "object"}, "score must be one of 'word', 'match', 'answer' for Lxmert"),
    "another head": (ANSWERING, {"score": "match"}, "score must be one of 'answer' for LxmertForQ.*; got 'match'"),
    "no position": (PRETRAINING, {"score": "word"}, "position must be given: the number of the token"),
    "no phrase": (ALIGNING, {}, "position must be given: the number of the phrase"),
    "a position for an answer": (ANSWERING, {"position": 1}, "position must be left out: the score 'answer' has no"),
    "a position behind the text": (PRETRAINING, {"score": "word", "position": 5}, "position must be 0 to 4; got 5 for"),
    "a position of padding": (
        PRETRAINING,
        {"score": "word", "position": [0, 4, 0]},
        "position must be no padding; got 4 for example 1, 0 for example 2",
    ),
    "a phrase that is filled up": (ALIGNING, {"position": 1}, "position must be no padding; got 1 for example 0"),
    "a phrase that is a hidden region": (
        ALIGNING,
        {"inputs": {"region_to_phrase_position": np.array([[0, 6], [0, 1]])}, "position": 1},
        "position must be no padding; got 1 for example 0",
    ),
    "a position that is no number": (PRETRAINING, {"score": "word", "position": "1"}, "position must be an integer"),
    "an unknown input": (ANSWERING, {"inputs": {"visual_features": NAN}}, "unexpected input 'visual_features'"),
    "features that are no numbers": (
        ANSWERING,
        {"inputs": {"visual_feats": NAN}},
        "scores must be finite; got nan for",
    ),
    "text for features": (ANSWERING, {"inputs": {"visual_feats": np.array(["a"])}}, "visual_feats must be an array of"),
    "sentences of two lengths": (
        ANSWERING,
        {"inputs": {"input_ids": [[1, 2], [1], [2]]}},
        "input_ids must be an array of numbers: .*inhomogeneous",
    ),
    "no regions": (ANSWERING, {"inputs": {"visual_feats": None}}, "visual_feats must be given"),
    "other shapes": (ANSWERING, {"inputs": {"visual_pos": NAN[:, :2]}}, r"visual_pos must be \[B, R, 4\]"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what, models):
    name, options, message = REFUSED[what]
    options = dict(options)
    inputs = inputs_of(name, **options.pop("inputs", {}))
    with pytest.raises((ValueError, TypeError), match=message):
        explain(models[name], inputs, **options)


def test_models_that_cannot_be_explained(models):
    with pytest.raises(ValueError, match=r"LxmertModel has no head. .* of LxmertForPreTraining, LxmertForQuestionA"):
        explain(model_of("LxmertModel"), small_inputs())
    with pytest.raises(TypeError, match=r"model must be a model of lxmert\.pt or lxmert\.tf; got Linear"):
        explain(torch.nn.Linear(2, 2), {})
    with pytest.raises(TypeError, match=r"got DataParallel\. Give the model that it wraps: its module\."):
        explain(torch.nn.DataParallel(models[ANSWERING]), {})
    with pytest.raises(TypeError, match="inputs must be a mapping of argument names to arrays; got list"):
        explain(models[ANSWERING], [])
    with pytest.raises(
        ValueError, match=r"score must be one of 'word', 'match' for .*; got 'answer', and this model has tas"
    ):
        explain(model_of(PRETRAINING, task_qa=False), small_inputs(PRETRAINING), score="answer")


def test_outputs_that_are_no_scores_of_classes(models):
    model, inputs = explaining.gradient_model(models[PRETRAINING]), inputs_of(PRETRAINING)
    with pytest.raises(ValueError, match=r"prediction_logits must be \[B, C\], .*; got \[3, 5, 29\]"):
        model.attention_gradients(inputs, Target("prediction_logits"))
    with pytest.raises(ValueError, match=r"cross_relationship_score must be \[B, P, C\], .*; got \[3, 2\]"):
        model.input_gradients(inputs, Target("cross_relationship_score", np.zeros(3, np.int64)))


def test_a_class_from_outside_reads_the_pooled_output(models):
    """Whatever its task is called."""
    batch = read_batch(models[VISUAL_BERT], inputs_of(VISUAL_BERT))
    assert positions_read(batch, Target("logits")).any()
    assert not positions_read(replace(batch, architecture="VisualBertForMyself"), Target("logits")).any()


def test_numbers_that_overflow(models, monkeypatch):
    """A gradient that float16 does not hold."""

    class Overflowing:
        def attention_gradients(self, inputs, target, with_gradients):
            shape = {"language": 5, "vision": 7}
            ones = {name: (np.ones((3, 1, shape[q], shape[k])),) for name, (q, k) in STREAMS.items()}
            infinite = {name: (np.full_like(maps[0], np.inf),) for name, maps in ones.items()}
            return AttentionGradients(np.zeros(3, np.int64), np.zeros(3), ones, infinite)

    monkeypatch.setattr(explaining, "gradient_model", lambda model: Overflowing())
    with pytest.raises(ValueError, match="the gradients of LxmertForQuestionAnswering must be finite; some are not"):
        explain(models[ANSWERING], inputs_of(ANSWERING))


def test_tensors_labels_and_neutral_arguments_change_nothing(models):
    inputs = inputs_of(ANSWERING)
    wanted = explain(models[ANSWERING], inputs, 4)
    tensors = {name: torch.as_tensor(array) for name, array in inputs.items()}
    views = {name: array[:, ::-1].copy()[:, ::-1].astype(array.dtype.newbyteorder()) for name, array in inputs.items()}
    for array in views.values():
        array.setflags(write=False)
    for given in (tensors, views, {**inputs, "labels": np.zeros(3, int), "inputs_embeds": None}):
        found = explain(models[ANSWERING], given, torch.tensor([4, 4, 4]))
        assert_close(arrays_of(found), arrays_of(wanted), 0.0)
    assert all(parameter.grad is None for parameter in models[ANSWERING].parameters())


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT])
def test_word_vectors_are_explained_as_words(name, models):
    inputs = inputs_of(name)
    vectors = {key: array for key, array in inputs.items() if key != "input_ids"}
    with torch.no_grad():
        vectors["inputs_embeds"] = models[name].get_input_embeddings()(torch.as_tensor(inputs["input_ids"]))
    for method in ("relevancy", "input_x_gradient"):
        wanted = explain(models[name], inputs, method=method)
        assert_close(arrays_of(explain(models[name], vectors, method=method)), arrays_of(wanted), 1e-5)


def test_visual_bert_explains_text_alone(models):
    inputs = {name: array for name, array in inputs_of(VISUAL_BERT).items() if "visual" not in name}
    for method, found in explain_methods(models[VISUAL_BERT], inputs, steps=2).items():
        assert found.regions.shape == found.region_mask.shape == (2, 0)
        assert found.words[0].any() or method == "attention_grad_cam"


@pytest.mark.parametrize("name", [ANSWERING, VISUAL_BERT])
def test_an_image_that_is_wholly_masked(name, models):
    inputs = inputs_of(name, attention_mask=None)
    inputs["visual_attention_mask"] = np.zeros_like(inputs["visual_attention_mask"])
    for method, found in explain_methods(models[name], inputs, steps=2).items():
        assert not found.regions.any()
        assert found.words.any() or method == "attention_grad_cam"


def test_what_is_computed(models, monkeypatch):
    """One pass serves all methods that need maps, without gradients if none of them needs any."""
    calls = []
    backend = explaining.gradient_model(models[VISUAL_BERT])

    class Counting:
        def attention_gradients(self, inputs, target, with_gradients):
            calls.append("both" if with_gradients else "forward")
            return backend.attention_gradients(inputs, target, with_gradients)

        def input_gradients(self, inputs, target):
            calls.append("inputs")
            assert target.answers is not None or calls == ["inputs"]
            found = backend.input_gradients(inputs, target)
            assert isinstance(found, InputGradients)
            return found

    monkeypatch.setattr(explaining, "gradient_model", lambda model: Counting())
    for methods, wanted in {
        None: ["both", "inputs", "inputs", "inputs"],
        ("raw_attention", "attention_rollout"): ["forward"],
        ("integrated_gradients", "relevancy", "relevancy"): ["both", "inputs", "inputs", "inputs"],
        ("input_x_gradient",): ["inputs"],
    }.items():
        found = explain_methods(models[VISUAL_BERT], inputs_of(VISUAL_BERT), methods=methods, steps=2)
        assert calls == wanted
        assert list(found) == list(dict.fromkeys(methods or methods_of("visual_bert")))
        calls.clear()


def test_scaled_is_from_0_to_1_without_padding(models):
    found = explain(models[ANSWERING], inputs_of(ANSWERING))
    scaled = found.scaled()
    for values, mask in ((scaled.words, found.word_mask), (scaled.regions, found.region_mask)):
        for row, real in zip(values, mask != 0, strict=True):
            assert not row[~real].any()
            if row.any():
                assert (row[real].min(), row[real].max()) == (0, 1)
    assert scaled.words[0].any()
    assert_close({"matrix": scaled.language_to_vision}, {"matrix": found.language_to_vision}, 0.0)
