"""Weights that are packed without being asked for: within a limit, as long as they do not change."""

import copy
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lxmert.pt import PackedWeights, _compat, use_packed_weights
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels import packing
from lxmert.pt.cpu_kernels.attention import recomputed_attention
from lxmert.pt.cpu_kernels.feed_forward import linear_pair
from lxmert.pt.cpu_kernels.linear import linear, packed_weight

pytestmark = [
    pytest.mark.skipif(
        not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN: its own products are taken"
    ),
    pytest.mark.usefixtures("every_size"),
]
SIZE = 64 * 64 * 4  # bytes of a weight here


@pytest.fixture(autouse=True)
def default(monkeypatch):
    """The default cache of a new process."""
    cache = PackedWeights(2**30)
    cache._uses = packing._DEFAULT._uses
    monkeypatch.setattr(packing, "_DEFAULT", cache)
    return cache


@pytest.fixture
def packs(monkeypatch):
    """Weak references to the weights that are packed."""
    made = []
    own = _compat.reorder_linear_weight

    def pack(weight):
        packed = own(weight)
        made.append(weakref.ref(packed))
        return packed

    monkeypatch.setattr(_compat, "reorder_linear_weight", pack)
    return made


@pytest.fixture
def layer():
    return nn.Linear(64, 64)


def use(layer, times=3):
    """Use a layer, and compare its numbers with PyTorch's."""
    x = torch.randn(5, 64).to(layer.weight.dtype)
    tolerance = dict(rtol=1e-5, atol=1e-5) if x.dtype != torch.bfloat16 else dict(rtol=2**-7, atol=2**-7)
    with torch.no_grad():
        for _ in range(times):
            torch.testing.assert_close(linear(layer, x), F.linear(x, layer.weight, layer.bias), **tolerance)


def test_packed_at_the_third_use(layer, packs):
    use(layer, 2)
    assert packs == []
    use(layer, 3)
    assert len(packs) == 1
    x = torch.randn(2, 64, requires_grad=True)
    linear(layer, x).sum().backward()
    assert packs[0]() is None, "training takes the memory"
    use(layer)
    assert len(packs) == 2


def fused_step(layer):
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, fused=True)
    linear(layer, torch.randn(5, 64)).sum().backward()
    optimizer.step()


def fused_step_of_gradients_from_elsewhere(layer):
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, fused=True)
    layer.weight.grad = torch.randn(64, 64)
    optimizer.step()


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.detach().mul_(3),
        lambda layer: layer.weight.data.mul_(3),
        lambda layer: layer.weight.data.lerp_(torch.randn(64, 64), 0.1),  # a moving average of weights
        lambda layer: layer.weight.data[8:24].zero_(),  # a head that is pruned
        lambda layer: layer.weight.data[:, 8:24].zero_(),
        lambda layer: setattr(layer.weight, "data", torch.randn(64, 64)),
        lambda layer: setattr(layer.weight, "data", layer.weight.data.t()),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.randn(64, 64))),
        lambda layer: torch.utils.swap_tensors(layer.weight, nn.Parameter(torch.randn(64, 64))),
        lambda layer: layer.load_state_dict(nn.Linear(64, 64).state_dict()),
        lambda layer: layer.load_state_dict(nn.Linear(64, 64).state_dict(), assign=True),
        lambda layer: layer.to(torch.bfloat16),
        lambda layer: layer.to(torch.float64),
        fused_step,
        fused_step_of_gradients_from_elsewhere,
    ],
)
def test_weights_that_change_are_packed_again(change, layer, packs):
    use(layer)
    assert len(packs) == 1
    change(layer)
    use(layer)
    assert len(packs) == 1 + (layer.weight.dtype != torch.float64)


def test_not_packed_in_training(packs):
    up, down = nn.Linear(64, 64), nn.Linear(64, 64)
    for _ in range(4):  # the gradients of several batches are added
        linear_pair(up, down, torch.randn(5, 64), "gelu").sum().backward()
        recomputed_attention(down, *torch.randn(3, 2, 4, 5, 16), None, 0.5).sum().backward()
    assert packs == []


