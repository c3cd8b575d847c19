"""The package's linear kernel: the values and gradients of nn.Linear, and no kernel where hooks or modes are active."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels.feed_forward import linear_pair
from lxmert.pt.cpu_kernels.linear import ACTIVATIONS, linear, product

HERE = products.HAS_ONEDNN
pytestmark = [
    pytest.mark.skipif(not HERE, reason="this build of PyTorch has no oneDNN: its own products are taken"),
    pytest.mark.usefixtures("every_size"),
]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(48, 80)


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.randn(3, 7, 48)


@pytest.fixture
def calls(count):
    """The calls of oneDNN."""
    return count(products, "_onednn")


def plain(layer, x, activation):
    return layer(x) if activation is None else ACTIVATIONS[activation](layer(x))


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients(activation, bias, x, calls):
    layer = nn.Linear(48, 80, bias=bias)
    x.requires_grad_()
    ours, theirs = linear(layer, x, activation), plain(layer, x, activation)
    torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(linear(layer, x, activation), theirs)
    assert len(calls) == 2
    seed = torch.randn_like(ours)
    wanted = [x, *layer.parameters()]
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, seed), torch.autograd.grad(theirs, wanted, seed), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    assert len(calls) == 4, "both gradients are products too"


def test_gradients_of_gradients(layer, x):
    def twice(function):
        (first,) = torch.autograd.grad(function(x).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), [x, layer.weight, layer.bias])

    x.requires_grad_()
    for mine, other in zip(twice(lambda x: linear(layer, x)), twice(layer), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("trained", ["x", "weight", "bias"])
def test_only_trainable_parts_get_a_gradient(trained, layer, x):
    layer.requires_grad_(False)
    wanted = {"x": x, "weight": layer.weight, "bias": layer.bias}[trained].requires_grad_()
    linear(layer, x).sum().backward()
    assert wanted.grad is not None
    assert [t.grad is None for t in (x, layer.weight, layer.bias)].count(True) == 2


def test_views_and_odd_shapes(layer, x, calls):
    for view in (x.transpose(0, 1), x[:, ::2], x[0], x[0, 0], x.expand(2, 3, 7, 48), torch.empty(0, 7, 48)):
        torch.testing.assert_close(linear(layer, view), layer(view))
    assert len(calls) == 5, "an empty product is not computed"
    table = torch.randn(48, 80).t()
    torch.testing.assert_close(product(x, table, layer.bias), F.linear(x, table, layer.bias))


def test_the_gradient_of_a_weight_is_of_rows_that_lie_together(layer, x, calls):
    """For others oneDNN takes hundreds of times as long."""
    first = x[:, 0].requires_grad_()
    assert not first.is_contiguous()
    (mine,) = torch.autograd.grad(linear(layer, first).pow(2).sum(), layer.weight)
    torch.testing.assert_close(mine, torch.autograd.grad(layer(first).pow(2).sum(), layer.weight)[0])
    assert all(weight.is_contiguous() or weight.t().is_contiguous() for _, weight, *_ in calls)


def test_small_products_use_pytorch(layer, x, calls, monkeypatch):
    monkeypatch.setattr(products, "_MIN_PRODUCTS", {False: x.numel() * 80, True: x.numel() * 80 + 1})
    linear(layer, x)
    assert not calls
    with torch.no_grad():
        linear(layer, x)
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_residual_is_added_within_the_product(dtype, layer, x, count):
    calls, layer, x = count(products, "_onednn_add"), layer.to(dtype), x.to(dtype)
    wide = torch.randn(6, 7, 80, dtype=dtype)
    residuals = [wide[:3], wide[::2], wide[:3].transpose(0, 1).contiguous().transpose(0, 1)]
    tolerance = dict(rtol=2**-7, atol=2**-6) if dtype == torch.bfloat16 else {}  # a rounding less
    for residual in residuals:
        with torch.no_grad():
            torch.testing.assert_close(linear(layer, x, residual=residual), layer(x) + residual, **tolerance)
    assert len(calls) == 3
    with torch.no_grad():  # what does not fit, and where activation or gradients stand between
        assert torch.equal(linear(layer, x[:1], residual=wide[:3]), linear(layer, x[:1]) + wide[:3])
        assert torch.equal(linear(layer, x, "relu", wide[:3]), linear(layer, x, "relu") + wide[:3])
    assert torch.equal(linear(layer, x, residual=wide[:3]), linear(layer, x) + wide[:3])
    assert torch.equal(linear(Doubled(layer), x, residual=wide[:3]), 2 * layer(x) + wide[:3])
    assert len(calls) == 3


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_activations_of_bfloat16_are_fused(activation, layer, x, calls):
    layer.bfloat16(), x.requires_grad_()
    with torch.no_grad():
        ours, theirs = (f(layer, x.bfloat16(), activation) for f in (linear, plain))
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=2**-8)  # a rounding less
    assert len(calls) == 1
    linear(layer, x.bfloat16(), activation)
    assert len(calls) == 1, "with gradients the numbers before the activation are needed"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_use_pytorch(dtype, layer, x, calls):
    assert torch.equal(linear(layer.to(dtype), x.to(dtype)), layer(x.to(dtype)))
    assert not calls


def test_autocast_uses_pytorch(layer, x, calls):
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(layer, x).dtype == torch.bfloat16
    assert not calls


def test_another_format_of_input_and_weight_is_the_same_error(layer, x):
    with pytest.raises(RuntimeError, match="dtype"):
        linear(layer, x.double())


def test_hooks_are_called(layer, x, calls):
    seen = []
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    linear(layer, x)
    assert (seen, calls) == ([(3, 7, 80)], [])
    handle.remove()
    linear(layer, x)
    assert len(calls) == 1
    layer.register_full_backward_hook(lambda *args: seen.append("back"))
    linear(layer, x.requires_grad_()).sum().backward()
    assert seen[-1] == "back"


class Doubled(nn.Module):
    """A layer wrapped by an adapter."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return 2 * self.layer(x)


