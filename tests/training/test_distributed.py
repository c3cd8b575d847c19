"""Several processes (DDP, FSDP2) and several devices (Keras) train, evaluate and go on as one does."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lxmert.training.run import train
from tests.compare import assert_same

from .distributed_runs import KERAS_RUNS, RUNS, STEPS, everything, settings_of
from .runs import differing, left_by

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-10
LOGGED = 1e-5  # Keras keeps the means of losses in float32
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]


def start(*arguments, code=0):
    """Run Python in a process of its own. Returns what it said on standard output and standard error."""
    environment = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == code, done.stderr[-6000:]
    return done.stdout, done.stderr


def assert_same_run(given, expected, tolerance=TOLERANCE, logged=TOLERANCE):
    """Two runs left the same files, weights, states of the optimizer, losses, scores and best epoch."""
    given, expected = left_by(given), left_by(expected)
    assert given.keys() == expected.keys()
    arrays = {name for name, value in expected.items() if isinstance(value, np.ndarray)}
    assert_same({n: given[n] for n in arrays}, {n: expected[n] for n in arrays}, tolerance)
    for name in given.keys() - arrays:
        if name.endswith("/files"):
            assert given[name] == expected[name]
        else:
            assert_same(given[name], expected[name], logged)


@pytest.fixture(scope="module")
def alone(scenes, tmp_path_factory):
    """The folder of what one process of PyTorch left."""
    folder = tmp_path_factory.mktemp("alone")
    everything(scenes, folder, RUNS, backend="pt", strategy="single")
    return folder


@pytest.fixture(scope="module", params=["ddp", pytest.param("fsdp", marks=pytest.mark.full)])
def together(request, scenes, tmp_path_factory):
    """The strategy, and the folder of what two processes left."""
    pytest.importorskip("lightning_fabric")
    folder = tmp_path_factory.mktemp(request.param)
    told, _ = start(*TORCHRUN, "-m", "tests.training.distributed_runs", "pt", request.param, 2, scenes, folder)
    # Both processes know all scores, those of examples that the other one ran too.
    lines = sorted(told.splitlines())
    assert len(lines) == 2
    assert lines[0] == lines[1]
    refused = json.loads(lines[0])["refused"]
    assert "batch_size must be divisible by the number of processes times accumulation, 2 x 1; got 9" in refused
    return request.param, folder


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(name, together, alone):
    _, folder = together
    assert_same_run(folder / name, alone / name)
    left = left_by(alone / name)
    assert left["last/progress"]["step"] == STEPS
    assert any(line["norm"] > 1 for line in left["log"] if "norm" in line), "gradients are clipped"


def test_the_runs_differ(alone):
    """Else the comparisons would say little."""
    with pytest.raises(AssertionError):
        assert_same_run(alone / "dropout", alone / "vqa")


def test_processes_drop_otherwise_and_go_on_exactly(together, alone):
    _, folder = together
    whole = left_by(folder / "dropout")
    assert differing(whole, left_by(folder / "dropout, stopped")) == []
    assert differing(whole, left_by(alone / "dropout")) != []
    assert differing(left_by(alone / "dropout"), left_by(alone / "dropout, stopped")) == []


def test_one_process_goes_on_with_a_run_of_two(together, scenes, tmp_path, alone, capsys):
    """Without dropout it ends as one process from the beginning; that the roundings differ is said."""
    strategy, folder = together
    shutil.copytree(folder / "vqa, left", tmp_path / "run")
    train(
        settings_of(RUNS["vqa"], scenes, tmp_path / "run", backend="pt", strategy=strategy), resume=True, progress=True
    )
    assert "the run was shared by 2 processes or devices, and continues with 1" in capsys.readouterr().err
    assert_same_run(tmp_path / "run", alone / "vqa")


@pytest.mark.full
def test_commands_with_torchrun(scenes, tmp_path, alone):
    """Two processes go on with a run of one, evaluate and predict; one of them speaks and writes."""
    pytest.importorskip("lightning_fabric")
    shutil.copytree(alone / "vqa, left", tmp_path / "run")
    settings = settings_of(RUNS["vqa"], scenes, tmp_path / "run", backend="pt", strategy="auto").to_dict()
    config = tmp_path / "vqa.json"
    config.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))
    state = tmp_path / "run" / "last" / "training.json"
    state.write_text(state.read_text().replace('"strategy": "single"', '"strategy": "auto"'))
    told, errors = start(*TORCHRUN, "-m", "lxmert", "train", "vqa", "--config", config, "--resume")
    assert told.count("the best checkpoint is") == 1
    assert errors.count("the run was shared by 1 processes or devices, and continues with 2") == 1
    assert_same_run(tmp_path / "run", alone / "vqa")

    questions, best = scenes / "vqa" / "valid.json", alone / "vqa" / "best"
    files = []
    for name, launcher in (("two", TORCHRUN), ("one", [])):
        options = ["--questions", questions, "--device", "cpu", "--batch-size", 25, "--quiet"]
        files.append(tmp_path / name)
        told, _ = start(*launcher, "-m", "lxmert", "predict", "vqa", best, *options, "--output", files[-1])
        assert told.count("wrote") == 1
    assert files[0].read_bytes() == files[1].read_bytes()
    told, _ = start(*TORCHRUN, "-m", "lxmert", "evaluate", "vqa", "--checkpoint", best, *options, "--json")
    epochs = left_by(alone / "vqa")["best/progress"]["epochs"]
    assert json.loads(told)["unrounded"]["overall"] == pytest.approx(epochs[-1]["accuracy"])


def start_workers(*arguments):
    """Run Python in two processes of one TensorFlow cluster on this machine."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    running = []
    for index in range(2):
        place = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CONFIG": json.dumps(place)}
        command = [sys.executable, *map(str, arguments)]
        options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, **options))
    told = [process.communicate(timeout=900) for process in running]
    assert [process.returncode for process in running] == [0, 0], "".join(errors[-3000:] for _, errors in told)
    return [output for output, _ in told]