def test_the_limit(packs):
    layer, other = nn.Linear(64, 64), nn.Linear(64, 64)
    with use_packed_weights(SIZE):
        for _ in range(5):
            use(layer), use(other)
        assert len(packs) == 1, "what does not fit stays as it is, and takes no other's place"
        del layer
        gc.collect()
        assert packs[0]() is None
        use(other)
        assert len(packs) == 2
        other.double()
        third = nn.Linear(64, 64)
        use(third)
        assert [packed() is None for packed in packs] == [True, True, False], "the place of a weight that was cast"
        with use_packed_weights(0):
            assert packs[-1]() is None
            use(third, 5)
            assert packing.packed_weights() is None
        use(third)
    assert len(packs) == 4
    assert packing.packed_weights().limit == 2**30


def test_freed_with_the_model_and_not_copied(packs, default):
    use(layer := nn.Linear(64, 64))
    twin = copy.deepcopy(layer)
    assert len(pickle.dumps(layer)) < 2 * SIZE
    del layer
    gc.collect()
    assert packs[0]() is None
    assert len(default._known) == 0
    use(twin)
    assert len(packs) == 2


def test_a_limit_of_ones_own(layer, packs):
    for limit, count in ((SIZE - 1, 0), (SIZE, 1)):
        packed = pickle.loads(pickle.dumps(PackedWeights(limit)))
        with packed:
            use(layer)
        assert len(packs) == count
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match=r"expects a number of bytes as its limit, 0 or more, or None; got"):
            PackedWeights(wrong)
        with pytest.raises(ValueError, match="use_packed_weights expects"):
            use_packed_weights(wrong)


def test_several_weights_with_one_input(packs):
    layers = [nn.Linear(64, width) for width in (64, 64, 32)]
    weights, x = [layer.weight for layer in layers], torch.randn(5, 64)
    with torch.no_grad():
        assert [packed_weight(x, *weights) for _ in range(2)] == [None, None]
        for number in (1, 2):
            packed = packed_weight(x, *weights)
            assert (packed.shape, len(packs)) == ((160, 64), number)
            found = products._onednn(x, packed, torch.cat([layer.bias for layer in layers]))
            torch.testing.assert_close(found, torch.cat([layer(x) for layer in layers], -1), rtol=1e-5, atol=1e-5)
            weights[2].data.mul_(-1)
            assert [packed_weight(x, *weights) for _ in range(2)] == [None, None]


def test_threads_of_which_one_trains(packs):
    served, trained = nn.Linear(64, 64), nn.Linear(64, 64)
    optimizer = torch.optim.AdamW(trained.parameters(), 0.1, fused=True)

    def train():
        for _ in range(20):
            linear(trained, torch.randn(5, 64)).pow(2).sum().backward()
            optimizer.step()
            use(trained, 4)

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(train), *(pool.submit(use, served, 200) for _ in range(2))]:
            future.result()
    use(served)
    assert packs[-1]() is not None


def test_no_thread_waits_for_one_that_packs(layer, packs, default):
    with default._lock:  # nor a process that was forked then
        use(layer, 4)
    assert packs == []
    use(layer, 1)
    assert len(packs) == 1


def test_the_environment(monkeypatch):
    memory = 2**31
    monkeypatch.setattr(packing, "_machine_memory", lambda: memory)
    assert packing._default_limit() == memory // 4
    monkeypatch.setenv("LXMERT_PACKED_WEIGHTS", "0")
    assert packing._default_limit() == 0
    monkeypatch.setenv("LXMERT_PACKED_WEIGHTS", "1 GB")
    with pytest.raises(ValueError, match=r"LXMERT_PACKED_WEIGHTS must be a number of bytes.*got '1 GB'"):
        packing._default_limit()
    monkeypatch.undo()
    assert packing._machine_memory() > 2**27