def test_a_replaced_layer_is_called(layer, x):
    assert torch.equal(linear(Doubled(layer), x, "relu"), torch.relu(2 * layer(x)))
    parametrized = copy.deepcopy(layer)
    nn.utils.parametrizations.weight_norm(parametrized)
    assert torch.equal(linear(parametrized, x), parametrized(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # PyTorch, of itself
def test_transforms_of_functions(layer, x, calls):
    torch.testing.assert_close(torch.func.vmap(lambda v: linear(layer, v))(x), layer(x))
    gradient = torch.func.grad(lambda v: linear(layer, v).pow(2).sum())(x)
    torch.testing.assert_close(gradient, torch.func.grad(lambda v: layer(v).pow(2).sum())(x))
    _, tangent = torch.func.jvp(lambda v: linear(layer, v), (x,), (x,))
    torch.testing.assert_close(tangent, F.linear(x, layer.weight))
    assert not calls


def test_a_replaced_forward_is_called(layer, x, calls, monkeypatch):
    """Offloading tools do this: they load a layer's weights when it is called."""
    own = layer.forward
    layer.forward = lambda x: 3 * own(x)
    assert torch.equal(linear(layer, x), layer(x))
    del layer.forward
    with monkeypatch.context() as patch:
        patch.setattr(nn.Linear, "forward", lambda self, x: x)
        assert linear(layer, x) is x
    assert not calls


def test_hooks_of_all_modules_are_called(layer, x):
    seen = []
    handle = torch.nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    try:
        linear(layer, x)
    finally:
        handle.remove()
    assert seen == [nn.Linear]


def test_function_modes_and_patches_see_pytorchs_linear(layer, x, calls, monkeypatch):
    seen = []

    class Recording(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Recording():
        linear(layer, x)
    assert F.linear in seen
    own = F.linear
    monkeypatch.setattr(F, "linear", lambda *args: seen.append("mine") or own(*args))
    linear(layer, x)
    assert seen[-1] == "mine"
    assert not calls


def test_unsupported_products_use_pytorch(layer, x, calls):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(layer, x[..., :-1])
    one = torch.ones(1)
    assert torch.equal(product(x, layer.weight, one), F.linear(x, layer.weight, one))
    torch.backends.mkldnn.enabled = False
    try:
        linear(layer, x)
    finally:
        torch.backends.mkldnn.enabled = True
    assert not calls


@pytest.mark.parametrize("trained", [True, False])
def test_only_what_a_gradient_needs_is_saved(trained, layer, x):
    layer.requires_grad_(trained)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        linear(layer, x.requires_grad_(not trained))
    assert kept == [x.shape if trained else layer.weight.shape]


def test_flops_are_counted(layer, x, calls):
    with FlopCounterMode(display=False) as counter:
        linear(layer, x)
    assert counter.get_total_flops() == 2 * x.numel() * 80
    assert not calls


def test_compiled_and_exported_graphs_hold_pytorchs_operator(layer, x, calls):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return linear(self.layer, x, "gelu")

    graph = torch.export.export(Wrapped(), (x,)).graph
    assert "linear" in "".join(str(node.target) for node in graph.nodes)
    assert "mkldnn" not in "".join(str(node.target) for node in graph.nodes)
    assert not calls


@pytest.fixture
def pair(layer):
    return layer, nn.Linear(80, 48)


def one_by_one(pair, x, activation):
    return pair[1](ACTIVATIONS[activation](pair[0](x)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_pair_saves_the_hidden_states_once(activation, dtype, pair, x):
    pair = [layer.to(dtype) for layer in pair]
    x = x.to(dtype).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        ours = linear_pair(*pair, x, activation)
    assert kept == [x.shape, (80, 48), (80,), (48, 80), (3, 7, 80)]
    theirs = one_by_one(pair, x, activation)
    tolerance = {} if dtype == torch.float64 else dict(rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, theirs, **tolerance)
    wanted, seed = [x, *pair[0].parameters(), *pair[1].parameters()], torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, seed), torch.autograd.grad(theirs, wanted, seed), strict=True
    ):
        torch.testing.assert_close(mine, other, **tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_of_gradients_of_a_pair(activation, pair, x):
    pair = [layer.double() for layer in pair]
    x = x.double().requires_grad_()

    def twice(out):
        (first,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), [x, *pair[0].parameters(), *pair[1].parameters()])

    for mine, other in zip(
        twice(linear_pair(*pair, x, activation)), twice(one_by_one(pair, x, activation)), strict=True
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("trained", [0, 1, 2, 3, 4])
def test_a_pair_gives_only_the_gradients_that_are_wanted(trained, pair, x):
    parts = [x, *pair[0].parameters(), *pair[1].parameters()]
    for part in parts:
        part.requires_grad_(False)
    parts[trained].requires_grad_()
    (wanted,) = torch.autograd.grad(linear_pair(*pair, x, "gelu").sum(), parts[trained])
    (theirs,) = torch.autograd.grad(one_by_one(pair, x, "gelu").sum(), parts[trained])
    torch.testing.assert_close(wanted, theirs, rtol=1e-4, atol=1e-4)
    assert all(part.grad is None for part in parts)


def test_a_pair_without_biases(x):
    pair = nn.Linear(48, 80, bias=False), nn.Linear(80, 48, bias=False)
    wanted = [x.requires_grad_(), pair[0].weight, pair[1].weight]
    for mine, other in zip(
        torch.autograd.grad(linear_pair(*pair, x, "gelu").sum(), wanted),
        torch.autograd.grad(one_by_one(pair, x, "gelu").sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_a_pair_under_autocast(pair, x):
    x.requires_grad_()
    found = []
    for run in (linear_pair, lambda up, down, x, name: one_by_one((up, down), x, name)):
        with torch.autocast("cpu", torch.bfloat16):
            out = run(*pair, x, "gelu")
        assert out.dtype == torch.bfloat16
        found.append([out, *torch.autograd.grad(out.float().pow(2).sum(), [x, *pair[0].parameters()])])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=0.05, atol=0.02 * other.detach().abs().max().item())  # 8 bits
        assert mine.dtype == other.dtype


def test_hooks_of_a_pair_are_called(pair, x):
    seen = []
    handle = pair[1].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    linear_pair(*pair, x.requires_grad_(), "gelu").sum().backward()
    handle.remove()
    assert seen == [(3, 7, 80)]
    torch.testing.assert_close(linear_pair(Doubled(pair[0]), pair[1], x, "relu"), pair[1](torch.relu(2 * pair[0](x))))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_several_gradients_of_a_pair_at_once(activation, pair, x):
    out = linear_pair(*pair, x.requires_grad_(), activation)
    seeds = torch.randn(4, *out.shape)
    wanted = [x, *pair[0].parameters(), *pair[1].parameters()]
    together = torch.autograd.grad(out, wanted, seeds, is_grads_batched=True, retain_graph=True)
    for number, seed in enumerate(seeds):
        for mine, other in zip(together, torch.autograd.grad(out, wanted, seed, retain_graph=True), strict=True):
            torch.testing.assert_close(mine[number], other, rtol=1e-4, atol=1e-4)


def test_an_infinite_gradient_stops_at_relu(pair, x):
    x.requires_grad_()
    seed = torch.full((3, 7, 48), float("inf"))
    (mine,) = torch.autograd.grad(linear_pair(*pair, x, "relu"), pair[0].bias, seed)
    (other,) = torch.autograd.grad(one_by_one(pair, x, "relu"), pair[0].bias, seed)
    torch.testing.assert_close(mine, other, equal_nan=True)
