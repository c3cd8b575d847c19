"""Running a model on NumPy arrays, for callers that serve both backends."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.tf.pretrained import PreTrainedModel


def run_arrays(model: PreTrainedModel, inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Run a model in evaluation, without gradients.

    Args:
        model: any model of this package.
        inputs: NumPy arrays by argument name. Floating-point ones take the model's dtype.
        options: further arguments, such as `output_attentions`.

    Returns:
        The outputs by name, as arrays or tuples of arrays.
    """

    def tensor(array: np.ndarray) -> Any:
        values = np.asarray(array)
        return ops.convert_to_tensor(values, dtype=model.variable_dtype if values.dtype.kind == "f" else None)

    outputs = model({name: tensor(array) for name, array in inputs.items()}, training=False, **options)
    return {name: _array(value) for name, value in outputs.items()}


def _array(value: Any) -> Any:
    """A tensor, or a tuple of them, in NumPy; bfloat16, which NumPy has not, as float32."""
    if isinstance(value, tuple):
        return tuple(_array(part) for part in value)
    if keras.backend.standardize_dtype(value.dtype) == "bfloat16":
        value = ops.cast(value, "float32")
    return ops.convert_to_numpy(value)
