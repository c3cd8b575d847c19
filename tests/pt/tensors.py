"""NumPy inputs as PyTorch tensors, and the tensors of an output."""

from typing import Any

import numpy as np
import torch


def tensors(tree: Any) -> Any:
    """The same with every array a tensor."""
    if isinstance(tree, dict):
        return {name: tensors(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(tensors(value) for value in tree)
    return torch.from_numpy(tree.copy()) if isinstance(tree, np.ndarray) else tree


def flat(tree: Any) -> list[torch.Tensor]:
    """The tensors of an output, tuples opened."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [tensor for part in (tree.values() if isinstance(tree, dict) else tree) for tensor in flat(part)]
