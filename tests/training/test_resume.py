"""A run that was broken off and resumed ends as one that was not: the same numbers, to the last bit."""

import dataclasses
import json
import shutil

import pytest
import torch

from lxmert.pt import use_cpu_products
from lxmert.pt.cpu_kernels import linear, product_choice
from lxmert.training import run
from lxmert.training.logs import LOG_NAME

from .runs import PER_EPOCH, STEPS, Broken, differing, left_by, log_of, settings_of, train_until

# Breaks: after the work of step 7, within an epoch, when the last checkpoint is of step 6; and of step 9, the first of
# an epoch, when it is of step 8, the end of the epoch before.
RUNS = {
    "pretrain": dict(optimizer="bert_adam", gradient_accumulation_steps=2),
    "vqa": dict(optimizer="adamw", recipe="adamw", gradient_accumulation_steps=2),
    "gqa": dict(optimizer="bert_adam", precision="bfloat16"),
    "nlvr2": dict(optimizer="adamw", gradient_checkpointing=True),
}


def whole(settings, folder):
    """What a run leaves that nobody breaks off."""
    run.train(dataclasses.replace(settings, output=str(folder / "whole")))
    return left_by(folder / "whole")


def broken(settings, folder, breaks, monkeypatch):
    """What a run leaves that was broken off after some steps, each time with a new model and a new optimizer."""
    settings = dataclasses.replace(settings, output=str(folder / "broken"))
    for number, step in enumerate(breaks):
        train_until(settings, step, monkeypatch, resume=number > 0)
    run.train(settings, resume=True)
    return left_by(folder / "broken")


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=pytest.mark.full if task in ("gqa", "nlvr2") else ()) for task in RUNS]
)
def test_torch(task, scenes, tmp_path, monkeypatch):
    settings = settings_of(task, scenes, tmp_path, save_every=2, **RUNS[task])
    expected = whole(settings, tmp_path)
    assert differing(broken(settings, tmp_path, (7, 9), monkeypatch), expected) == []
    # The run is one that could differ: it has learned, and drawn dropout and masks.
    losses = [line["train/loss"] for line in expected["log"] if "train/loss" in line]
    assert len(losses) == len(set(losses)) == STEPS
    assert [line["step"] for line in expected["log"]] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12]
    other = dataclasses.replace(settings, seed=1)
    shutil.rmtree(tmp_path / "whole")
    assert "last/model/model.safetensors" not in differing(whole(other, tmp_path), expected) != []


@pytest.mark.full
def test_keras(scenes, tmp_path, monkeypatch):
    """Broken off within an epoch; test_visual_bert.py does it at the beginning of one, and with AdamW."""
    settings = settings_of("pretrain", scenes, tmp_path, backend="tf", save_every=2, **RUNS["pretrain"])
    expected = whole(settings, tmp_path)
    assert differing(broken(settings, tmp_path, (7,), monkeypatch), expected) == []
    losses = [line["train/loss"] for line in expected["log"] if "train/loss" in line]
    assert len(losses) == len(set(losses)) == STEPS


@pytest.mark.parametrize("step", [1, PER_EPOCH, PER_EPOCH + 1, STEPS])
def test_every_place_of_an_epoch(step, scenes, tmp_path, monkeypatch):
    """Broken off at the first step, when there is only the checkpoint of the start; at the last of an epoch; ..."""
    settings = settings_of("vqa", scenes, tmp_path, save_every=3)
    assert differing(broken(settings, tmp_path, (step,), monkeypatch), whole(settings, tmp_path)) == []


@pytest.mark.parametrize("library", ["pytorch", "onednn"])
def test_with_the_products_that_it_began_with(library, scenes, tmp_path, monkeypatch):
    """Which library is faster may be measured otherwise when a run is resumed, such as on another machine."""
    monkeypatch.setattr(linear, "_MIN_PRODUCTS", {False: 0, True: 0})
    monkeypatch.setattr(product_choice, "_measured", library)
    settings = settings_of("vqa", scenes, tmp_path, save_every=3, epochs=1)
    with use_cpu_products("auto"):
        expected = whole(settings, tmp_path)
        begun = dataclasses.replace(settings, output=str(tmp_path / "begun"))
        train_until(begun, 4, monkeypatch)
        stored = tmp_path / "begun" / "last" / "training.json"
        assert json.loads(stored.read_text())["products"] == (library if linear.HAS_ONEDNN else "pytorch")
        other = "onednn" if library == "pytorch" else "pytorch"
        monkeypatch.setattr(product_choice, "_measured", other)
        shutil.copytree(tmp_path / "begun", tmp_path / "set")
        run.train(begun, resume=True)
        assert differing(left_by(tmp_path / "begun"), expected) == []
    if library == "onednn" and linear.HAS_ONEDNN:
        with (
            use_cpu_products(other),
            pytest.warns(RuntimeWarning, match='by "onednn", and continues with "pytorch", which was set for it now'),
        ):
            run.train(dataclasses.replace(settings, output=str(tmp_path / "set")), resume=True)


