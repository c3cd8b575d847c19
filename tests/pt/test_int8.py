"""int8 layers: exact products of integers, rows that do not depend on each other, and whole models."""

import copy
import pickle

import pytest
import torch
from torch import nn

import lxmert.pt
from lxmert.pt import use_cpu_kernels
from lxmert.pt.cpu_kernels import int8
from lxmert.pt.cpu_kernels.feed_forward import linear_pair
from lxmert.pt.cpu_kernels.int8 import integer_product, round_rows
from lxmert.pt.cpu_kernels.linear import ACTIVATIONS, linear, linears
from lxmert.pt.quantization import Int8Linear
from tests.small import small_config, small_inputs

from .tensors import flat, tensors


def int8_layer(inside=48, outside=80, bias=True):
    return Int8Linear.from_linear(nn.Linear(inside, outside, bias=bias))


def small_model(name):
    return getattr(lxmert.pt, name)(small_config(name)).eval()


@pytest.fixture
def onednn(count):
    """The calls of oneDNN."""
    if not int8._onednn_is_exact():
        pytest.skip("oneDNN has no exact int8 product here: PyTorch's operators are taken")
    return count(int8, "int8_linear")


@pytest.mark.parametrize("inside", [5, 1024, 3072])
def test_the_product_is_that_of_the_integers(inside):
    rows, weight = (torch.randint(-127, 128, (n, inside), dtype=torch.int8) for n in (7, 11))
    rows[0], weight[0] = 127, 127  # the largest sum that there is
    assert torch.equal(integer_product(rows, weight), (rows.long() @ weight.long().t()).int())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(integer_product(rows, weight), (rows.long() @ weight.long().t()).int())


@pytest.mark.parametrize("inside", [48, 3072])
@pytest.mark.parametrize("bias", [True, False])
def test_onednn_computes_what_pytorch_does(inside, bias, onednn):
    layer, x = int8_layer(inside, bias=bias), torch.randn(2, 9, inside)
    with torch.no_grad():
        found, low = layer(x), layer(x.bfloat16())
        assert len(onednn) == 2
        with use_cpu_kernels(False):
            assert torch.equal(found, layer(x))
            assert torch.equal(low, layer(x.bfloat16()))
            # A number in the middle of two steps is rounded to either of them.
            torch.testing.assert_close(found.double(), layer(x.double()), rtol=0, atol=2e-3)
    assert len(onednn) == 2
    assert found.dtype == torch.float32
    assert low.dtype == torch.bfloat16


