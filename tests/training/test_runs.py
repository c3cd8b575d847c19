"""Whole runs: PyTorch and Keras make the same steps, and the parts of a step make the step."""

import dataclasses
import json

import pytest
import tensorflow as tf

from lxmert.training import run

from .runs import differing, largest_difference, left_by, log_of, settings_of, tensors, without_dropout

# Twenty steps on float64 numbers, with the losses of pre-training averaged over the labels of a whole step.
RUNS = {
    "pretrain": dict(recipe="original", gradient_accumulation_steps=2),
    "vqa": dict(recipe="adamw"),
    "nlvr2": dict(recipe="adamw"),
}
AGREE, PARTS = 1e-8, 1e-12


def exact(task, scenes, output, **changes):
    """Settings without dropout, in float64, that evaluate nothing."""
    given = dict(precision="float64", valid=[], model_config=without_dropout(), max_examples=None)
    return settings_of(task, scenes, output, **{**given, **changes})


def trained(settings, output):
    """The weights, the optimizer's state and the losses of a run."""
    run.train(dataclasses.replace(settings, output=str(output)))
    found = tensors(output / "last" / "model.safetensors"), tensors(output / "last" / "optimizer.safetensors")
    found[1].pop("step")
    return *found, [line["train/loss"] for line in log_of(output)]


@pytest.mark.full
@pytest.mark.parametrize("task", RUNS)
def test_both_backends_make_the_same_twenty_steps(task, scenes, tmp_path):
    # The weights of a fresh model: one step was made, which has the rate 0.
    start = tmp_path / "start"
    run.train(exact(task, scenes, start, precision="float32", batch_size=40, max_examples=40, epochs=1))
    settings = exact(task, scenes, tmp_path, model=str(start / "last"), max_examples=40, epochs=2, **RUNS[task])
    torch = trained(settings, tmp_path / "pt")
    keras = trained(dataclasses.replace(settings, backend="tf"), tmp_path / "tf")
    apart = [largest_difference(*(_without_draws(found[i]) for found in (torch, keras))) for i in (0, 1)]
    assert max(apart) < AGREE, "of the weights, and of what the optimizer remembers"
    assert len(torch[2]) == 20
    assert torch[2] == pytest.approx(keras[2], rel=1e-5), "Keras tells its losses in float32"
    moved = largest_difference(torch[0], tensors(start / "last" / "model.safetensors"))
    assert moved > 1e-3, "the weights have moved"


def _without_draws(state):
    """A state without what dropout draws from, which is Keras' own."""
    return {name: array for name, array in state.items() if not name.startswith("draws.")}


@pytest.mark.parametrize("task", RUNS)
def test_four_parts_make_one_step(task, scenes, tmp_path):
    """In PyTorch; Keras adds parts up in the twenty steps of pre-training above."""
    settings = exact(task, scenes, tmp_path, batch_size=8, max_examples=48, epochs=1)
    whole = trained(settings, tmp_path / "whole")
    parts = trained(dataclasses.replace(settings, gradient_accumulation_steps=4), tmp_path / "parts")
    apart = largest_difference(parts[0], whole[0])
    assert apart < PARTS
    assert parts[2] == pytest.approx(whole[2], rel=1e-12)


def test_the_losses_of_pre_training_are_told_by_name(scenes, tmp_path):
    settings = settings_of("pretrain", scenes, tmp_path, losses=["words", "answers"], epochs=1)
    scores = run.train(settings)
    assert list(scores) == ["loss", "words", "answers"]
    assert scores["loss"] == pytest.approx(scores["words"] + scores["answers"])
    lines = log_of(tmp_path)
    assert list(lines[0]) == ["step", "train/loss", "train/words", "train/answers", "rate", "norm"]
    assert list(lines[-1]) == ["step", "valid/loss", "valid/words", "valid/answers"]
    assert lines[0]["train/loss"] == pytest.approx(lines[0]["train/words"] + lines[0]["train/answers"])
    assert lines[0]["rate"] == 0.0, "as in the original, the first step changes nothing"


def test_lines_are_written_every_so_many_steps(scenes, tmp_path):
    run.train(settings_of("vqa", scenes, tmp_path, log_every=5))
    assert [line["step"] for line in log_of(tmp_path) if "train/loss" in line] == [5, 10, 12]


def test_the_best_checkpoint_is_the_best(scenes, tmp_path, monkeypatch):
    accuracies = [50.0, 70.0, 70.0, 60.0]
    told = iter(accuracies)
    monkeypatch.setattr(run, "evaluate", lambda *arguments: {"accuracy": next(told)})
    assert run.train(settings_of("vqa", scenes, tmp_path, epochs=4)) == {"accuracy": 70.0}
    states = {name: json.loads((tmp_path / name / "training.json").read_text()) for name in ("best", "last")}
    assert [epoch["accuracy"] for epoch in states["last"]["epochs"]] == accuracies
    assert states["last"]["best"] == states["best"]["best"] == 2, "of equals the first"
    assert (states["last"]["step"], states["best"]["step"]) == (16, 8)


def test_curves_for_tensorboard(scenes, tmp_path):
    run.train(settings_of("vqa", scenes, tmp_path, epochs=1))
    (path,) = (tmp_path / "logs").glob("events.*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
            found.setdefault(value.tag, {})[event.step] = number
    expected = {line["step"]: line["train/loss"] for line in log_of(tmp_path) if "train/loss" in line}
    assert found["train/loss"] == pytest.approx(expected, rel=1e-6)
    assert {"rate", "norm", "steps_per_second", "valid/accuracy"} <= set(found)


def test_without_tensorboard(scenes, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run.train(settings_of("vqa", scenes, tmp_path, epochs=1))
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["log.jsonl"]


def test_a_run_is_decided_by_its_settings(scenes, tmp_path):
    """The files of two runs are the same, whatever was read ahead and however often it was logged."""
    settings = settings_of("gqa", scenes, tmp_path)
    left = []
    for name in ("one", "other"):
        run.train(dataclasses.replace(settings, output=str(tmp_path / name)))
        left.append(left_by(tmp_path / name))
    assert differing(*left) == []
