"""The switch of the CPU kernels, and the self-test that turns them off."""

import runpy
import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lxmert.pt
from lxmert.pt.cpu_kernels import attention, dispatch, feed_forward, int8
from lxmert.pt.cpu_kernels import dropout as dropouts
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels.dropout import drop
from lxmert.pt.cpu_kernels.feed_forward import linear_pair
from lxmert.pt.cpu_kernels.linear import linear
from tests.models import new_pt, small

pytestmark = pytest.mark.usefixtures("every_size")


@pytest.fixture
def untested(monkeypatch):
    """The kernels as in a new process: switched on, and not tested yet."""
    monkeypatch.setattr(dispatch, "_is_on", True)
    monkeypatch.setattr(dispatch, "_agreed", False)


def computed(layers, x):
    """What layers give with dropout, and the gradients."""
    up, down, dropout = layers
    torch.manual_seed(0)
    out = drop(dropout, linear_pair(up, down, linear(up, x, "gelu")[..., :16], "gelu"))
    return [out, *torch.autograd.grad(out.sum(), [*up.parameters(), *down.parameters()])]


def test_switched_off_the_numbers_are_pytorchs_bit_for_bit():
    up, down, dropout = nn.Linear(16, 32), nn.Linear(32, 16), nn.Dropout(0.3)
    x = torch.randn(4, 5, 16)
    with lxmert.pt.use_cpu_kernels(False):
        ours = computed((up, down, dropout), x)
    torch.manual_seed(0)
    out = F.dropout(down(F.gelu(up(F.gelu(up(x))[..., :16]))), 0.3)
    theirs = [out, *torch.autograd.grad(out.sum(), [*up.parameters(), *down.parameters()])]
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(computed((up, down, dropout), x)[0], out), "switched on again"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_self_test_has_a_dtype_of_its_own(dtype, untested, monkeypatch):
    monkeypatch.setattr(int8, "_onednn_is_exact", int8._onednn_is_exact.__wrapped__)
    exact = int8._onednn_is_exact()
    torch.set_default_dtype(dtype)
    try:
        assert dispatch.kernels_are_on()
        assert int8._onednn_is_exact() == exact
    finally:
        torch.set_default_dtype(torch.float32)


def test_switched_off_a_model_calls_no_kernel(monkeypatch):
    def refuse(*args):
        raise AssertionError("a kernel was called")

    for home, name in ((products, "_onednn"), (feed_forward._RecomputedPair, "apply"), (products._Product, "apply")):
        monkeypatch.setattr(home, name, refuse)
    monkeypatch.setattr(attention._RecomputedAttention, "apply", refuse)
    monkeypatch.setattr(dropouts._Dropout, "apply", refuse)
    model = new_pt(small("1/1/1"), "LxmertForQuestionAnswering", "float32").train()
    given = dict(input_ids=torch.ones(2, 3).long(), visual_pos=torch.rand(2, 4, 4), labels=torch.zeros(2).long())
    given["visual_feats"] = torch.rand(2, 4, model.config.visual_feat_dim)
    lxmert.pt.use_cpu_kernels(False)
    try:
        model(**given).loss.backward()
    finally:
        lxmert.pt.use_cpu_kernels(True)
    with pytest.raises(AssertionError, match="a kernel was called"):
        model(**given)


def test_the_environment_switches_them_off():
    code = "from lxmert.pt.cpu_kernels.dispatch import kernels_are_on; print(kernels_are_on())"
    environment = {"LXMERT_CPU_KERNELS": "0", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "False"
    assert dispatch.kernels_are_on()


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_the_self_test_passes_here_and_runs_once(inside, untested, monkeypatch):
    before = torch.get_rng_state()
    with inside(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dispatch.kernels_are_on()
    assert torch.equal(torch.get_rng_state(), before), "it draws from a generator of its own"
    monkeypatch.setattr(dispatch, "_CHECKS", [lambda: pytest.fail("a second time")])
    assert dispatch.kernels_are_on()


def wrong_product(x, weight, bias, *args):
    return F.linear(x, weight, bias) + 1


def failing_product(*args):
    raise TypeError("this build takes other arguments")


@pytest.mark.skipif(not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN")
@pytest.mark.parametrize("product", [wrong_product, failing_product])
def test_a_build_that_computes_something_else_turns_them_off(product, untested, monkeypatch):
    monkeypatch.setattr(products, "linear_pointwise", product)
    layer, x = nn.Linear(64, 32), torch.randn(4, 64)
    with torch.no_grad():
        with pytest.warns(RuntimeWarning, match=r"The CPU kernels of lxmert fail check_linear with PyTorch \d"):
            found = linear(layer, x)
        assert torch.equal(found, layer(x))
        assert torch.equal(linear(layer, x), layer(x)), "without a second warning"


@pytest.mark.parametrize(
    ("home", "name", "wrong", "check"),
    [
        (attention, "softmax_backward", lambda gradient, weights: gradient, "check_softmax_backward"),
        (dropouts, "dropout_mask", lambda x, *args: torch.ones_like(x), "check_dropout"),
    ],
)
def test_every_kernel_is_tested(home, name, wrong, check, untested, monkeypatch):
    monkeypatch.setattr(home, name, wrong)
    with pytest.warns(RuntimeWarning, match=check):
        assert not dispatch.kernels_are_on()


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch):
    with pytest.raises(TypeError, match="expects True or False; got 'no'"):
        lxmert.pt.use_cpu_kernels("no")
    assert dispatch.kernels_are_on()
    monkeypatch.setenv("LXMERT_CPU_KERNELS", "off")
    with pytest.raises(ValueError, match=r"LXMERT_CPU_KERNELS must be 0 \(off\) or 1 \(on\); got 'off'"):
        runpy.run_path(dispatch.__file__)