@pytest.mark.parametrize("kernels", [True, False])
def test_rounding_is_by_half_a_step_of_the_row(kernels):
    layer = nn.Linear(96, 40, dtype=torch.float64)
    rounded = Int8Linear.from_linear(layer)
    x = torch.randn(6, 96, dtype=torch.float64) * torch.logspace(-6, 6, 6, dtype=torch.float64)[:, None]
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    kept = rounded.weight * rounded.weight_scale.double()[:, None]
    assert ((kept - layer.weight).abs() <= step * 0.501).all()
    integers, scale = round_rows(x)
    assert ((integers * scale - x).abs() <= scale * 0.501).all()
    assert (integers.abs().amax(1) == 127).all(), "the largest number of a row is exact"
    with use_cpu_kernels(kernels):
        torch.testing.assert_close(rounded(x), (integers * scale) @ kept.t() + layer.bias, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernels", [True, False])
def test_a_row_does_not_depend_on_the_others(kernels):
    layer, x = int8_layer(48, 50), torch.randn(37, 48)
    x[3] *= 1e20
    x[4], x[5, 1], x[6, 2], x[7] = 0, torch.nan, torch.inf, 1e-38
    with use_cpu_kernels(kernels), torch.no_grad():
        together = layer(x)
        for row in (0, 3, 4, 7, 36):
            assert torch.equal(layer(x[row]), together[row])
    assert torch.equal(together[4], layer.bias), "a row of zeros"
    assert torch.equal(together[7], layer.bias), "a row too small to matter"
    assert together[[5, 6]].isnan().all()
    assert together[[0, 3]].isfinite().all()


@pytest.mark.parametrize("kernels", [True, False])
def test_layers_together_are_layers_one_by_one(kernels):
    layers, x = [int8_layer(), int8_layer(48, 8), int8_layer()], torch.randn(4, 100, 48)
    down, residual = int8_layer(80, 48), torch.randn(4, 100, 48)
    with use_cpu_kernels(kernels), torch.no_grad():
        for found, layer in zip(linears(layers, x), layers, strict=True):
            assert torch.equal(found, layer(x))
        expected = down(ACTIVATIONS["gelu"](layers[0](x)))
        found = linear_pair(layers[0], down, x, "gelu", residual)  # in pieces, whose GELU may round the last bit
        torch.testing.assert_close(found, expected + residual, rtol=0.02, atol=0.02)
        assert ((found - expected - residual).abs() > 1e-5).float().mean() < 0.01
        assert torch.equal(linear(down, layers[0](x), residual=residual), down(layers[0](x)) + residual)


def test_hooks_are_called(onednn):
    layers, x, seen = [int8_layer(), int8_layer()], torch.randn(3, 48), []
    layers[1].register_forward_hook(lambda *given: seen.append(given))
    with torch.no_grad():
        linears(layers, x)
        linear_pair(layers[0], int8_layer(80, 48), x, "gelu")
    assert len(seen) == 1
    assert len(onednn) == 4


def test_packed_weights_follow_the_layer(onednn):
    layer, other, x = int8_layer(), int8_layer(), torch.randn(3, 48)
    with torch.no_grad():
        before, expected = layer(x), other(x)
        again = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
        for copied in again:
            assert torch.equal(copied(x), before)
        layer.load_state_dict(other.state_dict())
        assert torch.equal(layer(x), expected)
        layer.weight_scale.mul_(2)
        assert not torch.equal(layer(x), expected)
        for changed in ("weight", "weight_scale", "bias"):  # which PyTorch does not count
            tensor = getattr(again[1], changed)
            tensor.data.mul_(-1 if changed == "weight" else 2)
            found = again[1](x), linears([again[1], layer], x)[0]
            with use_cpu_kernels(False):
                assert all(torch.equal(each, again[1](x)) for each in found), changed
        again[0].load_state_dict(other.state_dict(), assign=True)
        assert torch.equal(again[0](x), expected)
    assert [*layer.state_dict()] == ["weight", "bias", "weight_scale"]
    assert layer.half().weight_scale.dtype == torch.float32
    assert layer.bias.dtype == torch.float16
    assert layer(x.half()).dtype == torch.float16
    assert layer.to("meta")(x.to("meta")).is_meta


@pytest.mark.parametrize("kernels", [True, False])
def test_the_gradient_of_the_input_is_that_of_the_rounded_weight(kernels):
    layer = int8_layer()
    x, seed = torch.randn(2, 3, 48, requires_grad=True), torch.randn(2, 3, 80)
    with use_cpu_kernels(kernels):
        out = layer(x)
        with torch.no_grad():
            assert torch.equal(out, layer(x))
        (gradient,) = torch.autograd.grad(out, x, seed)
    torch.testing.assert_close(gradient, seed @ (layer.weight * layer.weight_scale[:, None]))


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_models(name, onednn):
    model, given = small_model(name), tensors(small_inputs(name))
    rounded = copy.deepcopy(model).quantize("int8")
    assert rounded.is_quantized
    assert not model.is_quantized
    assert rounded.num_parameters() == model.num_parameters()
    with torch.inference_mode():
        exact, found = flat(model(**given)), flat(rounded(**given))
        assert onednn
        with use_cpu_kernels(False):
            plain = flat(rounded(**given))
    for a, b, c in zip(exact, found, plain, strict=True):
        assert 0 < (a - b).abs().max() < 0.1 * a.abs().max()
        # A number between two steps can be rounded to either of them.
        torch.testing.assert_close(b, c, rtol=0.01, atol=0.01)
    other = small_model(name).quantize()
    other.load_state_dict(rounded.state_dict())
    with torch.inference_mode():
        for a, b in zip(found, flat(other(**given)), strict=True):
            assert torch.equal(a, b)
    kept = {path for path, module in rounded.named_modules() if isinstance(module, nn.Linear)}
    assert all("heads." in path or "pooler" in path or path.endswith("box") for path in kept)
    maps = flat(rounded(**given, output_attentions="all"))
    assert len(maps) > len(found)


def test_state_dicts_of_parts_and_of_other_dtypes():
    model, given = small_model("LxmertModel"), tensors(small_inputs("LxmertModel"))
    rounded = copy.deepcopy(model).quantize()
    parts, halved = copy.deepcopy(rounded), copy.deepcopy(rounded)
    for path in ("cross_layers.0", "language_layers.0.attention.query"):
        parts.get_submodule(path).load_state_dict(model.get_submodule(path).state_dict())
    scales = {name: value.half() for name, value in rounded.state_dict().items() if name.endswith("_scale")}
    halved.load_state_dict(rounded.state_dict() | scales, assign=True)
    with torch.inference_mode():
        for a, b, c in zip(*(flat(each(**given)) for each in (rounded, parts, halved)), strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a, c, rtol=0.02, atol=0.02)


def test_no_rows():
    assert int8_layer()(torch.zeros(0, 3, 48)).shape == (0, 3, 80)


def test_what_a_quantized_model_refuses():
    model = small_model("LxmertModel")
    with pytest.raises(ValueError, match="'int8'; got 'int4'"):
        model.quantize("int4")
    with pytest.raises(ValueError, match="training mode"):
        model.train().quantize()
    model.eval().language_layers[0].attention.query = nn.Sequential(nn.Linear(24, 24))
    with pytest.raises(ValueError, match=r"language_layers\.0\.attention\.query is a Sequential"):
        model.quantize()
    model = small_model("LxmertModel").quantize()
    with pytest.raises(ValueError, match="quantized already"):
        model.quantize()
    with pytest.raises(ValueError, match="not trained"):
        model.train()
    with pytest.raises(ValueError, match="prune its heads before"):
        model.prune_heads({0: [0]})
    assert not model.eval().training
