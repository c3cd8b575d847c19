"""The devices of a run: a strategy of `tf.distribute`."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorflow as tf


def make_strategy(name: str, device: str) -> Any:
    """Make the strategy that splits a batch over all devices of a kind, with a copy of the model on each.

    Args:
        name: "auto" (all GPUs, or one CPU), "single", or "mirrored".
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: a strategy of PyTorch, or no GPU for "cuda".
    """
    if name in ("ddp", "fsdp"):
        raise ValueError(f'strategy {name!r} is PyTorch\'s; with Keras it is "auto", "single" or "mirrored".')
    gpus = [] if device == "cpu" else tf.config.list_logical_devices("GPU")
    if device == "cuda" and not gpus:
        raise ValueError("device is 'cuda', and TensorFlow finds no GPU. Use device 'cpu'.")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return _mirrored(tuple(found.name for found in devices))
    return tf.distribute.OneDeviceStrategy(devices[0].name) if device == "cpu" else tf.distribute.get_strategy()


@cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """Make one strategy for all models of a process.

    A second one would reuse the communication keys of the first, and TensorFlow would mix up their tensors.
    """
    return tf.distribute.MirroredStrategy(list(devices))
