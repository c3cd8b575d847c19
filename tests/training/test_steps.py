"""Steps: which examples each has, and that the parts of a step are together the whole of it."""

import re

import numpy as np
import pytest

from lxmert.training.run import open_data, open_files
from lxmert.training.steps import Steps, check_finite, dropout_seed

from .runs import TASKS, settings_of


class Counted:
    """Examples that say their numbers, and what was drawn for them."""

    def __len__(self):
        return 23

    def batch(self, rows, random, part=slice(None)):
        drawn = random.random(len(rows))
        return {"rows": rows[part], "drawn": drawn[part]}, {}


def steps_of(task, scenes, tmp_path, **changes):
    settings = settings_of(task, scenes, tmp_path, batch_size=24, max_examples=49, **changes)
    data = open_data(settings, settings.train, open_files(settings), settings.max_examples)
    return Steps(data, 24, 2, settings.seed, settings.gradient_accumulation_steps)


def test_no_example_twice_in_an_epoch():
    steps = Steps(Counted(), batch_size=5, epochs=3, seed=7)
    assert (steps.per_epoch, steps.total) == (4, 12)
    epochs = []
    for epoch in range(3):
        rows = np.concatenate([steps.rows(epoch * 4 + step) for step in range(4)])
        assert len(set(rows.tolist())) == 20
        assert set(rows.tolist()) <= set(range(23))
        epochs.append(rows.tolist())
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs[0] != sorted(epochs[0])


def test_a_step_depends_on_the_seed_and_its_number_alone():
    forwards, backwards = (Steps(Counted(), 5, 3, seed=7) for _ in range(2))
    expected = {step: forwards.micro_batch(step, 0).inputs for step in range(12)}
    for step in reversed(range(12)):
        found = backwards.micro_batch(step, 0).inputs
        for name in ("rows", "drawn"):
            np.testing.assert_array_equal(found[name], expected[step][name])
    assert len({values["drawn"][0] for values in expected.values()}) == 12
    other = Steps(Counted(), 5, 3, seed=8).micro_batch(0, 0).inputs
    assert (other["rows"] != expected[0]["rows"]).any()
    assert (other["drawn"] != expected[0]["drawn"]).all()


def test_the_dropout_of_each_step_and_process_is_its_own():
    found = {dropout_seed(seed, step, rank) for seed in range(3) for step in range(20) for rank in range(2)}
    assert len(found) == 120
    assert all(0 <= seed < 2**32 for seed in found)


def flat(inputs, name=""):
    """Arrays by name, whatever they lie in."""
    if isinstance(inputs, dict):
        return {key: array for k, value in inputs.items() for key, array in flat(value, f"{name}/{k}").items()}
    if isinstance(inputs, tuple):
        return {key: array for k, value in enumerate(inputs) for key, array in flat(value, f"{name}/{k}").items()}
    return {name: inputs}


@pytest.mark.parametrize("task", TASKS)
def test_the_parts_are_together_the_whole(task, scenes, tmp_path):
    whole = flat(steps_of(task, scenes, tmp_path).micro_batch(1, 0).inputs)
    parted = steps_of(task, scenes, tmp_path, gradient_accumulation_steps=3)
    ranks, all_ranks = [], []
    for micro in range(3):
        all_ranks.append(flat(parted.micro_batch(1, micro, 2).inputs))
        ranks += [flat(parted.micro_batch(1, micro, 2, rank).inputs) for rank in range(2)]
    assert {len(part["/input_ids"]) for part in ranks} == {4}
    for name, expected in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in ranks]), expected, name)
        np.testing.assert_array_equal(np.concatenate([part[name] for part in all_ranks]), expected, name)


def test_the_weights_of_the_parts_make_the_mean_of_the_whole(scenes, tmp_path):
    """The mean over parts of (weight x mean over the labels of the part) is the mean over all labels."""
    steps = steps_of("pretrain", scenes, tmp_path, gradient_accumulation_steps=3)
    whole = steps_of("pretrain", scenes, tmp_path).micro_batch(2, 0).inputs
    parts = [steps.micro_batch(2, micro, 2, rank) for micro in range(3) for rank in range(2)]
    for name, label in (("words", "labels"), ("answers", "ans")):
        counts = [(part.inputs[label] != -100).sum() for part in parts]
        assert len(set(counts)) > 1, "else the weights would say nothing"
        found = [
            part.weights[name][0] * part.inputs[label][part.inputs[label] != -100].sum() / max(count, 1)
            for part, count in zip(parts, counts, strict=True)
        ]
        expected = whole[label][whole[label] != -100].mean()
        assert np.mean(found) == pytest.approx(expected, rel=1e-12)
    for name in ("match", "objects", "attributes", "features"):
        assert all((part.weights[name] == 1).all() for part in parts)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Steps(Counted(), 24, 1, 0),
            "batch_size must be at most the number of examples, 23; got 24. Pass more examples or a smaller ",
        ),
        (
            lambda: Steps(Counted(), 6, 1, 0, 2).micro_batch(0, 0, world=2),
            "batch_size must be divisible by the number of processes times accumulation, 2 x 2; got 6.",
        ),
        (
            lambda: check_finite(5, {"words": float("nan"), "match": 0.5, "answers": float("inf")}),
            "training stopped at step 5: words is nan, answers is inf. The checkpoints are from before.",
        ),
        (
            lambda: check_finite(1, {"words": 1.0}, float("inf")),
            "training stopped at step 1: the norm of the gradients is inf. The checkpoints are from before.",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
