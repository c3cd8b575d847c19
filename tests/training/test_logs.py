"""What a run tells while it goes, where a bar can be drawn and where it cannot."""

import io
import threading
from pathlib import Path

import pytest

from lxmert.training.logs import Logs
from lxmert.training.steps import StepValues
from lxmert.utils import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(monkeypatch, stream, shown=True, patience=0.0):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    with Logs(None, total=20, per_epoch=10, every=5, progress=shown) as kept:
        for step in range(1, 21):
            kept.step(step, 1e-4, StepValues({"words": 1.0, "match": step / 20}, None))
            if step % 10 == 0:
                kept.epoch(step, {"accuracy": 51.25}, 1)
    return stream.getvalue()


EPOCHS = [
    "epoch 1 of 2, step 10: loss 1.375, words 1.000, match 0.375; in validation accuracy 51.25; the best so far is "
    "epoch 1; 0 s, 0 s left",
    "epoch 2 of 2, step 20: loss 1.875, words 1.000, match 0.875; in validation accuracy 51.25; the best so far is "
    "epoch 1; 0 s, 0 s left",
]


def test_a_bar_on_a_terminal(monkeypatch):
    text = told(monkeypatch, Terminal())
    assert "20/20" in text
    assert "\r" in text
    for line in EPOCHS:
        assert f"{line}\n" in text
    assert "so far," not in text


def test_lines_in_a_pipe(monkeypatch):
    lines = told(monkeypatch, io.StringIO()).splitlines()
    assert lines[0].startswith("epoch 1 of 2: 1 of 20 steps (5 %), 0 s so far, ")
    assert lines[5].startswith("epoch 1 of 2: 6 of 20 steps (30 %), loss 1.250, words 1.000, match 0.250, 0 s so far, ")
    assert (lines[10], lines[21]) == tuple(EPOCHS)
    assert lines[20].startswith("epoch 2 of 2: 20 of 20 steps (100 %), loss 2.000, words 1.000, match 1.000, ")
    assert len(lines) == 22


def test_lines_are_seldom(monkeypatch):
    assert told(monkeypatch, io.StringIO(), patience=60.0).splitlines() == EPOCHS


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream, monkeypatch):
    assert told(monkeypatch, stream(), shown=False) == ""


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_are_told_and_not_waited_for(tmp_path, monkeypatch):
    """The thread of tensorboardX ends at its first error; then its queue fills up, and the eleventh value waits."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.event_file_writer import EventsWriter

    def full(*_):
        raise OSError(28, "No space left on device")

    def log():
        before = set(threading.enumerate())
        with Logs(tmp_path, 99, 99, every=1) as kept:
            new = set(threading.enumerate()) - before
            (thread,) = (one for one in new if type(one).__module__ == EventsWriter.__module__)
            monkeypatch.setattr(EventsWriter, "write_event", full)
            for step in range(1, 99):
                kept.step(step, 1e-4, StepValues({"loss": 1.0}, 1.0))
                thread.join(5)

    with pytest.raises(
        OSError, match="curves for TensorBoard cannot be written any more; the disk may be full"
    ) as found:
        log()
    assert found.value.filename == str(tmp_path)
    steps = (tmp_path / "log.jsonl").read_text().count("train/loss")
    assert steps in (1, 2)  # the thread ends during the first step or soon after it, as it is scheduled


def test_a_log_that_is_a_link_becomes_a_file(tmp_path):
    """Wherever it leads: nothing outside of the folder is written."""
    for goal in ("goal", "nowhere"):
        folder = tmp_path / goal
        folder.mkdir()
        (tmp_path / "goal.txt").write_text("mine")
        (folder / "log.jsonl").symlink_to(tmp_path / "goal.txt" if goal == "goal" else goal)
        with Logs(folder, 1, 1, every=1) as kept:
            kept.step(1, 1e-4, StepValues({"loss": 1.0}, 1.0))
        assert not (folder / "log.jsonl").is_symlink()
        assert (tmp_path / "goal.txt").read_text() == "mine"
