"""Graphs for inference that keep the kernels of linear layers packed in oneDNN's memory format.

oneDNN reorders a plain kernel for every product. For a single question that is a fifth of the time in float32, and a
third in bfloat16.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ._compat import PUBLIC_ONLY, packed_product, packed_sums


class PackedGraph:
    """A function of tensors, traced once for all sizes, in whose graph the kernels of linear layers are packed.

    The first call packs, and a call after a kernel has changed traces and packs again. Several threads may call it at
    once. The packed copies are freed with this object.

    Args:
        function: takes one dict of tensors, and returns tensors in tuples or dicts. No gradients go through it.
        limit: the most bytes of packed copies; what does not fit stays as it is. None for no limit.
    """

    def __init__(self, function: Callable[[dict[str, Any]], Any], limit: int | None = 2**30):
        self._function, self._limit = function, limit
        self._lock = Lock()
        self._traced: _Traced | None = None

    @property
    def size(self) -> int:
        """The bytes of the packed copies."""
        traced = self._traced
        return 0 if traced is None else traced.size

    def __call__(self, inputs: dict[str, Any]) -> Any:
        """Run the graph."""
        with self._lock:
            if self._traced is None or self._traced.is_stale():
                self._traced = None  # its copies are freed before there are new ones
                self._traced = _Traced(self._function, inputs, self._limit)
            graph = self._traced.graph
        return graph(inputs)


class _Traced:
    """A graph, and the values of its packed kernels."""

    def __init__(self, function: Callable[[dict[str, Any]], Any], inputs: dict[str, Any], limit: int | None):
        packing = Packing(limit)

        def packed(inputs: dict[str, Any]) -> Any:
            before = _IN_USE.set(packing)
            try:
                return function(inputs)
            finally:
                _IN_USE.reset(before)

        # Features and boxes keep the size of their last axis, which layers need.
        specs = {
            name: tf.TensorSpec(
                [None] * len(x.shape) if x.dtype.is_integer else [None] * (len(x.shape) - 1) + [x.shape[-1]], x.dtype
            )
            for name, x in inputs.items()
        }
        self.graph = tf.function(packed, input_signature=[specs], autograph=False)
        self.graph.get_concrete_function()
        self.size, kernels = packing.size, packing.kernels
        read = tf.function(lambda: [kernel.value.read_value() for kernel in kernels], autograph=False)
        self._read = read.get_concrete_function()
        # As long as these tensors live, TensorFlow changes a variable by giving it other memory.
        self._values = self._read()
        self._addresses = _addresses(self._values)

    def is_stale(self) -> bool:
        """Whether a packed kernel has changed."""
        return _addresses(self._read()) != self._addresses


def _addresses(values: list[tf.Tensor]) -> list[int]:
    return [np.asarray(value).__array_interface__["data"][0] for value in values]


class Packing:
    """The kernels that a graph packs.

    Args:
        limit: the most bytes of packed copies; None for no limit.
    """

    def __init__(self, limit: int | None):
        self.limit, self.size = limit, 0
        self.kernels: list[keras.Variable] = []

    def take(self, kernel: keras.Variable) -> bool:
        """Count a kernel, if its copy fits. A kernel that is used twice has two copies."""
        size = int(np.prod(kernel.shape)) * tf.as_dtype(kernel.dtype).size
        if self.limit is not None and self.size + size > self.limit:
            return False
        self.size += size
        self.kernels.append(kernel)
        return True


def packed_linear(layer: keras.layers.Dense, x: Any, gelu: bool = False) -> Any:  # [B, in] -> [B, out] or None
    """The output of a linear layer, or GELU of it, by its packed kernel; None outside of a `PackedGraph`.

    Also None where the copy does not fit, and for a layer whose kernel is no variable of the dtype of its output: it is
    quantized, has an adapter, or computes in mixed precision.
    """
    packing = _IN_USE.get()
    if packing is None or len(x.shape) != 2 or layer.quantization_mode is not None or layer.lora_enabled:
        return None
    kernel, bias, dtype = layer.kernel, layer.bias, keras.backend.standardize_dtype(x.dtype)
    if bias is None or {kernel.dtype, bias.dtype, layer.compute_dtype} != {dtype}:
        return None
    if not can_pack(dtype) or not packing.take(kernel):
        return None
    return packed_product(x, tf.convert_to_tensor(kernel.value), tf.convert_to_tensor(bias.value), gelu)


def packed_int8_product(kernel: keras.Variable, x: Any) -> Any:  # [B, in] int8 -> [B, out] float32 or None
    """The sums x · kernel of integers by an int8 kernel that is packed; None where `packed_linear` is None."""
    packing = _IN_USE.get()
    if packing is None or not can_pack("int8") or not packing.take(kernel):
        return None
    return packed_sums(x, tf.convert_to_tensor(kernel.value))


@functools.cache
def can_pack(dtype: str) -> bool:
    """Whether this build of TensorFlow has the packed product for CPUs, and it computes what the plain one does."""
    if PUBLIC_ONLY or dtype not in ("float32", "bfloat16", "int8") or tf.config.list_logical_devices("GPU"):
        return False
    with tf.init_scope():
        if dtype == "int8":
            return _sums_are_exact()
        x, kernel, bias = (tf.random.stateless_normal(shape, (0, 1)) for shape in ((3, 64), (64, 32), (32,)))
        x, kernel, bias = (tf.cast(each, dtype) for each in (x, kernel / 8, bias))
        plain = tf.cast(tf.matmul(x, kernel) + bias, "float32")
        try:
            packed = tf.function(lambda: [packed_product(x, kernel, bias, gelu) for gelu in (False, True)])()
        except Exception:  # a build without the operator, or with another signature
            return False
        tolerance = 1e-4 if dtype == "float32" else 0.05
        apart = [tf.cast(packed[0], "float32") - plain, tf.cast(packed[1], "float32") - tf.nn.gelu(plain)]
        return bool(tf.reduce_max(tf.abs(apart)) < tolerance)


def _sums_are_exact() -> bool:
    """Whether the packed product of int8 numbers is that of the integers."""
    x, kernel = (np.arange(n * 3000).reshape(n, -1) ** 2 % 255 - 127 for n in (5, 40))
    x[0], kernel[0], x[1], kernel[1] = 127, 127, -127, -127  # the largest sums that there are
    # In float32, as the operator returns them.
    expected = (x @ kernel.T).astype(np.float32)
    rows, columns = tf.constant(x, tf.int8), tf.constant(kernel.T, tf.int8)
    try:
        return np.array_equal(tf.function(lambda: packed_sums(rows, columns))(), expected)
    except Exception:  # a build without the operator, or with another signature
        return False


_IN_USE: ContextVar[Packing | None] = ContextVar("packing", default=None)
