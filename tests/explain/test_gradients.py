"""Maps and gradients of both backends: against finite differences, and what a call leaves as it was."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import torch

from lxmert.explain import explain
from lxmert.explain.gradients import Target
from lxmert.explain.pt import GradientModel as TorchGradients
from lxmert.explain.tf import GradientModel as KerasGradients
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs
from tests.models import new_pt, pt_model, run_pt, run_tf, small, small_visual_bert, tf_model
from tests.visual_bert_inputs import visual_bert_inputs

LXMERT, VISUAL_BERT = small("2/2/1"), small_visual_bert(2)
STEP = 1e-5
# Of finite differences, beside the largest directional derivative. Measured: 4e-10.
FINITE_DIFFERENCES = 1e-6
MODELS = {
    "lxmert": ("LxmertForQuestionAnswering", LXMERT, "question_answering_score"),
    "visual_bert": ("VisualBertForQuestionAnswering", VISUAL_BERT, "logits"),
}
# The attentions in the order in which they are computed. Nothing reads the image branch of the last cross layer.
CROSS = ("attentions", "language_self_attentions", "vision_attentions", "vision_self_attentions")
ORDER = {
    "lxmert": [
        ("language_attentions", 0),
        ("language_attentions", 1),
        ("vision_attentions", 0),
        *((f"cross_encoder_{kind}", 0) for kind in CROSS),
        *((f"cross_encoder_{kind}", 1) for kind in CROSS[:2]),
    ],
    "visual_bert": [("attentions", 0), ("attentions", 1)],
}


def given_of(model_type):
    make = inputs if model_type == "lxmert" else visual_bert_inputs
    return make(MODELS[model_type][1], Sizes())


def models_of(model_type, dtype="float64"):
    name, config, _ = MODELS[model_type]
    return pt_model(config, name, dtype), tf_model(config, name, dtype)


class Softmax:
    """A softmax whose results are kept, and some of them shifted."""

    def __init__(self, softmax):
        self.softmax, self.results, self.shifts = softmax, [], {}

    def __call__(self, *args, **kwargs):
        weights = self.softmax(*args, **kwargs)
        self.results.append(np.asarray(weights.detach() if torch.is_tensor(weights) else weights))
        shift = self.shifts.get(len(self.results) - 1)
        if shift is None:
            return weights
        return weights + (torch.as_tensor(shift) if torch.is_tensor(weights) else shift)

    def run(self, run, model, given, output, shifts):
        """The scores with some maps shifted, by their place in the order; all maps before."""
        self.results, self.shifts = [], shifts
        scores = run(model, given, output_attentions="used")[output]
        return np.asarray(scores.detach() if torch.is_tensor(scores) else scores), self.results


@pytest.mark.parametrize("backend", ["pt", "tf"])
@pytest.mark.parametrize("model_type", list(MODELS))
def test_gradients_by_maps_are_those_of_finite_differences(model_type, backend, monkeypatch):
    """In a random direction: of each map by itself in PyTorch, and of all at once in both."""
    output, given, order = MODELS[model_type][2], given_of(model_type), ORDER[model_type]
    pt, tf = models_of(model_type)
    answers, rows = np.array([4, 1]), np.arange(2)
    target = Target(output, answers=answers)
    if backend == "pt":
        found, run, model, module = TorchGradients(pt).attention_gradients(given, target), run_pt, pt, torch
    else:
        found, run, model, module = KerasGradients(tf).attention_gradients(given, target), run_tf, tf, keras.ops
    softmax = Softmax(module.softmax)
    monkeypatch.setattr(module, "softmax", softmax)
    scores, maps = softmax.run(run, model, given, output, {})
    assert_same(found.scores, scores[rows, answers], tolerances.OUTPUTS["float64"])
    assert_same([found.maps[name][layer] for name, layer in order], maps, tolerances.OUTPUTS["float64"])
    draw = np.random.default_rng(0)
    directions = {place: draw.standard_normal(weights.shape) for place, weights in enumerate(maps)}
    gradients = [found.gradients[name][layer] for name, layer in order]
    for places in ([[place] for place in directions] if backend == "pt" else []) + [list(directions)]:
        expected = sum((gradients[place] * directions[place]).sum((1, 2, 3)) for place in places)
        up, down = (
            softmax.run(run, model, given, output, {place: step * directions[place] for place in places})[0]
            for step in (STEP, -STEP)
        )
        scale = np.abs(expected).max()
        assert scale > 1e-3, "a gradient of nothing proves nothing"
        slope = (up - down)[rows, answers] / (2 * STEP)
        assert_same(slope / scale, expected / scale, FINITE_DIFFERENCES)


@pytest.mark.parametrize("model_type", list(MODELS))
def test_backends_agree_and_maps_are_those_of_the_model(model_type):
    output, given = MODELS[model_type][2], given_of(model_type)
    pt, tf = (kind(model) for kind, model in zip((TorchGradients, KerasGradients), models_of(model_type), strict=True))
    target = Target(output)
    found, expected = pt.attention_gradients(given, target), tf.attention_gradients(given, target)
    assert_same(found._asdict(), expected._asdict(), tolerances.OUTPUTS["float64"])
    every = run_pt(pt.model, given, output_attentions="all")
    for name, maps in found.maps.items():
        for one, other in zip(maps, every[name], strict=True):
            if one is not None:
                assert_same(one, other, tolerances.OUTPUTS["float64"])
    without = pt.attention_gradients(given, target, with_gradients=False)
    assert_same(without.maps, found.maps, tolerances.OUTPUTS["float64"])
    assert {part for parts in without.gradients.values() for part in parts} == {None}
    of_inputs = [model.input_gradients(given, target) for model in (pt, tf)]
    assert_same(of_inputs[0]._asdict(), of_inputs[1]._asdict(), tolerances.OUTPUTS["float64"])
    vectors = {"inputs_embeds": of_inputs[0].inputs["inputs_embeds"]}
    by_vectors = {name: array for name, array in given.items() if name != "input_ids"} | vectors
    assert_same(pt.input_gradients(by_vectors, target).gradients, of_inputs[0].gradients, 0.0)


def test_a_call_leaves_the_weights_as_they_were():
    """Whatever requires gradients, in whatever mode the caller is, and when several threads explain and answer."""
    given, target = given_of("lxmert"), Target("question_answering_score")
    model = new_pt(LXMERT, "LxmertForQuestionAnswering", "float64")
    expected = TorchGradients(model).attention_gradients(given, target)
    for parameter in list(model.parameters())[::2]:
        parameter.grad = torch.ones_like(parameter)
    before = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    with torch.no_grad():
        assert_same(TorchGradients(model).attention_gradients(given, target)._asdict(), expected._asdict(), 0.0)
    with torch.inference_mode():
        assert_same(TorchGradients(model).attention_gradients(given, target)._asdict(), expected._asdict(), 0.0)
        assert torch.is_inference_mode_enabled()
    with pytest.raises(ValueError, match="input_ids"):
        TorchGradients(model).attention_gradients({**given, "input_ids": given["input_ids"] + 1000}, target)
    with pytest.raises(IndexError):
        TorchGradients(model).attention_gradients(given, Target("question_answering_score", answers=np.array([0, 99])))
    with ThreadPoolExecutor(4) as threads:
        explained = [threads.submit(TorchGradients(model).attention_gradients, given, target) for _ in range(4)]
        answered = [threads.submit(run_pt, model, given) for _ in range(4)]
        for each in explained:
            assert_same(each.result()._asdict(), expected._asdict(), 0.0)
        for each in answered:
            assert each.result().question_answering_score.max(1).values.tolist() == pytest.approx(expected.scores)
    for parameter, (required, gradient) in zip(model.parameters(), before, strict=True):
        assert parameter.requires_grad == required
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
    hook = model.backbone.language_layers[1].register_forward_hook(lambda _, given, out: (out[0], out[1].clone()))
    with pytest.raises(ValueError, match=r"does not depend on language_attentions\[1\].*before it is compiled"):
        explain(model, given)
    hook.remove()
    model.requires_grad_(False)
    assert_same(TorchGradients(model).attention_gradients(given, target)._asdict(), expected._asdict(), 0.0)
    with pytest.raises(ValueError, match=r"in training mode.*model\.eval\(\)"):
        TorchGradients(model.train()).attention_gradients(given, target)
    model.eval().backbone.cross_layers[0].train()
    with pytest.raises(ValueError, match="in training mode"):
        TorchGradients(model).attention_gradients(given, target)


@pytest.mark.full
def test_results_of_small_dtypes_are_float32():
    given, target = given_of("lxmert"), Target("question_answering_score", answers=np.array([4, 1]))
    config, name = small("1/1/1"), "LxmertForQuestionAnswering"
    expected = TorchGradients(pt_model(config, name, "float32")).attention_gradients(given, target)
    for model in (
        TorchGradients(pt_model(config, name, "float16")),
        TorchGradients(pt_model(config, name, "bfloat16")),
        KerasGradients(tf_model(config, name, "bfloat16")),
    ):
        found = model.attention_gradients(given, target)
        assert found.scores.dtype == np.float64
        for name_of_maps, parts in expected.gradients.items():
            for one, other in zip(found.gradients[name_of_maps], parts, strict=True):
                if other is not None:
                    assert one.dtype == np.float32
                    assert np.abs(one - other).max() < 0.3 * np.abs(other).max()


def test_graphs_of_keras_compute_the_same(monkeypatch):
    given, target = given_of("visual_bert"), Target("logits")
    model = KerasGradients(tf_model(small_visual_bert(1), "VisualBertForQuestionAnswering", "float32"))
    expected = model.attention_gradients(given, target)
    monkeypatch.setattr("lxmert.explain.tf._FEW", 1)
    traced = model.attention_gradients(given, target)
    assert_same(traced._asdict(), expected._asdict(), tolerances.OUTPUTS["float32"])
