"""Decide whether the CPU kernels may replace PyTorch's own operators: a switch, a self-test, hooks and tracing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.compiler import is_compiling

from lxmert.pt._compat import forward_ad_is_active, has_active_modes, may_have_hooks, transforms_are_active

Layer = TypeVar("Layer", bound=nn.Module)


class use_cpu_kernels:
    """Switch the CPU kernels of this package on or off, in all threads.

    ::

        lxmert.pt.use_cpu_kernels(False)  # from here on
        with lxmert.pt.use_cpu_kernels(False): ...  # in this block

    They are faster than PyTorch's operators, and round differently. They are on unless the environment has
    LXMERT_CPU_KERNELS=0 or their self-test fails, which runs on first use. Without them a model computes exactly what
    PyTorch's operators compute.
    """

    def __init__(self, on: bool):
        global _is_on
        if not isinstance(on, bool):
            raise TypeError(f"use_cpu_kernels expects True or False; got {on!r}.")
        self._before, _is_on = _is_on, on

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        global _is_on
        _is_on = self._before


def kernels_are_on() -> bool:
    """Whether the kernels are switched on, have passed their self-test, and nothing traces PyTorch's operators."""
    return _is_on and not is_tracing() and (_agreed or _run_self_test())


def self_test(check: Callable[[], bool]) -> Callable[[], bool]:
    """Add a check to the self-test: whether a kernel computes what PyTorch's public operators do, in a few ms."""
    _CHECKS.append(check)
    return check


def _run_self_test() -> bool:
    """Whether all kernels agree with PyTorch's operators; if not, they are switched off, with a warning."""
    global _agreed, _is_on
    with _LOCK, ExitStack() as plainly:
        if _agreed or not _is_on:
            return _is_on
        for context in (torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False)):
            plainly.enter_context(context)
        wrong = [check.__name__ for check in _CHECKS if not _agrees(check)]
        _agreed, _is_on = not wrong, not wrong
    if wrong:
        warnings.warn(
            f"The CPU kernels of lxmert fail {', '.join(wrong)} with PyTorch {torch.__version__} and are switched off. "
            "PyTorch's own operators are used, which are slower. Set LXMERT_CPU_KERNELS=0 to silence this.",
            RuntimeWarning,
            stacklevel=2,
        )
    return not wrong


def _agrees(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:  # an operator with another signature fails too
        return False


def has_hooks(layer: nn.Module) -> bool:
    """Whether a call of the layer does more than its class: it has hooks, or a `forward` that a tool replaced."""
    own = "forward" in layer.__dict__ or type(layer).forward is not _FORWARDS.get(type(layer))
    return own or may_have_hooks(layer)


def known_layer(kind: type[Layer]) -> type[Layer]:
    """Add a class of layers to those whose `forward` is known to `has_hooks`."""
    _FORWARDS[kind] = kind.forward
    return kind


def is_tracing() -> bool:
    """Whether operators are recorded or transformed, so that they must be PyTorch's own.

    This is the case while a graph is compiled, exported or traced, in function transforms (`torch.func`) and
    forward-mode AD, and under dispatch modes, such as FLOP counters.
    """
    return (
        is_compiling()
        or torch.jit.is_tracing()
        or has_active_modes()
        or F.linear is not _LINEAR  # patched, as some profilers do
    )


def is_transformed() -> bool:
    """Whether function transforms or forward-mode AD are active, for which PyTorch's fused attention has no rules."""
    return not is_compiling() and (transforms_are_active() or forward_ad_is_active())


@contextmanager
def constant_weights() -> Iterator[None]:
    """Take the weights of linear layers as constants in this block, in this thread: only inputs get gradients.

    `torch.autograd.grad` leaves out what does not lead to what it was asked for. Functions with gradients of their own,
    as the kernels are, do not know what that is, and would compute those of the weights too.
    """
    token = _constant.set(True)
    try:
        yield
    finally:
        _constant.reset(token)


def weights_are_constant() -> bool:
    """Whether this thread or task is in a block of `constant_weights`."""
    return not is_compiling() and _constant.get()


_FORWARDS: dict[type, object] = {kind: kind.forward for kind in (nn.Linear, nn.Dropout, nn.LayerNorm)}  # PyTorch's
_LINEAR = F.linear
_CHECKS: list[Callable[[], bool]] = []
_LOCK = RLock()
_setting = os.environ.get("LXMERT_CPU_KERNELS", "1")
if _setting not in ("0", "1"):
    raise ValueError(f"the environment variable LXMERT_CPU_KERNELS must be 0 (off) or 1 (on); got {_setting!r}.")
_is_on = _setting == "1"
_constant: ContextVar[bool] = ContextVar("constant_weights", default=False)
_agreed = False  # whether the self-test has passed
