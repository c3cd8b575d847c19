"""The engine: two processes under DDP and under FSDP2 train as one process does with the same rows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric")

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering
from lxmert.training.pt.engine import WRAP_UNITS, make_engine
from tests.compare import assert_same
from tests.small import small_config

from .engine_runs import RUNS, STEPS, Run, between, everything, new_model, outcome

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-10


@pytest.fixture(scope="module")
def alone():
    """What came out of every run in one process: this one."""
    torch.set_num_threads(1)
    return everything("single")


# In every run test_distributed.py trains two processes under DDP.
@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.full) for name in ("ddp", "fsdp")])
def together(request, tmp_path_factory):
    """The strategy, and what came out of every run in two processes."""
    folder = tmp_path_factory.mktemp(request.param)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", "2", "-m", "tests.training.engine_runs", request.param, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-6000:]
    found = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            found[path.stem] = dict(arrays)
    return request.param, found


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(name, together, alone):
    _, found = together
    assert_same(found[name], alone[name], TOLERANCE)
    # Losses, weights and what the optimizer remembers, by the same names.
    assert len(found[name]["told"]) == STEPS
    assert any(key.startswith("weights/") for key in found[name])
    assert any(key.startswith("state/momentum.") for key in found[name])


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run.broken])
def test_going_on_changes_nothing(name, alone):
    run = RUNS[name]._replace(broken=False)
    whole = {key: values for key, values in alone[name].items()}
    engine = make_engine("single", "float64", "cpu")
    assert_same(whole, outcome(engine, run), 0.0)


def test_the_runs_differ_and_move(alone):
    """Else the comparisons above would say little."""
    for name, run in RUNS.items():
        start, moved = new_model(run, 0), 0
        frozen = {key for key, p in start.named_parameters() if not p.requires_grad}
        for key, tensor in start.state_dict().items():
            same = (tensor.numpy() == alone[name][f"weights/{key}"]).all()
            assert same == (key in frozen), f"{key} in {name}"
            moved += not same
        assert moved > 20
        assert (alone[name]["told"][:, 1] > 1).any(), "gradients are clipped"
    with pytest.raises(AssertionError, match="differs"):
        assert_same(alone["questions"]["told"], alone["reasoning"]["told"], TOLERANCE)


def test_arrays_pass_between_processes(together):
    _, found = together
    expected = {
        "sum": np.array([[3.0, 1.0], [2.0**41, -2.0]]),
        "sum of counts": np.array([3, 2**41]),
        "rows": np.array([[0, 1, 2], [0, 1, 2], [3, 4, 5]], np.float32),
        "none of some": np.array([7]),
        "truths": np.array([True, True, False, True]),
        "none": np.zeros((0, 4), np.float16),
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(found["between"][name], values)
        assert found["between"][name].dtype == values.dtype
    alone = between(make_engine("single", "float64", "cpu"))
    assert alone["rows"].shape == (1, 3)
    assert alone["sum"][0, 0] == 1.5


def test_fsdp_holds_a_part_of_everything(together, alone):
    strategy, found = together
    least, most = (0.4, 0.6) if strategy == "fsdp" else (1.0, 1.0)
    assert ((found["held"]["held"] >= least) & (found["held"]["held"] <= most)).all()
    assert (alone["held"]["held"] == 1).all()


def test_bfloat16_computes_in_it_and_keeps_float32(together, alone):
    _, found = together
    assert found["bfloat16"]["found"].all()
    assert alone["bfloat16"]["found"].all()


def test_what_gets_no_gradient_is_named(together, alone):
    for found in (together[1], alone):
        message = str(found["refused"]["no gradient"])
        assert "trainable parameters got no gradient: backbone.cross_layers.0.visual_self_attention" in message
        assert "freeze_unused_parameters(model, losses)" in message
    assert "strategy 'single' is one process; torchrun started 2" in str(together[1]["refused"]["single"])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (dict(strategy="fsdp2"), "strategy must be one of auto, single, ddp, fsdp; got 'fsdp2'"),
        (dict(precision="float16"), "precision must be one of float32, bfloat16, float64; got 'float16'"),
        (dict(device="gpu"), "device must be one of auto, cpu, cuda; got 'gpu'"),
    ],
)
def test_refused_choices(choices, message):
    with pytest.raises(ValueError, match=message):
        make_engine(**choices)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="device 'cuda' needs a GPU that PyTorch can use, and it sees none"):
        make_engine(device="cuda")


def test_without_fabric(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ImportError, match="lxmert\\[train-pt\\]"):
        make_engine()


def test_evaluation_needs_no_optimizer():
    engine = make_engine(device="cpu")
    module, optimizer = engine.prepare(LxmertForQuestionAnswering(small_config()).double())
    assert optimizer is None
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert isinstance(engine.unwrap(module), LxmertForQuestionAnswering)
    assert (engine.rank, engine.world, engine.is_main, engine.device.type) == (0, 1, True, "cpu")


def test_every_layer_is_a_unit():
    model = new_model(Run(LxmertForPreTraining, layers=2), 0)
    units = [name for name, part in model.named_modules() if isinstance(part, WRAP_UNITS)]
    layers = ("language_layers", "visual_layers", "cross_layers")
    assert sorted(units) == sorted(f"backbone.{kind}.{i}" for kind in layers for i in range(2))
