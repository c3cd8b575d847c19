"""The library of float32 products: measured once in a process, or set; each computes what F.linear does."""

import runpy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lxmert.pt import use_cpu_products
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels import product_choice
from lxmert.pt.cpu_kernels.linear import linear

pytestmark = pytest.mark.skipif(not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN")


@pytest.fixture
def unmeasured(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(product_choice, "_measured", "")
    with use_cpu_products("auto"):
        yield


@pytest.mark.parametrize(
    ("times", "chosen"),
    [([0.5], "onednn"), ([1.05], "mixed"), ([1.2, 1.3, 1.2], "pytorch"), ([5.0, 5.0, 0.9], "mixed")],
)
def test_near_ties_and_noise_are_oneDNNs(times, chosen, unmeasured, monkeypatch):
    left = list(times)
    monkeypatch.setattr(product_choice, "_onednn_time", lambda: left.pop(0))
    with ThreadPoolExecutor(4) as pool:
        assert {future.result() for future in [pool.submit(product_choice.cpu_products) for _ in range(4)]} == {chosen}
    assert left == [], "one measurement for all threads"


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_the_measurement(inside, unmeasured):
    before = torch.get_rng_state()
    with inside():
        assert 0.01 < product_choice._onednn_time() < 100
        assert product_choice.cpu_products() in ("onednn", "mixed", "pytorch")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("library", ["pytorch", "onednn", "mixed"])
def test_each_computes_what_pytorch_does(library, every_size, count):
    layer, x, calls = nn.Linear(48, 80), torch.randn(7, 48, requires_grad=True), count(products, "_onednn")
    wanted = [x, layer.weight, layer.bias]
    expected = F.gelu(layer(x))
    theirs = [expected, expected, *torch.autograd.grad(expected.sum(), wanted)]
    with use_cpu_products(library):
        found = linear(layer, x, "gelu")
        with torch.no_grad():
            free = linear(layer, x, "gelu")
        ours = [found, free, *torch.autograd.grad(found.sum(), wanted)]
    assert len(calls) == {"onednn": 4, "mixed": 3, "pytorch": 0}[library]
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other) or library != "pytorch"
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_wrong_names_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r'expects "auto" \(measure\), "pytorch", "onednn" or "mixed"; got \'mkl\''):
        use_cpu_products("mkl")
    monkeypatch.setenv("LXMERT_CPU_PRODUCTS", "pytorch")
    assert runpy.run_path(product_choice.__file__)["cpu_products"]() == "pytorch"
    monkeypatch.setenv("LXMERT_CPU_PRODUCTS", "mkl")
    with pytest.raises(ValueError, match=r"environment variable LXMERT_CPU_PRODUCTS must be .*; got 'mkl'"):
        runpy.run_path(product_choice.__file__)
