"""Both directions of a cross layer computed as one: the numbers of two calls."""

import pytest
import torch

from lxmert.pt import PackedWeights, cross_layer, use_cpu_kernels
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.layers import context_bias
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import MASKS, inputs
from tests.models import CASES, new_pt, run_pt

pytestmark = pytest.mark.usefixtures("every_size")


@pytest.fixture
def together(count):
    """The calls of `attend_together`."""
    return count(cross_layer, "attend_together")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("masks", "pruned"), list(zip(MASKS, [False, True] * len(MASKS), strict=False)))
def test_the_same_numbers(masks, pruned, dtype, together):
    config, sizes = CASES["smallest"]
    config = config.replace(pruned_heads={"cross_layers.0.cross_attention": [0]} if pruned else {})
    model = new_pt(config, "LxmertModel", dtype).eval()
    given = inputs(config, sizes, masks)
    for options in ({}, {"output_attentions": "all"}, {"output_attentions": True, "output_hidden_states": True}):
        together.clear()
        with torch.inference_mode():
            with PackedWeights():
                ours = run_pt(model, given, **options)
            assert len(together) == 1
            with use_cpu_kernels(False):
                theirs = run_pt(model, given, **options)
        assert_same(ours, theirs, tolerances.OUTPUTS[dtype])
        run_pt(model, given, **options)
        assert len(together) == 1, "with gradients each direction is computed by itself"


@pytest.mark.parametrize("part", ["", "query", "out", "norm", "dropout"])
def test_a_layer_with_a_hook_is_called_for_each_direction(part, together):
    config, sizes = CASES["smallest"]
    model = new_pt(config, "LxmertModel", "float32").eval()
    seen = []
    model.cross_layers[0].cross_attention.get_submodule(part).register_forward_hook(lambda *args: seen.append(args))
    with torch.inference_mode():
        run_pt(model, inputs(config, sizes))
    assert len(seen) == 2
    assert not together


@pytest.mark.skipif(not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN")
def test_packed_projections_are_one_product(count):
    layers, x = [torch.nn.Linear(48, size) for size in (64, 32, 16)], torch.randn(3, 5, 48)
    calls = count(products, "_onednn")
    with torch.inference_mode(), PackedWeights():
        for ours, layer in zip(products.linears(layers, x), layers, strict=True):
            torch.testing.assert_close(ours, layer(x))
        assert len(calls) == 1
        layers[1].register_forward_hook(lambda *args: None)
        products.linears(layers, x)
        assert len(calls) == 3, "the one with a hook is called"


def test_a_mask_of_ones_is_left_out():
    mask = torch.ones(2, 3)
    assert context_bias(mask, torch.float32) is None
    mask[0, 0] = 0
    assert context_bias(mask, torch.float32).live is None
    mask[0] = 0
    assert context_bias(mask, torch.float32).live.flatten().tolist() == [0, 1]
    with use_cpu_kernels(False):
        assert context_bias(torch.ones(2, 3), torch.float32).live.flatten().tolist() == [1, 1]
