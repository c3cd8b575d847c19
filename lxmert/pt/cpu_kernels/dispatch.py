"""Does anyone wait for a layer to be called, or for PyTorch's own operators? Then they are called."""

import torch
import torch.nn.functional as F
from torch import nn


def has_hooks(layer: nn.Module) -> bool:
    """Whether someone waits for the layer to be called: by hooks, or by a `forward` in place of its own, as tools have
    it that bring weights from elsewhere.
    """
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or "forward" in layer.__dict__
        or type(layer).forward is not _FORWARDS.get(type(layer))
        or any(_GLOBAL_HOOKS)
    )


def is_tracing() -> bool:
    """Whether what is computed is also written down or turned into something else, and must be PyTorch's own operators.

    So it is while a graph is compiled, exported or traced, in transforms of functions (`torch.func`) and forward-mode
    gradients, and under modes that look at operators, such as those that count the work.
    """
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or F.linear is not _LINEAR  # replaced, as profilers do it
    )


_FORWARDS = {nn.Linear: nn.Linear.forward, nn.Dropout: nn.Dropout.forward}  # as PyTorch has them
_LINEAR = F.linear
_GLOBAL_HOOKS = (
    torch.nn.modules.module._global_forward_hooks,
    torch.nn.modules.module._global_forward_pre_hooks,
    torch.nn.modules.module._global_backward_hooks,
    torch.nn.modules.module._global_backward_pre_hooks,
)
