"""Running a model on NumPy arrays, for callers that serve both backends."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lxmert.pt.pretrained import PreTrainedModel


def run_arrays(model: PreTrainedModel, inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Run a model in evaluation, without gradients.

    Args:
        model: any model of this package; afterwards it is in the mode that it was in.
        inputs: NumPy arrays by argument name. Floating-point ones take the model's dtype.
        options: further arguments, such as `output_attentions`.

    Returns:
        The outputs by name, as arrays or tuples of arrays.
    """
    parameter = next(model.parameters())

    def tensor(array: np.ndarray) -> Tensor:
        values = torch.as_tensor(np.asarray(array), device=parameter.device)
        return values.to(parameter.dtype) if values.is_floating_point() else values

    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            outputs = model(**{name: tensor(array) for name, array in inputs.items()}, **options)
    finally:
        model.train(training)
    return {name: _array(value) for name, value in outputs.items()}


def _array(value: Any) -> Any:
    """A tensor, or a tuple of them, in NumPy; bfloat16, which NumPy has not, as float32."""
    if isinstance(value, tuple):
        return tuple(_array(part) for part in value)
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()
