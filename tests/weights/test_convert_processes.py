"""Conversion seen from outside: without the frameworks, killed half-way, in little memory, and read by Keras itself."""

import signal
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest

import lxmert.tf
from lxmert import convert
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names
from tests.small import small_config, small_inputs, small_labels

from .weight_folders import CONFIG, CONFIG_OF, assert_bits_equal, make_folder, read_folder, tensors_of, values_of


def run(script, *arguments):
    """Run a script in a fresh process."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


WITHOUT_FRAMEWORKS = """
import sys
blocked = ("torch", "keras", "tensorflow", "jax", "transformers")
sys.modules.update(dict.fromkeys(blocked))  # an import of what is None there fails
from lxmert import convert
for places in (line.split("|") for line in sys.argv[1:]):
    for source, target in zip(places, places[1:]):
        convert(source, target)
assert all(sys.modules[name] is None for name in blocked)
"""


def test_no_framework_is_needed(tmp_path):
    sources = [make_folder(tmp_path / name / "source", name) for name in CONFIG_OF]
    steps = ("source", "a.weights.h5", "b.keras", "back")
    done = run(WITHOUT_FRAMEWORKS, *("|".join(str(source.parent / step) for step in steps) for source in sources))
    assert done.returncode == 0, done.stderr
    for source in sources:
        back = source.parent / "back" / "model.safetensors"
        assert back.read_bytes() == (source / "model.safetensors").read_bytes()


KILLED = """
import os, signal, sys
from lxmert import convert
seen = []
def progress(size, total):
    seen.append(size)
    if len(seen) == 50:
        os.kill(os.getpid(), signal.SIGKILL)
convert(sys.argv[1], sys.argv[2], progress=progress)
"""


@pytest.mark.parametrize("name", ["folder", "a.weights.h5", "a.keras"])
def test_a_killed_conversion_leaves_the_old_target(name, tmp_path):
    target = tmp_path / "place" / name
    convert(make_folder(tmp_path / "older", "LxmertModel"), target)
    done = run(KILLED, make_folder(tmp_path / "source"), target)
    assert done.returncode == -signal.SIGKILL, done.stderr
    convert(target, tmp_path / "read")
    assert_bits_equal(read_folder(tmp_path / "read"), tensors_of("LxmertModel"))


@pytest.mark.parametrize("name", ["folder", "a.weights.h5", "a.keras"])
def test_memory_holds_few_tensors_at_a_time(name, tmp_path):
    config = CONFIG.replace(hidden_size=240, intermediate_size=400, l_layers=5, x_layers=3, r_layers=5)
    source = make_folder(tmp_path / "source", "LxmertModel", config)
    largest = max(x.nbytes for x in read_folder(source).values())
    whole = (source / "model.safetensors").stat().st_size
    convert(source, tmp_path / "warm.keras")  # what is imported and kept once is not counted
    convert(source, tmp_path / "first" / name)
    for start in (source, tmp_path / "first" / name):
        tracemalloc.start()
        convert(start, tmp_path / "second" / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert whole > 40 * largest
        assert peak < 4 * largest + 2**20  # a tensor, its transpose, the bytes on their way; and the names


def assert_equal_values(arrays, architecture):
    config = CONFIG_OF[architecture]
    wanted = list(parameters(config, head_names(architecture, config)))
    assert sorted(arrays) == sorted(p.name for p in wanted)
    for p in wanted:
        assert arrays[p.name].tobytes() == np.ascontiguousarray(values_of(p)).tobytes(), p.name


@pytest.mark.parametrize("architecture", CONFIG_OF)
def test_keras_reads_what_we_write(architecture, tmp_path):
    source = make_folder(tmp_path / "source", architecture)
    convert(source, tmp_path / "a.keras")
    convert(source, tmp_path / "a.weights.h5")
    assert_equal_values(keras.saving.load_model(tmp_path / "a.keras")._arrays(), architecture)
    model = getattr(lxmert.tf, f"TF{architecture}")(CONFIG_OF[architecture])
    model.load_weights(tmp_path / "a.weights.h5")
    assert_equal_values(model._arrays(), architecture)


def test_what_keras_saves_of_a_trained_model_reads(tmp_path):
    model = lxmert.tf.TFLxmertForQuestionAnswering(small_config())
    model.compile(optimizer="adam", run_eagerly=True)
    model.train_on_batch({**small_inputs(), "labels": small_labels("LxmertForPreTraining")["ans"]})
    model.save_weights(tmp_path / "trained.weights.h5")
    model.save(tmp_path / "trained.keras")
    for name in ("trained.weights.h5", "trained.keras"):
        report = convert(tmp_path / name, tmp_path / "folder")
        assert report.architecture == "LxmertForQuestionAnswering"
        assert report.report.unexpected == ()
        again = lxmert.tf.TFLxmertForQuestionAnswering.from_pretrained(tmp_path / "folder")._arrays()
        assert all(np.array_equal(values, again[key]) for key, values in model._arrays().items())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_small_dtypes_of_keras_read_exactly(dtype, tmp_path):
    model = lxmert.tf.TFLxmertModel(CONFIG, dtype=dtype)
    model.save_weights(tmp_path / "a.weights.h5")
    convert(tmp_path / "a.weights.h5", tmp_path / "converted")
    model.save_pretrained(tmp_path / "saved")
    assert_bits_equal(read_folder(tmp_path / "converted"), read_folder(tmp_path / "saved"))
    assert {x.dtype.name for x in read_folder(tmp_path / "converted").values()} == {dtype}
