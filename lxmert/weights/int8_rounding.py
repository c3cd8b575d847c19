"""Matrices rounded to int8 in NumPy, as `model.quantize("int8")` rounds them, for files that no framework writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from lxmert.utils.messages import first_few

from .checkpoint import Checkpoint, CheckpointMismatchError
from .formats.int8_file import INT8, SCALE
from .formats.safetensors import NamedArray
from .loading import Found
from .naming.key_mapping import Parameter, published
from .naming.quantized import is_quantized
from .save_folder import LazyTensor

_LARGEST, _SMALLEST = 127, 1e-30  # as in lxmert/pt/cpu_kernels/int8.py
_FLOAT32 = np.dtype("float32")


def round_rows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [out, in] -> [out, in] int8, [out, 1]
    """A matrix as integers and a scale of each row, with values ≈ integers · scale."""
    wide = values if values.dtype == np.float64 else values.astype(_FLOAT32)
    number = wide.dtype.type
    scale = np.maximum(np.abs(wide).max(-1, keepdims=True) * number(1 / _LARGEST), number(_SMALLEST))
    return np.rint(wide * (1 / scale)).astype(INT8), scale.astype(_FLOAT32)


def int8_parameters(file: Checkpoint, found: Found) -> list[Parameter]:
    """The parameters that a model gets in int8, of those that a file gives it.

    Raises:
        CheckpointMismatchError: the file has some layers in int8, and others not, and nothing says which it should be.
    """
    matrices = [p for p in found.parameters if p.leaf.torch == "weight" and is_quantized(p.module)]
    stored = [p for p in matrices if file.is_int8(p)]
    if found.quantize is None and 0 < len(stored) < len(matrices):
        raise CheckpointMismatchError(
            f'{file.file.path} has {len(stored)} of {len(matrices)} layers in int8: pass quantize="int8" to round '
            "the others too, or quantize=False to load all as floating-point numbers."
        )
    return matrices if found.quantize else stored if found.quantize is None else []


def read_int8(checkpoint: Checkpoint, parameter: Parameter) -> tuple[np.ndarray, np.ndarray]:  # -> [out, in], [out]
    """A matrix as integers and scales, rounded unless the file has it so.

    Raises:
        ValueError: it holds NaN or infinite numbers.
    """
    stored = checkpoint.is_int8(parameter)
    rows, scale = checkpoint.read_int8(parameter) if stored else _rounded(checkpoint, parameter)
    return rows, scale.reshape(-1)


Int8 = Callable[[], tuple[np.ndarray, np.ndarray]]
"""A function that returns the integers and the scales of a matrix."""


def int8_tensors(
    checkpoint: Checkpoint, items: Sequence[LazyTensor], nested: bool, round_others: bool
) -> tuple[list[LazyTensor], list[NamedArray]]:
    """What a file gets whose matrices are int8: its parameters, and the scales under their names in the file.

    Args:
        checkpoint: what is written.
        items: all of it, as floating-point numbers.
        nested: whether the backbone is inside of a task model.
        round_others: whether the matrices that a quantized model has in int8 are rounded where the checkpoint has them
            as floating-point numbers.
    """
    mapping = published(checkpoint.config.model_type)
    tensors: list[LazyTensor] = []
    scales: list[NamedArray] = []
    for item in items:
        p = item.parameter
        get = _int8(checkpoint, p, round_others)
        tensors.append(item if get is None else LazyTensor(p, INT8, partial(_rows, get)))
        if get is not None:
            scales.append((mapping.key(p, nested) + SCALE, _FLOAT32, (p.shape[0], 1), partial(_scales, get)))
    return tensors, scales


def _int8(checkpoint: Checkpoint, p: Parameter, round_others: bool) -> Int8 | None:
    """The integers and scales of a parameter that is to be int8; None for another."""
    if p.leaf.torch != "weight" or not is_quantized(p.module):
        return None
    if checkpoint.is_int8(p):
        return partial(checkpoint.read_int8, p)
    return partial(_rounded, checkpoint, p) if round_others else None


def _rounded(checkpoint: Checkpoint, p: Parameter) -> tuple[np.ndarray, np.ndarray]:
    values = checkpoint.view(p)
    if not np.isfinite(values).all():
        name = first_few([checkpoint.stored_name(p)])
        raise ValueError(f"{checkpoint.file.path}: {name} holds NaN or infinite numbers, which int8 does not have.")
    return round_rows(values)


def _rows(get: Int8) -> np.ndarray:
    return get()[0]


def _scales(get: Int8) -> np.ndarray:
    return get()[1].reshape(-1, 1)
