"""What is kept and what runs ahead is bounded by bytes."""

import time
from functools import partial

import numpy as np
import pytest

from lxmert.utils import run_ahead as module
from lxmert.utils.held_memory import cached_within, held_bytes
from lxmert.utils.run_ahead import run_ahead
from lxmert.utils.setting_names import named_as_options, setting


def test_the_cache_keeps_what_was_used_last_within_its_bytes():
    made = []

    @cached_within(100)
    def zeros(count):
        """Zeros."""
        made.append(count)
        return np.zeros(count, np.uint8)

    for count in (40, 50, 40, 60, 40, 50):  # 60 pushes out 50, which was not used since
        assert len(zeros(count)) == count
    assert made == [40, 50, 60, 50]
    zeros(101)
    zeros(101)
    assert made == [40, 50, 60, 50, 101, 101]  # too large to be kept
    assert zeros.__doc__ == "Zeros."


def test_views_count_as_what_they_keep():
    assert held_bytes(np.zeros(1000, np.uint8)[:3]) == 1000
    assert held_bytes({"a": [np.zeros(3, np.float32)], "b": (np.zeros(2, np.int8), "text", None)}) == 14


@pytest.mark.parametrize(("size", "most"), [(10, 6), (60, 4), (1000, 3)])
def test_fewer_calls_run_ahead_of_large_results(size, most, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    begun = []

    def call(number):
        begun.append(number)
        return np.full(size, number, np.uint8)

    results = run_ahead([partial(call, number) for number in range(20)], threads=2, most=6)
    for number in range(10):
        assert int(next(results)[0]) == number
        time.sleep(0.01)  # in which the threads could go on
        assert len(begun) <= number + 1 + most
    results.close()  # also while a call waits for room
    assert len(begun) <= 10 + most


def test_calls_name_settings_as_the_command_does():
    with named_as_options({"detector": "--detector"}):
        assert list(run_ahead([partial(setting, "detector")] * 2, threads=2)) == ["--detector"] * 2
