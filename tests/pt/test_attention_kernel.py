"""Recomputed attention: values, gradients and dropout of standard attention, with less saved for the backward pass."""

import pytest
import torch
from torch import nn

from lxmert.pt import layers
from lxmert.pt.cpu_kernels.attention import can_recompute, recomputed_attention
from lxmert.pt.layers import Attention, context_bias
from tests.models import small

pytestmark = pytest.mark.usefixtures("every_size")
CONFIG = small("1/1/1", hidden_size=64, num_attention_heads=4, attention_probs_dropout_prob=0.3)


@pytest.fixture
def calls(count):
    """The calls of recomputed_attention."""
    return count(layers, "recomputed_attention")


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return Attention(CONFIG).double().train()


@pytest.fixture
def given():
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])  # some, all and all but one left out
    states, context = (torch.randn(3, count, 64, dtype=torch.float64, requires_grad=True) for count in (7, 5))
    return states, context, context_bias(mask, torch.float64)


def without_recomputation(monkeypatch, run):
    with monkeypatch.context() as patch:
        patch.setattr(layers, "can_recompute", lambda *args: False)
        return run()


def seeded(attention, given, seed=3):
    torch.manual_seed(seed)
    return attention(*given)[0]


@pytest.mark.parametrize("masked", [True, False])
def test_values_and_gradients(masked, attention, given, calls, monkeypatch):
    given = given if masked else given[:2]
    wanted = [*given[:2], *attention.parameters()]
    ours = seeded(attention, given)
    assert len(calls) == 1
    theirs = without_recomputation(monkeypatch, lambda: seeded(attention, given))
    assert len(calls) == 1
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)
    assert not torch.equal(ours, seeded(attention, given, seed=4)), "something is dropped"
    seed = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, seed), torch.autograd.grad(theirs, wanted, seed), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("trained", ["query.weight", "key.weight", "value.weight", "out.weight", "out.bias"])
def test_gradients_of_gradients(trained, attention, given, monkeypatch):
    wanted = [attention.get_parameter(trained), given[0]]

    def twice():
        (first,) = torch.autograd.grad(seeded(attention, given).pow(3).sum(), given[0], create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), wanted)

    for mine, other in zip(twice(), without_recomputation(monkeypatch, twice), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("trained", range(5))
def test_only_trainable_parts_get_a_gradient(trained):
    torch.manual_seed(0)
    layer = nn.Linear(8, 6).requires_grad_(False)
    parts = [torch.randn(2, 2, count, 4) for count in (3, 5, 5)] + [layer.weight, layer.bias]
    parts[trained].requires_grad_()
    out = recomputed_attention(layer, *parts[:3], None, 0.5)
    (found,) = torch.autograd.grad(out.sum(), parts[trained])
    assert found.shape == parts[trained].shape
    assert found.abs().sum() > 0


def test_what_is_saved_for_the_backward_pass(attention, given):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        attention(*given)
    floats = [t.shape for t in kept if t.shape[-2:] == (7, 5) and t.is_floating_point()]
    assert len(floats) == 1, "the weights once, not twice"


def test_autocast(attention, given, monkeypatch):
    attention, given = attention.float(), [given[0].float(), given[1].float()]

    def run():
        with torch.autocast("cpu", torch.bfloat16):
            out = seeded(attention, given)
        return out.float(), *torch.autograd.grad(out.float().pow(2).sum(), list(attention.parameters()))

    for mine, other in zip(run(), without_recomputation(monkeypatch, run), strict=True):
        torch.testing.assert_close(mine, other, rtol=0.05, atol=0.03 * other.detach().abs().max().item())  # 8 bits


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_gradients_under_autocast_with_a_mask(dtype, attention, given):
    attention, states, context = attention.float(), given[0].float(), given[1].float()
    with torch.autocast("cpu", dtype):
        out = seeded(attention, (states, context, context_bias(torch.tensor([[1, 1, 0, 0, 0]] * 3), torch.float32)))
    (first,) = torch.autograd.grad(out.float().pow(2).sum(), given[0], create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), attention.out.weight)
    assert second.isfinite().all()


def test_several_gradients_at_once(attention, given):
    out = seeded(attention, given)
    seeds = torch.randn(4, *out.shape, dtype=torch.float64)
    wanted = [*given[:2], attention.query.weight, attention.out.bias]
    together = torch.autograd.grad(out, wanted, seeds, is_grads_batched=True, retain_graph=True)
    for number, seed in enumerate(seeds):
        for mine, other in zip(together, torch.autograd.grad(out, wanted, seed, retain_graph=True), strict=True):
            torch.testing.assert_close(mine[number], other)


def test_weights_masks_and_hooks_turn_it_off(attention, given, calls):
    assert attention(*given, need_weights=True)[1].shape == (3, 4, 7, 5)
    attention(*given, head_mask=torch.ones(4, dtype=torch.float64))
    seen = []
    handle = attention.out.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    attention(*given)
    handle.remove()
    assert seen == [(3, 7, 64)]
    attention.eval()(*given)
    with torch.no_grad():
        attention.train()(*given)
    assert not calls
    assert not can_recompute(attention.out, given[0], 0.0)
