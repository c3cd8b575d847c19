"""What a run tells while it goes, where a bar can be drawn and where it cannot."""

import io
from pathlib import Path

import pytest

from lxmert.training import logs
from lxmert.training.logs import Logs
from lxmert.training.steps import StepValues


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(monkeypatch, stream, progress=True, patience=0.0):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(logs, "_PATIENCE", patience)
    with Logs(None, total=20, per_epoch=10, every=5, progress=progress) as kept:
        for step in range(1, 21):
            kept.step(step, 1e-4, StepValues({"words": 1.0, "match": 0.5}, None))
        kept.epoch(20, {"accuracy": 51.25})
    return stream.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    text = told(monkeypatch, Terminal())
    assert "20/20" in text
    assert "\r" in text
    assert "step 20: accuracy 51.25\n" in text
    assert "steps per second" not in text


def test_lines_in_a_pipe(monkeypatch):
    lines = told(monkeypatch, io.StringIO()).splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "step 5 of 20, epoch 1: loss 1.500, words 1.000, match 0.500",
        "step 10 of 20, epoch 1: loss 1.500, words 1.000, match 0.500",
        "step 15 of 20, epoch 2: loss 1.500, words 1.000, match 0.500",
        "step 20 of 20, epoch 2: loss 1.500, words 1.000, match 0.500",
        "step 20: accuracy 51.25",
    ]


def test_lines_are_seldom(monkeypatch):
    assert told(monkeypatch, io.StringIO(), patience=60.0) == "step 20: accuracy 51.25\n"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream, monkeypatch):
    assert told(monkeypatch, stream(), progress=False) == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux has one")
def test_a_full_disk_is_told_with_the_file(tmp_path):
    def log():
        with Logs(tmp_path, 2, 2, every=1) as kept:
            kept._file.close()
            (tmp_path / "log.jsonl").unlink()
            (tmp_path / "log.jsonl").symlink_to("/dev/full")
            kept._file = (tmp_path / "log.jsonl").open("a")
            kept.step(1, 1e-4, StepValues({"loss": 1.0}, 1.0))

    with pytest.raises(OSError, match=r"No space left on device: .*log\.jsonl"):
        log()
