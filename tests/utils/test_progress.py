"""How far long work is: on a terminal, elsewhere, and where nobody wants to know."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lxmert.utils import progress
from lxmert.utils.progress import ProgressBar, duration, tracked


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Time that goes on by `step` with every look at it."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def perf_counter(self):
        self.now += self.step
        return self.now


def told(monkeypatch, stream, clock=0.0, shown=True):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "time", Clock(clock))
    assert list(tracked(range(4), "reading", 4, "images", shown)) == [0, 1, 2, 3]
    return stream.getvalue()


def test_a_bar_with_the_time_left_on_a_terminal(monkeypatch):
    text = told(monkeypatch, Terminal())
    assert "reading:   0%" in text
    assert "0/4 [00:00<" in text
    assert "\n" not in text.strip("\n"), "one line, written again and again"


def test_a_line_a_minute_elsewhere(monkeypatch):
    assert told(monkeypatch, io.StringIO(), clock=31.0).splitlines() == [
        "reading: 2 of 4 images (50 %), 1 min 2 s so far, 1 min 2 s left, 0.0323 images/s",
        "reading: 4 of 4 images (100 %), 2 min 4 s so far, 0 s left, 0.0323 images/s",
    ]
    assert told(monkeypatch, io.StringIO(), clock=1.0) == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing(stream, monkeypatch):
    assert told(monkeypatch, stream(), clock=100.0, shown=False) == ""


def test_bytes_and_notes(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with ProgressBar("epoch 1", 4 * 10**9, "B") as bar:
        bar.describe("epoch 2", "loss 1.5")
        bar.update(10**9)
        bar.message("a message")
        lines = sys.stderr.getvalue().splitlines()
    assert lines[0].startswith("epoch 2: 1.00G of 4.00G B (25 %), loss 1.5, 0 s so far, ")
    assert lines[1:] == ["a message"]


def test_several_threads(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with ProgressBar("reading", 4000, "B") as bar, ThreadPoolExecutor(4) as pool:
        list(pool.map(bar.update, [1] * 4000))
        assert bar.done == 4000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (723, "12 min 3 s"), (5 * 3600 + 12 * 60, "5 h 12 min"), (183601, "2 d 3 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