def test_read_ahead_by_other_processes(scenes, tmp_path, monkeypatch):
    alone = settings_of("pretrain", scenes, tmp_path, save_every=2)
    settings = dataclasses.replace(alone, workers=2)
    assert differing(broken(settings, tmp_path, (7,), monkeypatch), whole(alone, tmp_path)) == []


@pytest.mark.full
def test_two_threads(scenes, tmp_path, monkeypatch):
    torch.set_num_threads(2)
    settings = settings_of("vqa", scenes, tmp_path, save_every=2, epochs=1, valid=[])
    assert differing(broken(settings, tmp_path, (4,), monkeypatch), whole(settings, tmp_path)) == []


@pytest.mark.parametrize("nth", range(5))
def test_broken_off_while_a_checkpoint_is_written(nth, scenes, tmp_path, monkeypatch):
    """Each epoch writes the best checkpoint, then the last one; the error comes in the middle of a file."""
    from lxmert.training.pt.trainer import Trainer

    settings = dataclasses.replace(settings_of("vqa", scenes, tmp_path), output=str(tmp_path / "broken"))
    save, count = Trainer.save, 0

    def break_off(self, folder, write_others, optimizer):
        nonlocal count
        count += 1
        if count <= nth:
            return save(self, folder, write_others, optimizer)

        def fail(state):
            def write(new):
                (new / "training.json").write_text('{"format"')
                raise Broken

            return write

        return save(self, folder, fail, optimizer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", break_off)
        with pytest.raises(Broken):
            run.train(settings)
    # Before the first checkpoint there is nothing to go on from, and nothing in the way of beginning again.
    run.train(settings, resume=nth > 0)
    assert differing(left_by(tmp_path / "broken"), whole(settings, tmp_path)) == []
    hidden = [path.name for path in (tmp_path / "broken").glob("*/.*")]
    assert hidden == []


def test_a_finished_run_is_left_as_it_is(scenes, tmp_path):
    settings = settings_of("vqa", scenes, tmp_path)
    scores = run.train(settings)
    before = left_by(tmp_path)
    assert run.train(settings, resume=True) == scores
    assert differing(left_by(tmp_path), before) == []


def test_without_validation_files(scenes, tmp_path, monkeypatch):
    """The best checkpoint is the last one then."""
    settings = settings_of("vqa", scenes, tmp_path, valid=[], save_every=3)
    expected = whole(settings, tmp_path)
    assert differing(broken(settings, tmp_path, (8,), monkeypatch), expected) == []
    assert expected["best/progress"] == expected["last/progress"]
    assert expected["last/progress"] == {"step": STEPS, "epochs": [{}] * 3, "best": 3}
    assert all("train/loss" in line for line in expected["log"])


def test_from_weights_and_another_table(scenes, tmp_path, monkeypatch):
    """The answer head was moved when the run began; it is not moved again."""
    answers = json.loads((scenes / "vqa" / "trainval_label2ans.json").read_text())
    (tmp_path / "answers.json").write_text(json.dumps([*answers[::-1], "none"]))
    run.train(settings_of("pretrain", scenes, tmp_path / "pretrain", epochs=1, valid=[]))
    changes = dict(model=str(tmp_path / "pretrain" / "best"), answers=str(tmp_path / "answers.json"), model_config={})
    settings = settings_of("vqa", scenes, tmp_path, save_every=2, **changes)
    expected = whole(settings, tmp_path)
    assert differing(broken(settings, tmp_path, (7,), monkeypatch), expected) == []


def test_the_log_of_a_killed_run_is_cut(scenes, tmp_path, monkeypatch):
    settings = settings_of("vqa", scenes, tmp_path, save_every=2)
    train_until(settings, 8, monkeypatch)  # the last checkpoint is of step 6, the last line of step 7
    assert log_of(tmp_path)[-1]["step"] == 7
    path = tmp_path / "logs" / LOG_NAME
    path.write_text(path.read_text() + '{"step": 8, "tra')
    run.train(settings, resume=True)
    assert [line["step"] for line in log_of(tmp_path)] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12]
