"""How a model is made whose weights are about to be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def skip_init() -> Iterator[None]:
    """Make models without memory in this block, and initialize nothing.

    Initialization on the meta device gives no numbers, but the first random one imports PyTorch's compiler: 2 seconds.
    """
    with torch.device("meta"), _SkipInit():
        yield


class _SkipInit(TorchFunctionMode):
    """Leaves out the functions of `torch.nn.init`."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))