@pytest.mark.full
def test_two_devices_train_as_one(scenes, tmp_path):
    start("-m", "tests.training.distributed_runs", "tf", "single,mirrored", 2, scenes, tmp_path)
    one, two = tmp_path / "single", tmp_path / "mirrored"
    for name in KERAS_RUNS:
        assert_same_run(two / name, one / name, logged=LOGGED)
    assert left_by(one / "pretrain")["last/progress"]["step"] == STEPS
    assert differing(left_by(two / "dropout"), left_by(two / "dropout, stopped")) == []


@pytest.mark.full
def test_two_workers_train_as_one(scenes, tmp_path):
    """Two processes by TF_CONFIG, of which the chief alone writes; a run that was stopped and resumed, too."""
    names = ("pretrain", "nlvr2")
    start("-m", "tests.training.distributed_runs", "tf", "single", 1, scenes, tmp_path, *names)
    start_workers("-m", "tests.training.distributed_runs", "tf", "multi-worker", 1, scenes, tmp_path, *names)
    for name in names:
        assert_same_run(tmp_path / "multi-worker" / name, tmp_path / "single" / name, logged=LOGGED)

    run = settings_of(KERAS_RUNS["nlvr2"], scenes, tmp_path / "command", backend="tf", strategy="auto").to_dict()
    config = tmp_path / "nlvr2.json"
    config.write_text(json.dumps({key: value for key, value in run.items() if value is not None}))
    chief, other = start_workers("-m", "lxmert", "train", "nlvr2", "--config", config, "--quiet")
    assert "the best checkpoint is" in chief
    assert other == ""
    assert_same_run(tmp_path / "command", tmp_path / "single" / "nlvr2", logged=LOGGED)
