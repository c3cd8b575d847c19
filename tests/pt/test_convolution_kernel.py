"""The package's convolutions: the values of PyTorch's, with what follows them, and no kernel where it may not be."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lxmert.pt import use_cpu_kernels
from lxmert.pt.cpu_kernels import convolution as kernels
from lxmert.pt.cpu_kernels.convolution import Convolution

# Batch, channels, outputs, kernel, stride, dilation, height and width: maps of one cell and of one row too.
SHAPES = [
    (2, 5, 7, 3, 1, 2, 9, 8),
    (1, 3, 4, 7, 2, 1, 31, 20),
    (3, 8, 8, 1, 2, 1, 6, 7),
    (1, 8, 16, 1, 1, 1, 1, 1),
    (1, 4, 4, 3, 1, 1, 1, 40),
]


@pytest.fixture
def calls(count):
    """The calls of oneDNN, without those of the self-test."""
    kernels.kernels_are_on()
    return count(kernels, "convolution_pointwise"), count(kernels, "convolution_add_")


def make(batch, channels, outputs, kernel, stride, dilation, height, width, dtype=torch.float32):
    torch.manual_seed(0)
    weight, bias = torch.randn(outputs, channels, kernel, kernel), torch.randn(outputs)
    padding = dilation * (kernel // 2)
    layer = Convolution(weight.to(dtype), bias.to(dtype), (stride,) * 2, (padding,) * 2, (dilation,) * 2)
    x = torch.randn(batch, channels, height, width, dtype=dtype).to(memory_format=torch.channels_last)
    return layer, x


@pytest.mark.skipif(not kernels.HAS_ONEDNN_CONVOLUTION, reason="this build of PyTorch has no oneDNN")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_values(shape, calls):
    layer, x = make(*shape)
    plain = layer(x)
    other = torch.randn_like(plain)
    expected = (plain + other).relu()
    torch.testing.assert_close(layer.relu(x), plain.relu())
    torch.testing.assert_close(layer.add_relu_(x, other), expected)
    assert [len(each) for each in calls] == [1, 1]


@pytest.mark.parametrize("why", ["switched off", "float64", "gradients", "counted", "autocast"])
def test_where_the_kernel_may_not_be(why, calls):
    layer, x = make(*SHAPES[0], dtype=torch.float64 if why == "float64" else torch.float32)
    with torch.set_grad_enabled(why == "gradients"):
        plain = layer(x)
        other = torch.randn_like(plain)
        contexts = {
            "switched off": lambda: use_cpu_kernels(False),
            "counted": lambda: FlopCounterMode(display=False),
            "autocast": lambda: torch.autocast("cpu"),
        }
        with contexts.get(why, torch.enable_grad if why == "gradients" else torch.no_grad)():
            found = layer.relu(x), layer.add_relu_(x, other.clone())
    exact = dict(rtol=0.05, atol=0.1) if why == "autocast" else {}
    for mine, theirs in zip(found, (plain.relu(), (plain + other).relu()), strict=True):
        torch.testing.assert_close(mine.to(plain.dtype), theirs, **exact)
    assert [len(each) for each in calls] == [0, 0]
