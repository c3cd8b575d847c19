"""What a run remembers: found again from any folder, checked when it is read, and used by one process at a time."""

import json
import math
import os
import signal
import subprocess
import sys

import pytest

from lxmert.cli import main
from lxmert.training import run
from lxmert.training.checkpoints import hold_run, run_settings
from lxmert.training.logs import LOG_NAME
from lxmert.training.progress import Progress, best_epoch, read_progress
from lxmert.training.settings import make_settings
from lxmert.training.tasks import TASKS

from .runs import TINY, Broken, differing, files_of, left_by, settings_of

SHORT = dict(batch_size=4, epochs=2, max_examples=8, text_length=16, device="cpu", log_every=1, save_every=1)


@pytest.mark.parametrize("config", [True, False])
def test_resumed_from_another_folder(config, scenes, tmp_path, monkeypatch):
    """Relative paths, on the command line or in a config file, and symbolic links."""
    (tmp_path / "work" / "conf").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work" / "data").symlink_to(scenes)
    start = os.path.join("..", "data") if config else "data"
    files = {
        name: [path.replace(str(scenes), start) for path in value]
        if isinstance(value, list)
        else value.replace(str(scenes), start)
        for name, value in files_of("vqa", scenes).items()
    }
    output = ["--output", os.path.join("runs", "a")]
    monkeypatch.chdir(tmp_path / "work")
    if config:
        text = json.dumps({**files, **SHORT, "model_config": TINY})
        (tmp_path / "work" / "conf" / "run.json").write_text(text)
        options = ["--config", os.path.join("conf", "run.json")]
    else:
        options = [part for name, value in {**files, **SHORT}.items() for part in _option(name, value)]
        options += ["--set", *(f"{name}={value}" for name, value in TINY.items())]
    step = run.Logs.step

    def break_off(self, number, *values):
        if number == 3:
            raise Broken
        step(self, number, *values)

    with monkeypatch.context() as patch:
        patch.setattr(run.Logs, "step", break_off)
        with pytest.raises(Broken):
            main(["train", "vqa", *options, *output, "--quiet"])
    assert read_progress(tmp_path / "work" / "runs" / "a" / "last" / "training.json")[0].step == 2
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "vqa", "--resume", "--output", os.path.join("..", "work", "runs", "a"), "--quiet"]) == 0
    monkeypatch.chdir(tmp_path / "work")
    assert main(["train", "vqa", *options, "--output", "whole", "--quiet"]) == 0
    assert differing(left_by(tmp_path / "work" / "runs" / "a"), left_by(tmp_path / "work" / "whole")) == []
    assert main(["train", "vqa", *options, *output, "--quiet", "--resume"]) == 0, "the same options are the same run"


def _option(name, value):
    return [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [str(value)])]


def test_a_name_stays_a_name(tmp_path, monkeypatch):
    """Of a shipped model or one on the hub, where no file is called so; a file of a vocabulary is none."""
    monkeypatch.chdir(tmp_path)
    given = {"output": "run", "architecture": "lxmert", "model": "easy-vqa", "vocabulary": "unc-nlp/lxmert"}
    settings = make_settings("vqa", given)
    assert (settings.model, settings.vocabulary) == ("easy-vqa", "unc-nlp/lxmert")
    assert settings.output == str(tmp_path / "run")
    assert make_settings("vqa", {**given, "vocabulary": "vocab.txt"}).vocabulary == str(tmp_path / "vocab.txt")
    (tmp_path / "easy-vqa").mkdir()
    assert make_settings("vqa", given).model == str(tmp_path / "easy-vqa")


def stored(folder, **changes):
    """A stored run: three epochs of two steps, in the middle of the third."""
    settings = make_settings("vqa", {"output": str(folder), "valid": ["v.json"], "batch_size": 4, "epochs": 4})
    state = Progress(
        step=5,
        epochs=[{"accuracy": 1.5}, {"accuracy": 1.0}],
        best=1,
        examples=9,
        devices=1,
        checksums={"vocabulary": 3},
    )
    values = {"format": 3, "settings": settings.to_dict(), **state.to_dict()}
    for name, value in changes.items():
        at = values["settings"] if name in values["settings"] and name != "epochs" else values
        at[name] = value
        if value is ...:
            del at[name]
    (folder / "last").mkdir()
    (folder / "last" / "training.json").write_text(json.dumps(values))
    return values


@pytest.mark.parametrize(
    "lacking", [{}, {"answer_scores": ..., "choices": ..., "products": ...}], ids=["now", "older version"]
)
def test_an_unchanged_file(lacking, tmp_path):
    values = stored(tmp_path, **lacking)
    state, settings = read_progress(tmp_path / "last" / "training.json")
    assert (state.step, state.best, state.epochs) == (5, 1, [{"accuracy": 1.5}, {"accuracy": 1.0}])
    assert settings == values["settings"] == run_settings(tmp_path)


