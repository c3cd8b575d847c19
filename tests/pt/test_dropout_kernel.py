"""The package's own dropout: PyTorch's, drawn by bits, and out of the way of whoever looks at it."""

import pytest
import torch
from torch import nn

from lxmert.pt.cpu_kernels.dropout import drop, dropout


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_so_many_are_dropped_and_the_mean_stays(rate):
    x = torch.ones(1000, 1003)
    found = dropout(x, rate, True)
    kept = found[found != 0]
    assert abs(1 - kept.numel() / x.numel() - rate) < 0.002, "five times what chance makes of a million"
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=2e-4, atol=0)
    assert abs(float(found.mean()) - 1) < 0.02


def test_every_place_of_the_drawn_numbers_is_like_the_others():
    """Four places come from one number of 64 bits."""
    zeros = (dropout(torch.ones(100_000, 4), 0.3, True) == 0).double().mean(0)
    assert float((zeros - 0.3).abs().max()) < 0.008
    pairs = dropout(torch.ones(100_000, 4), 0.5, True) == 0
    together = (pairs.T.double() @ pairs.double() / len(pairs)).fill_diagonal_(0.25)
    assert float((together - 0.25).abs().max()) < 0.008, "one tells nothing of another"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_gradient_goes_where_the_numbers_went(dtype):
    x = torch.randn(50, 7, dtype=dtype, requires_grad=True)
    found = dropout(x, 0.25, True)
    assert found.dtype == dtype
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(gradient == 0, found == 0)
    torch.testing.assert_close(gradient[gradient != 0], torch.full_like(gradient[gradient != 0], 4 / 3))


def test_gradients_of_gradients():
    x = torch.randn(30, requires_grad=True)
    found = dropout(x, 0.5, True)
    (first,) = torch.autograd.grad(found.pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, torch.where(found == 0, 0.0, 6 * 8 * x))


def test_the_seed_decides():
    x = torch.ones(100)
    found = [(torch.manual_seed(seed), dropout(x, 0.5, True))[1] for seed in (3, 3, 4)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_in_evaluation_and_at_rate_0():
    x = torch.randn(9)
    assert drop(nn.Dropout(0.5).eval(), x) is x
    assert drop(nn.Dropout(0.0), x) is x
    assert torch.equal(drop(nn.Dropout(1.0), x), torch.zeros(9))
    assert dropout(torch.empty(0, 3), 0.5, True).shape == (0, 3)


def test_what_takes_the_place_of_dropout_is_called():
    x = torch.randn(9)
    assert torch.equal(drop(nn.Identity(), x), x)
    layer, seen = nn.Dropout(0.5), []
    layer.register_forward_hook(lambda *args: seen.append(args))
    drop(layer, x)
    assert len(seen) == 1


def test_transforms_of_functions():
    x = torch.randn(5, 9)
    found = torch.func.vmap(lambda v: dropout(v, 0.5, True), randomness="different")(x)
    assert set((found / x).flatten().tolist()) == {0.0, 2.0}
