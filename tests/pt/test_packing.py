"""Packed weights: the same results as without them, also after the weights have changed."""

import asyncio
import copy
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from lxmert.pt import PackedWeights, _compat
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels.linear import linear, product
from lxmert.pt.cpu_kernels.packing import packed_weights
from tests.models import SMALLEST, new_pt

pytestmark = [
    pytest.mark.skipif(
        not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN: its own products are taken"
    ),
    pytest.mark.usefixtures("every_size"),
]


@pytest.fixture
def weights(monkeypatch):
    """The kinds of the weights that oneDNN was given."""
    given = []
    own = products._onednn
    monkeypatch.setattr(products, "_onednn", lambda *args: given.append(args[1].is_mkldnn) or own(*args))
    return given


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(64, 96)


@pytest.mark.parametrize("rows", [1, 7, 640])
@pytest.mark.parametrize("activation", [None, "gelu", "relu", "selu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_numbers(rows, activation, dtype, layer, weights):
    layer, x = layer.to(dtype), torch.randn(rows, 64).to(dtype)
    with torch.no_grad():
        theirs = linear(layer, x, activation)
        weights.clear()
        with PackedWeights():
            ours = linear(layer, x, activation)
    assert weights == [rows > 1 or dtype == torch.bfloat16], "a single row of float32 is as fast without"
    tolerance = dict(rtol=1e-5, atol=1e-5) if dtype == torch.float32 else dict(rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(ours, theirs, **tolerance)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.mul_(3),
        lambda layer: layer.load_state_dict(nn.Linear(64, 96).state_dict()),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.randn(96, 64))),
        lambda layer: setattr(layer.weight, "data", torch.randn(96, 64)),
        lambda layer: layer.weight.detach().add_(1),
    ],
)
def test_weights_that_change_are_laid_out_again(change, layer):
    x, packed = torch.randn(5, 64), PackedWeights()
    with torch.no_grad():
        with packed:
            linear(layer, x)
        change(layer)
        with packed:
            torch.testing.assert_close(linear(layer, x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_of_training_lays_them_out_again(fused, layer):
    """A fused optimizer changes weights without a count."""
    x, packed = torch.randn(5, 64), PackedWeights()
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, fused=fused)
    for _ in range(2):
        with packed, torch.no_grad():
            found = linear(layer, x)
        torch.testing.assert_close(found, nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)
        linear(layer, x).pow(2).sum().backward()
        optimizer.step()


def test_a_model_that_is_set_to_training_is_laid_out_again(layer):
    model = new_pt(SMALLEST, "LxmertModel", "float32")
    x, packed = torch.randn(5, 64), PackedWeights()
    with packed, torch.no_grad():
        linear(layer, x)
        layer.weight.data.mul_(3)  # by a compiled step, say
        model.train()
        torch.testing.assert_close(linear(layer, x), nn.functional.linear(x, layer.weight, layer.bias))


def test_laid_out_once(layer, monkeypatch):
    made = []
    own = _compat.reorder_linear_weight
    monkeypatch.setattr(_compat, "reorder_linear_weight", lambda w: made.append(w.shape) or own(w))
    model, packed = new_pt(SMALLEST, "LxmertModel", "float32").eval(), PackedWeights()
    for _ in range(3):
        model.eval()  # nothing is trained by it
        with packed, torch.no_grad():
            linear(layer, torch.randn(5, 64))
    assert made == [(96, 64)]


def test_a_model_that_leaves_training_is_laid_out_again(layer):
    model = new_pt(SMALLEST, "LxmertModel", "float32").train()
    x, packed = torch.randn(5, 64), PackedWeights()
    with packed, torch.no_grad():
        linear(layer, x)
        layer.weight.data.mul_(3)
        model.eval()
        torch.testing.assert_close(linear(layer, x), nn.functional.linear(x, layer.weight, layer.bias))


def test_training_takes_no_laid_out_weights(layer, weights):
    x = torch.randn(5, 64, requires_grad=True)
    with PackedWeights():
        linear(layer, x).sum().backward()
    assert weights == [False] * 3, "the product and both gradients"


def test_what_is_no_parameter_is_taken_as_it_is(weights):
    with PackedWeights(), torch.no_grad():
        product(torch.randn(5, 64), torch.randn(96, 64))
    with torch.inference_mode():
        made_there = nn.Linear(64, 96)
        with PackedWeights():
            linear(made_there, torch.randn(5, 64))
    assert weights == [False, False]


def test_inside_and_outside():
    outer, inner, default = PackedWeights(), PackedWeights(), packed_weights()
    with outer:
        with inner, outer:
            assert packed_weights() is outer
        assert packed_weights() is outer
    assert packed_weights() is default
    with pytest.raises(KeyError), outer:
        raise KeyError
    assert packed_weights() is default


def test_several_threads_and_tasks(layer):
    x, packed = torch.randn(5, 64), PackedWeights()
    expected = layer(x).detach()
    together = threading.Barrier(2)

    def answer():
        with packed, torch.no_grad():
            together.wait(30)
            found = linear(layer, x)
            together.wait(30)
        return found

    with ThreadPoolExecutor(2) as pool:
        for found in [pool.submit(answer) for _ in range(2)]:
            torch.testing.assert_close(found.result(), expected)

    async def first(entered, left):
        with packed:
            entered.set()
            await left.wait()

    async def second(entered, left):
        await entered.wait()
        assert packed_weights() is not packed
        with packed:
            left.set()
            await asyncio.sleep(0)
        assert packed_weights() is not packed

    async def both():
        entered, left = asyncio.Event(), asyncio.Event()
        await asyncio.gather(first(entered, left), second(entered, left))

    asyncio.run(both())


def test_copies_begin_anew(layer):
    packed = PackedWeights()
    with packed, torch.no_grad():
        linear(layer, torch.randn(5, 64))
    for copied in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert len(copied._known) == 0


def test_a_weight_that_is_gone_is_forgotten():
    layer, packed = nn.Linear(64, 96), PackedWeights()
    with packed, torch.no_grad():
        linear(layer, torch.randn(5, 64))
    assert len(packed._known) == 1
    del layer
    gc.collect()
    assert len(packed._known) == 0


def test_a_whole_model():
    config = SMALLEST
    model = new_pt(config, "LxmertForQuestionAnswering", "float32").eval()
    given = {
        "input_ids": torch.randint(1, config.vocab_size, (3, 5)),
        "visual_feats": torch.rand(3, 4, config.visual_feat_dim),
        "visual_pos": torch.rand(3, 4, 4),
    }
    with torch.inference_mode():
        plain = model(**given).question_answering_score
        with PackedWeights():
            torch.testing.assert_close(model(**given).question_answering_score, plain, rtol=1e-5, atol=1e-5)
