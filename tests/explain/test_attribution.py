"""Attribution to inputs, on scores whose gradients are known by hand, and its completeness on models."""

import numpy as np
import pytest

from lxmert.explain import explain
from lxmert.explain.attribution import input_x_gradient, integrated_gradients
from lxmert.explain.batch import read_batch
from lxmert.explain.gradients import InputGradients, Target
from tests.models import cast, pt_model
from tests.small import small_config, small_inputs

from .examples import SCORES, options_of, padded

NAME = "LxmertForQuestionAnswering"
TARGET = Target("question_answering_score", None, np.array([1, 0, 2]))


class Stub:
    """What a model tells of itself."""

    config = small_config()

    def architecture(self):
        return NAME


class Power:
    """A score whose gradient is known: a power of a weighted sum of all inputs that are not masked."""

    def __init__(self, batch, power):
        self.batch, self.power, self.calls = batch, power, 0

    def input_gradients(self, inputs, target):
        assert target is TARGET
        assert "input_ids" not in inputs or not self.calls
        self.calls += 1
        draw, sums, slopes = np.random.default_rng(0), 0.0, {}
        if "input_ids" in inputs:
            inputs = {**inputs, "inputs_embeds": np.random.default_rng(1).standard_normal((3, 5, 24))}
        found = {name: inputs[name] for name in ("inputs_embeds", "visual_feats", "visual_pos")}
        for name, array in found.items():
            real = self.batch.word_mask if name == "inputs_embeds" else self.batch.region_mask
            slopes[name] = draw.standard_normal(array.shape) * real[..., None]
            sums = sums + (slopes[name] * array).sum((1, 2))
        outer = self.power * sums ** (self.power - 1)
        gradients = {name: slope * outer[:, None, None] for name, slope in slopes.items()}
        return InputGradients(target.answers, sums**self.power, found, gradients)


@pytest.fixture
def batch():
    return read_batch(Stub(), cast(small_inputs(NAME), "float64"))


def test_input_x_gradient_sums_over_the_numbers_of_each_word_and_region(batch):
    found = Power(batch, 1).input_gradients(batch.inputs, TARGET)
    relevance = input_x_gradient(batch, found)
    assert relevance.words.shape == batch.word_mask.shape
    assert not relevance.words[~batch.word_mask].any()
    assert not relevance.regions[~batch.region_mask].any()
    products = {name: found.inputs[name] * found.gradients[name] for name in found.inputs}
    by_hand = products["visual_feats"].sum(2) + products["visual_pos"].sum(2)
    np.testing.assert_allclose(relevance.words, products["inputs_embeds"].sum(2), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(relevance.regions, by_hand, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(relevance.words.sum(1) + relevance.regions.sum(1), found.scores)


@pytest.mark.parametrize(("power", "steps", "exact"), [(1, 1, True), (3, 4, False), (3, 5, True), (5, 8, True)])
def test_integrated_gradients_are_complete_with_enough_points(batch, power, steps, exact):
    """Gradients of degree d are of degree 3d + 2 in t, and n points are exact up to 2n - 1; nothing scores 0 here."""
    model = Power(batch, power)
    found = model.input_gradients(batch.inputs, TARGET)
    relevance = integrated_gradients(model, batch, TARGET, found, steps)
    assert model.calls == steps + 1
    sums = relevance.words.sum(1) + relevance.regions.sum(1)
    assert np.allclose(sums, found.scores, rtol=1e-10) == exact
    if power == 1:
        for ours, other in zip(relevance[:2], input_x_gradient(batch, found)[:2], strict=True):
            np.testing.assert_allclose(ours, other)


@pytest.mark.parametrize("width", [0.1, 0.01])
def test_what_changes_close_to_the_empty_input_is_found(batch, width):
    """As a layer norm changes: x / √(x² + width²), whose gradient is nearly 0 but there."""

    class Saturating(Power):
        def input_gradients(self, inputs, target):
            found = super().input_gradients(inputs, target)
            sums = found.scores
            slopes = width**2 / (sums**2 + width**2) ** 1.5
            gradients = {name: array * slopes[:, None, None] for name, array in found.gradients.items()}
            return found._replace(scores=sums / np.sqrt(sums**2 + width**2), gradients=gradients)

    model = Saturating(batch, 1)
    found = model.input_gradients(batch.inputs, TARGET)
    relevance = integrated_gradients(model, batch, TARGET, found, 50)
    assert np.abs(found.scores[:2]).min() > 0.99
    np.testing.assert_allclose(relevance.words.sum(1) + relevance.regions.sum(1), found.scores, atol=5e-3)


def empty(model, given):
    """The inputs with zeros for what is read; padding as it is."""
    inputs = dict(given)
    words = model.get_input_embeddings().weight.detach().numpy()[inputs.pop("input_ids")]
    inputs["inputs_embeds"] = np.where(given["attention_mask"][..., None] != 0, 0, words)
    for name in inputs.keys() & {"visual_feats", "visual_pos", "visual_embeds"}:
        inputs[name] = np.where(given["visual_attention_mask"][..., None] != 0, 0, inputs[name])
    return inputs


@pytest.mark.parametrize("name", ["LXMERT: two images", "VisualBERT: choice"])
def test_integrated_gradients_sum_to_the_score_minus_that_of_nothing(name):
    score, given, options = SCORES[name], cast(padded(name), "float64"), options_of(name)
    model = pt_model(score.config, score.architecture, "float64")
    nothing = explain(model, empty(model, given), method="input_x_gradient", **options)
    found, few = (explain(model, given, method="integrated_gradients", steps=steps, **options) for steps in (50, 2))
    axes = tuple(range(1, found.words.ndim))
    sums, too_few = (one.words.sum(axes) + one.regions.sum(axes) for one in (found, few))
    np.testing.assert_allclose(sums, found.scores - nothing.scores, rtol=1e-7)
    assert not np.allclose(too_few, sums, rtol=1e-2)
    assert not nothing.words.any()
