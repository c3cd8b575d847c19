"""Make a model without initializing weights that will be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def skip_init() -> Iterator[None]:
    """Make models on the meta device in this block, without initialization.

    Initialization does nothing on the meta device, but the first random function imports PyTorch's compiler: 2 seconds.
    """
    with torch.device("meta"), _SkipInit():
        yield


class _SkipInit(TorchFunctionMode):
    """Skips the functions of `torch.nn.init`."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))
