"""Linear layers with int8 weights, for inference: the same numbers as those of PyTorch.

Each row of the input becomes the integers -127 … 127 times a scale of its own, each column of the kernel too. The
product of integers is exact, whoever computes it, and is multiplied by both scales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from lxmert.weights.base_model import StoredModel
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.int8_rounding import int8_parameters, read_int8, round_rows
from lxmert.weights.loading import Found
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.naming.quantized import is_quantized

from ._compat import flatten_layers, replace_layer
from .named_weights import sublayer
from .packing import packed_int8_product

_LARGEST, _SMALLEST = 127, 1e-30  # of the integers, and of the scales
_EXACT = 1024  # the sum of so many products of two such integers is exact in float32


@keras.saving.register_keras_serializable(package="lxmert")
class Int8Linear(keras.layers.Layer):
    """x · (kernel · scale) + bias, with the rows of x rounded to int8 as well.

    `kernel` [in, out] is int8, and `scale` [1, out] float32 in a model of any dtype; `bias` [out] has the model's. None
    of them is trained. The input gets the gradient of the product with the rounded kernel, as if its own rows had not
    been rounded.

    In a `PackedGraph` oneDNN multiplies the integers. Elsewhere float32 products do, which hold them exactly.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        some = dict(initializer="zeros", trainable=False, autocast=False)  # a cast would round the scales
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel", dtype="int8", **some)
        self.bias = self.add_weight((self.units,), name="bias", **some)
        # Not [out]: a dense layer that Keras quantized has its scales there, by which kernels are divided.
        self.scale = self.add_weight((1, self.units), name="scale", dtype="float32", **some)

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # [..., in] -> [..., out]
        """Compute the product in the dtype of the input.

        Raises:
            ValueError: in training.
        """
        if training:
            raise ValueError(
                f"{self.path} is int8, and int8 weights are not trained: load the model by "
                "from_pretrained(..., quantize=False), train it, and quantize it again."
            )
        x = ops.reshape(inputs, (-1, inputs.shape[-1]))
        out = self._product(x)
        return ops.reshape(out, (*ops.shape(inputs)[:-1], self.units))

    def _product(self, x: Any) -> Any:  # [B, in] -> [B, out]
        kernel, scale, bias = map(ops.convert_to_tensor, (self.kernel, self.scale, self.bias))

        @ops.custom_gradient
        def product(x: Any) -> tuple[Any, Any]:
            rows, row_scale = round_input(x)
            sums = packed_int8_product(self.kernel, rows)
            sums = integer_product(rows, kernel) if sums is None else sums
            wide = row_scale.dtype
            out = ops.cast(sums, wide) * ops.cast(scale, wide) * row_scale + ops.cast(bias, wide)

            def gradient(upstream: Any) -> Any:
                rounded = ops.cast(kernel, upstream.dtype) * ops.cast(scale, upstream.dtype)
                return ops.matmul(upstream, ops.transpose(rounded))

            return ops.cast(out, x.dtype), gradient

        return product(x)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of the output."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "units": self.units}


def round_input(x: Any) -> tuple[Any, Any]:  # [B, in] -> [B, in] int8, [B, 1]
    """Rows as integers and scales: x is about integers · scale, in float64 for float64 and else in float32."""
    x = ops.cast(x, "float64" if keras.backend.standardize_dtype(x.dtype) == "float64" else "float32")
    scale = ops.maximum(ops.max(ops.abs(x), axis=-1, keepdims=True) * (1 / _LARGEST), _SMALLEST)
    return ops.cast(ops.round(x * (1 / scale)), "int8"), scale


def integer_product(rows: Any, kernel: Any) -> Any:  # [B, in] int8, [in, out] int8 -> [B, out] int32
    """rows · kernel, exactly, by products of floating-point numbers."""
    sums = None
    for start in range(0, kernel.shape[0], _EXACT):
        part = slice(start, start + _EXACT)
        out = ops.matmul(ops.cast(rows[:, part], "float32"), ops.cast(kernel[part], "float32"))
        sums = ops.cast(out, "int32") if sums is None else sums + ops.cast(out, "int32")
    return sums


class RoundedWeight(NamedTuple):
    """The weight of an `Int8Linear` in PyTorch's layout: integers [out, in], and the scale of each row [out]."""

    rows: np.ndarray
    scale: np.ndarray


def weight_reader(file: Checkpoint, found: Found) -> Callable[[Parameter], np.ndarray | RoundedWeight]:
    """A function that reads a parameter in the form that the model will have it in."""
    rounded = {parameter.name for parameter in int8_parameters(file, found)}

    def read(parameter: Parameter) -> np.ndarray | RoundedWeight:
        if parameter.name in rounded:
            return RoundedWeight(*read_int8(file, parameter))
        return file.read(parameter, keras_layout=True)

    return read


def assign_weights(model: Any, weights: Iterable[tuple[Parameter, np.ndarray | RoundedWeight]]) -> None:
    """Assign weights, in Keras' layout or rounded."""
    for parameter, values in weights:
        if isinstance(values, RoundedWeight):
            assign_int8(model, parameter, values)
        else:
            model._assign_keras_layout(parameter, values)


def assign_int8(model: StoredModel, parameter: Parameter, weight: RoundedWeight) -> None:
    """Give the layer of a parameter this weight; the layer becomes an `Int8Linear`, with the bias that it has."""
    layer, _ = model.locate(parameter)
    if not isinstance(layer, Int8Linear):
        path, _, name = parameter.module.rpartition(".")
        new = Int8Linear(layer.units, dtype=layer.dtype_policy, name=layer.name)
        replace_layer(sublayer(model.base, path), name, new, (None, layer.kernel.shape[0]))
        new.bias.assign(layer.bias)
        layer = new
    layer.kernel.assign(np.ascontiguousarray(weight.rows.T))
    layer.scale.assign(weight.scale.reshape(1, -1))


def quantize_rest(model: StoredModel) -> None:
    """Round the linear layers that a quantized model has in int8 and this one, so far, as floating-point numbers."""
    for parameter in model.table_parameters():
        layer, attribute = model.locate(parameter)
        if attribute == "kernel" and is_quantized(parameter.module) and not isinstance(layer, Int8Linear):
            kernel = ops.convert_to_numpy(layer.kernel)
            assign_int8(model, parameter, RoundedWeight(*round_rows(np.ascontiguousarray(kernel.T))))


def has_int8_layers(model: keras.Model) -> bool:
    """Whether linear layers of a model are in int8: this package's, or those that Keras quantized."""
    return any(isinstance(each, Int8Linear) or each.quantization_mode is not None for each in flatten_layers(model))