EDITED = [
    ({"step": 9}, "step must be an integer, from 0 to 8 (the 8 steps of 4 epochs); got 9"),
    ({"step": -1}, "step must be an integer, from 0 to 8 (the 8 steps of 4 epochs); got -1"),
    ({"step": "5"}, "step must be an integer, from 0 to 8 (the 8 steps of 4 epochs); got '5'"),
    ({"step": True}, "got True"),
    ({"step": 3}, "epochs must hold the scores of 1 epochs, which are done after 3 steps; got 2"),
    ({"best": -1}, "best must be an integer, from 0 to 2 (the epochs that are done); got -1"),
    ({"best": 99}, "best must be an integer, from 0 to 2 (the epochs that are done); got 99"),
    ({"best": 2}, "best must be 1, which follows from the scores of the epochs; got 2"),
    ({"best": 9, "step": 77}, "got 77; best must be an integer"),
    ({"epochs": 3}, "epochs must be a list of scores by name; got 3"),
    ({"epochs": [[1.0]]}, "epochs must be a list of scores by name; that of epoch 1 is [1.0]"),
    ({"epochs": [{"accuracy": "high"}] * 2}, "that of epoch 1 is {'accuracy': 'high'}"),
    ({"epochs": [{"accuracy": 1.5}, {}]}, "epochs must be scores with accuracy; those of epoch 2 are {}"),
    ({"valid": []}, "epochs must be without scores, as there are no validation files"),
    ({"examples": 3}, "examples must be an integer, 4 or more (the batch size or more); got 3"),
    ({"devices": None}, "devices must be an integer, 0 or more; got None"),
    ({"products": "mkl"}, "products must be one of 'onednn', 'mixed', 'pytorch', ''; got 'mkl'"),
    ({"checksums": []}, "checksums must be an object of names and numbers; got []"),
    ({"checksums": {"vocabulary": 2**32}}, "checksums['vocabulary'] must be an integer, from 0 to 4294967295"),
    ({"best": ..., "devices": ..., "seed": ...}, "there is no settings.seed, best, devices"),
    ({"batch_size": 0}, "settings: batch_size must be at least 1; got 0."),
    ({"learning_rate": "fast"}, "settings: learning_rate must be a number; got 'fast'."),
    ({"learning_rate": 10**400}, "settings: learning_rate must be a number of 64 bits; got a larger one."),
    ({"task": ...}, "settings: there is no task."),
    ({"settings": 7}, "must hold settings, an object of fields; got 7."),
    ({"sed": 7, "settings": {"task": "vqa", "output": "x", "sed": 1}}, "Did you mean 'seed'?"),
    ({"format": 2}, "its format must be 3; got 2. The run cannot be resumed."),
]


@pytest.mark.parametrize(("changes", "message"), EDITED, ids=[str(row[0])[:40] for row in EDITED])
def test_an_edited_file_is_told_before_anything_is_read(changes, message, tmp_path, capsys):
    stored(tmp_path, **changes)
    assert main(["train", "vqa", "--resume", "--output", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"lxmert train: error: {tmp_path / 'last' / 'training.json'}")
    assert message in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last"]


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("task", "scores", "best"),
    [
        ("vqa", [], 0),
        ("vqa", [1.0, 3.0, 3.0, 2.0], 2),
        ("vqa", [NAN, 1.0, INF], 2),
        ("pretrain", [NAN, 7.0, NAN, 6.0, 6.0, -INF], 4),
        ("pretrain", [NAN, NAN], 0),
    ],
)
def test_a_score_that_is_no_number_is_never_the_best(task, scores, best):
    name = TASKS[task].score
    epochs = [{name: score} for score in scores]
    assert best_epoch(epochs, TASKS[task]) == best
    assert best_epoch([{}] * 3, TASKS[task]) == 3
    json.loads(json.dumps(Progress(epochs=epochs).to_dict(), allow_nan=False))


def test_validation_that_fails_is_told_and_passes(scenes, tmp_path, monkeypatch, capsys):
    """The loss of the first epoch is NaN; of all epochs in the second run, which has no best checkpoint then."""
    losses = iter([NAN, 2.0, 1.0, NAN, NAN, NAN])
    monkeypatch.setattr(run, "evaluate", lambda *arguments: {"loss": next(losses), "words": 1.0})
    settings = settings_of("pretrain", scenes, tmp_path / "a")
    assert run.train(settings, progress=True) == {"loss": 1.0, "words": 1.0}
    told = capsys.readouterr().err
    assert told.count("the loss of this epoch is nan: it cannot be the best one") == 1
    assert run.train(settings, resume=True) == {"loss": 1.0, "words": 1.0}, "a finished run is read again"
    assert run.train(settings_of("pretrain", scenes, tmp_path / "b"), progress=True) == {}
    assert "no epoch has a score that is a number: there is no best checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "b" / "best").exists()
    assert '"valid/loss": "nan"' in (tmp_path / "b" / "logs" / LOG_NAME).read_text()


HOLDER = """
import sys, time
from lxmert.training.checkpoints import hold_run
with hold_run(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(scenes, tmp_path):
    """A second run is refused, and a resumed one; what was killed holds nothing any more."""
    output = tmp_path / "run"
    settings = settings_of("vqa", scenes, output, epochs=1)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(output)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        for resume in (False, True):
            if resume:
                stored(output)
            with pytest.raises(BlockingIOError, match=rf"in use by another process \(process {holder.pid} on "):
                run.train(settings if not resume else make_settings("vqa", run_settings(output)), resume)
        (output / "last" / "training.json").unlink()
        (output / "last").rmdir()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (output / ".lock").exists(), "left by the killed process"
        run.train(settings)
        assert not (output / ".lock").exists()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_forked_process_holds_no_lock(tmp_path):
    """As those that load batches may outlive a killed run."""
    with hold_run(tmp_path / "run"):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        with hold_run(tmp_path / "run"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert list((tmp_path / "run").iterdir()) == []
