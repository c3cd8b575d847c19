"""The small model's inputs as PyTorch tensors."""

from typing import Any

import numpy as np
import torch

from tests.small_lxmert import answer_indices, small_inputs, small_labels, truths


def tensors(tree: Any) -> Any:
    """The same with every array a tensor."""
    if isinstance(tree, dict):
        return {name: tensors(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(tensors(value) for value in tree)
    return torch.from_numpy(tree.copy()) if isinstance(tree, np.ndarray) else tree


def inputs(*sizes: int, architecture: str = "LxmertModel") -> dict[str, torch.Tensor]:
    """Every input of a model class by name."""
    return tensors(small_inputs(*sizes, name=architecture))


def labels_of(architecture: str, *sizes: int) -> dict[str, Any]:
    """Every label that a model class knows."""
    if architecture == "LxmertModel":
        return {}
    if architecture == "LxmertForPreTraining":
        return tensors(small_labels(*sizes))
    if architecture == "LxmertForVisualReasoning":
        return {"labels": torch.from_numpy(truths(*sizes[:1]))}
    return {"labels": torch.from_numpy(answer_indices(*sizes[:1]))}


def flat(tree: Any) -> list[torch.Tensor]:
    """The tensors of an output, tuples opened."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [tensor for part in tree for tensor in flat(part)]
