"""The rate of each step, against the original's formula."""

import numpy as np
import pytest

from lxmert.training.schedule import linear_warm_up, rate_of_step


@pytest.mark.parametrize(("steps", "warm_up"), [(20, 0.1), (7, 0.5), (1, 0.1), (1000, 0.05), (10, 0.0), (10, 1.0)])
def test_the_originals_form(steps, warm_up):
    for step in range(steps):
        x = step / steps
        expected = x / warm_up if x < warm_up else max((x - 1) / (warm_up - 1), 0)
        assert linear_warm_up(step, steps, warm_up) == expected
    assert linear_warm_up(steps, steps, warm_up) == 0
    assert linear_warm_up(steps + 3, steps, warm_up) == 0


def test_the_first_step_has_rate_0_and_the_highest_is_reached():
    parts = [linear_warm_up(step, 100, 0.1) for step in range(100)]
    assert parts[0] == 0
    assert parts[10] == max(parts) == 1
    assert np.all(np.diff(parts[:11]) > 0)
    assert np.all(np.diff(parts[10:]) < 0)


def test_rates_are_numbers_of_float32():
    for step in range(30):
        rate = rate_of_step(1e-4, step, 30, 0.1)
        assert rate == float(np.float32(rate))
        assert rate == pytest.approx(1e-4 * linear_warm_up(step, 30, 0.1), rel=1e-7)


@pytest.mark.parametrize(
    ("step", "steps", "warm_up", "message"),
    [
        (0, 0, 0.1, "steps must be at least 1; got 0"),
        (-1, 5, 0.1, "step must be at least 0; got -1"),
        (0, 5, 1.1, "warm_up is the part of the steps in which the rate rises, 0 to 1; got 1.1"),
        (0, 5, float("nan"), "0 to 1; got nan"),
    ],
)
def test_wrong_numbers_are_refused(step, steps, warm_up, message):
    with pytest.raises(ValueError, match=message):
        linear_warm_up(step, steps, warm_up)
