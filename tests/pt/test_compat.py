"""The fallbacks for what PyTorch keeps private: the same results."""

import pytest
import torch
from torch import nn

from lxmert.pt import _compat
from tests.public_only import public_copy


@pytest.fixture
def public(monkeypatch):
    return public_copy("pt", monkeypatch)


def test_this_pytorch_has_every_private_part():
    assert _compat.linear_pointwise is not None
    assert _compat._KNOWS_HOOKS
    assert _compat._KNOWS_MODES
    assert _compat._softmax_backward is not None
    assert not _compat.has_active_modes()
    assert not _compat.may_have_hooks(nn.Linear(2, 3))


def test_what_cannot_be_known_is_taken_for_granted(public):
    assert not public.HAS_ONEDNN
    assert public.has_active_modes()
    assert public.may_have_hooks(nn.Linear(2, 3))
    assert public.onednn_supports(torch.float32)
    assert not public.onednn_supports(torch.bfloat16)
    weight = nn.Parameter(torch.ones(2))
    assert public.version_of(weight) != public.version_of(weight), "as if it had been changed"
    assert _compat.version_of(weight) == _compat.version_of(weight)


def test_the_gradient_of_softmax(public):
    weights, gradient = torch.randn(2, 3, 5).softmax(-1), torch.randn(2, 3, 5)
    torch.testing.assert_close(public.softmax_backward(gradient, weights), _compat.softmax_backward(gradient, weights))


@pytest.mark.parametrize(
    ("operator", "others", "options"),
    [
        ("add_", (0.5,), {}),
        ("mul_", (0.5,), {}),
        ("sqrt", (), {}),
        ("lerp_", ([torch.ones(3), torch.zeros(2)], 0.25), {}),
        ("addcmul_", ([torch.ones(3), torch.ones(2)], [torch.ones(3), torch.ones(2)]), {"value": 2.0}),
        ("addcdiv_", ([torch.ones(3), torch.ones(2)], [torch.ones(3), torch.ones(2)]), {"value": -2.0}),
    ],
)
def test_operators_for_each_tensor(operator, others, options, public):
    given = [torch.rand(3), torch.rand(2)]
    found = []
    for module in (public, _compat):
        tensors = [tensor.clone() for tensor in given]
        results = module.for_each(operator, tensors, *others, **options)
        found.append([*results, *tensors])
    torch.testing.assert_close(*found)
