"""The comparison can fail: in every way that two results may differ, and for nothing less than its tolerance."""

import numpy as np
import pytest
import torch

from lxmert.common.outputs import LxmertModelOutput
from tests.compare import arrays, assert_same, assert_same_gradients

TOLERANCE = 1e-6


def result(**changes):
    draw = np.random.default_rng(0)
    whole = {
        "scores": draw.standard_normal((2, 3)),
        "states": (draw.standard_normal((2, 5)), draw.standard_normal((2, 7))),
    }
    return {**whole, **changes}


def moved(by):
    scores = result()["scores"].copy()
    scores[1, 2] += by
    return scores


def test_equal_results_pass():
    assert_same(result(), result(), 0.0)
    assert_same(result(scores=moved(TOLERANCE / 2)), result(), TOLERANCE)


NAN, INF = (np.where(np.arange(6).reshape(2, 3) == 4, wrong, 1.0) for wrong in (np.nan, np.inf))
DIFFERENT = {
    "off by twice the tolerance": (result(scores=moved(2 * TOLERANCE)), "scores differs by 2e-06, allowed is 1e-06"),
    "off by twice the tolerance, below": (result(scores=moved(-2 * TOLERANCE)), "scores differs by 2e-06"),
    "NaN": (result(scores=NAN), "scores is not finite: it holds 1 of 6 values that are not"),
    "infinite": (result(scores=INF), "scores is not finite"),
    "wrong shape": (result(scores=result()["scores"].T), r"scores is float64 \[3, 2\], expected float64 \[2, 3\]"),
    "a shape that broadcasts": (result(scores=result()["scores"][:1]), r"scores is float64 \[1, 3\]"),
    "wrong dtype": (result(scores=result()["scores"].astype(np.float32)), r"scores is float32 \[2, 3\]"),
    "missing name": ({"states": result()["states"]}, "scores is missing"),
    "extra name": (result(loss=np.zeros(())), "loss is not expected"),
    "missing in a tuple": (result(states=result()["states"][:1]), "states/1 is missing"),
    "extra in a tuple": (result(states=(*result()["states"], np.zeros(1))), "states/2 is not expected"),
    "an empty tuple": (result(states=()), "states/0 is missing"),
    "None": (result(scores=None), r"scores is None, expected float64 \[2, 3\]"),
}


@pytest.mark.parametrize("how", DIFFERENT)
def test_different_results_fail(how):
    given, message = DIFFERENT[how]
    with pytest.raises(AssertionError, match=message):
        assert_same(given, result(), TOLERANCE)
    # And the other way round.
    with pytest.raises(AssertionError):
        assert_same(result(), given, TOLERANCE)


def test_two_results_that_are_not_finite_are_not_equal():
    with pytest.raises(AssertionError, match="not finite"):
        assert_same(result(scores=NAN), result(scores=NAN), np.inf)


def test_nothing_is_not_compared():
    with pytest.raises(AssertionError, match="nothing to compare"):
        assert_same({}, {}, 1.0)


def test_every_fault_is_told_at_once():
    with pytest.raises(AssertionError) as error:
        assert_same({"scores": NAN, "more": NAN}, result(), TOLERANCE)
    for part in ("scores is not finite", "states/0 is missing", "states/1 is missing", "more is not expected"):
        assert part in str(error.value)


def test_gradients_are_compared_relative_to_their_largest_entry():
    expected = {"out.weight": np.array([100.0, 1.0])}
    near, far = (100.0 * TOLERANCE * factor for factor in (0.5, 2))
    assert_same_gradients({"out.weight": np.array([100.0, 1.0 + near])}, expected, TOLERANCE)
    with pytest.raises(AssertionError, match=r"out\.weight differs"):
        assert_same_gradients({"out.weight": np.array([100.0, 1.0 + far])}, expected, TOLERANCE)


def test_gradients_of_different_parameters_have_their_own_scales():
    expected = {"large.weight": np.array([100.0]), "small.weight": np.array([1.0]), "small.bias": np.array([1e-3])}
    for name in ("small.weight", "small.bias"):
        given = {**expected, name: expected[name] * (1 + 2 * TOLERANCE)}
        with pytest.raises(AssertionError, match=f"{name} differs"):
            assert_same_gradients(given, expected, TOLERANCE)


def test_the_projections_of_an_attention_share_a_scale():
    expected = {"a.key.bias": np.array([1e-17]), "a.value.weight": np.array([1.0]), "b.key.bias": np.array([1e-17])}
    assert_same_gradients({**expected, "a.key.bias": np.array([-3e-17])}, expected, TOLERANCE)
    with pytest.raises(AssertionError, match=r"b\.key\.bias differs"):
        assert_same_gradients({**expected, "b.key.bias": np.array([-3e-17])}, expected, TOLERANCE)


def test_the_head_of_choices_has_one_scale():
    expected = {"heads.choice.weight": np.array([1.0]), "heads.choice.bias": np.array([1e-17])}
    assert_same_gradients({**expected, "heads.choice.bias": np.array([-3e-17])}, expected, TOLERANCE)
    with pytest.raises(AssertionError, match=r"choice\.bias differs"):
        assert_same_gradients({**expected, "heads.choice.bias": np.array([2 * TOLERANCE])}, expected, TOLERANCE)


def test_a_gradient_of_zeros_is_not_an_absent_one():
    with pytest.raises(AssertionError, match="weight is None"):
        assert_same_gradients({"weight": None}, {"weight": np.zeros(2)}, TOLERANCE)
    with pytest.raises(AssertionError, match="expected None"):
        assert_same_gradients({"weight": np.zeros(2)}, {"weight": None}, TOLERANCE)
    assert_same_gradients({"weight": None}, {"weight": None}, TOLERANCE)
    assert_same_gradients({"weight": np.zeros(2)}, {"weight": np.zeros(2)}, TOLERANCE)
    with pytest.raises(AssertionError, match="allowed is 0"):
        assert_same_gradients({"weight": np.full(2, 1e-30)}, {"weight": np.zeros(2)}, TOLERANCE)


def test_tensors_and_outputs_are_taken_apart():
    values = torch.ones(2, 3, requires_grad=True)
    output = LxmertModelOutput(pooled_output=values, language_attentions=(values, values))
    assert set(arrays(output)) == {"pooled_output", "language_attentions/0", "language_attentions/1"}
    assert_same(output, {"pooled_output": np.ones((2, 3), np.float32), "language_attentions": [values, values]}, 0.0)
