"""Keras on two devices under `tf.distribute` against one device, with the same global batch.

In a fresh process, because the devices have to be there before TensorFlow starts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import contextlib, json

import numpy as np
import tensorflow as tf

devices = tf.config.list_physical_devices("CPU")[:1]
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)

from lxmert.training.tf.optimizers import make_optimizer, optimizer_state
from lxmert.training.tf.schedule import LinearWarmUp
from tests.compare import difference
from tests.inputs import Sizes
from tests.models import SMALLEST, cast, labelled, new_tf, weights

config = SMALLEST.replace(l_layers=0, r_layers=0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
name, sizes, steps = "LxmertForQuestionAnswering", Sizes(8, 5, 7), 2
given = labelled(config, name, sizes)
draw = np.random.default_rng(0)
given["labels"] = draw.choice([0.0, 0.3, 1.0], (sizes.batch, config.num_qa_labels))
given = cast(given, "float64")
# Rows in another order in each step: [steps * batch, ...].
rows = np.concatenate([draw.permutation(sizes.batch) for _ in range(steps)])
data = {key: values[rows] for key, values in given.items()}


def train(kind, accumulation, strategy):
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = new_tf(config, name, "float64")
        rate = LinearWarmUp(1e-2, steps, 0.0, gradient_accumulation_steps=accumulation)
        optimizer = make_optimizer(model, kind, rate, max_grad_norm=0.5, gradient_accumulation_steps=accumulation)
        model.compile(optimizer, jit_compile=False)
    start = weights(model)
    batches = tf.data.Dataset.from_tensor_slices(data).batch(sizes.batch // accumulation)
    loss = model.fit(batches, verbose=0, shuffle=False).history["loss"][0]
    evaluated = model.evaluate(batches, verbose=0) if kind == "bert_adam" else 0.0
    return start, weights(model), loss, evaluated, optimizer_state(model, optimizer)


both, found = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), {}
for kind, accumulation in (("bert_adam", 1), ("adamw", 2)):
    start, one, loss_one, evaluated_one, state_one = train(kind, accumulation, None)
    _, two, loss_two, evaluated_two, state_two = train(kind, accumulation, both)
    found[kind] = {
        "moved": max(difference(start[key], one[key]) for key in one),
        "weights": max(difference(one[key], two[key]) for key in one),
        "state": max(difference(state_one[key], state_two[key]) for key in state_one),
        "steps": [int(state_one["step"]), int(state_two["step"])],
        "losses": abs(loss_one - loss_two),
        "evaluated": abs(evaluated_one - evaluated_two),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """What the program found for each optimizer."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.full
@pytest.mark.parametrize("kind", ["bert_adam", "adamw"])
def test_two_devices_make_the_steps_of_one(found, kind, record_property):
    """Gradients are clipped, which counts the sum of both devices', and AdamW's are accumulated over two batches."""
    record_property("found", json.dumps(found[kind]))
    assert found[kind]["steps"] == [2, 2]
    assert found[kind]["moved"] > 1e-3
    assert found[kind]["weights"] < 1e-10
    assert found[kind]["state"] < 1e-10
    # Keras keeps the mean of the losses in float32.
    assert found[kind]["losses"] < 1e-5
    assert found[kind]["evaluated"] < 1e-5
