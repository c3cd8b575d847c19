"""The devices of a run: a strategy of `tf.distribute`, in one process or in several."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorflow as tf

from lxmert.training.processes import rank_of_worker, workers

STRATEGIES = ("auto", "single", "mirrored", "multi-worker")


def make_strategy(name: str, device: str) -> Any:
    """Make the strategy that splits a batch over all devices of a kind, with a copy of the model on each.

    Args:
        name: "single"; "mirrored", all devices of this machine; "multi-worker", those of all machines in the
            environment variable TF_CONFIG; or "auto": "multi-worker" if TF_CONFIG names several processes, else all
            GPUs or one CPU.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: a strategy of PyTorch, no TF_CONFIG for "multi-worker", or no GPU for "cuda".
    """
    if name not in STRATEGIES:
        raise ValueError(
            f'strategy {name!r} is PyTorch\'s; with Keras it is "auto", "single", "mirrored" or "multi-worker".'
        )
    if name == "multi-worker" and not workers():
        raise ValueError(
            "strategy 'multi-worker' needs the environment variable TF_CONFIG in every process, such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        )
    if name == "multi-worker" or (name == "auto" and len(workers()) > 1):
        return _multi_worker(device)
    gpus = [] if device == "cpu" else tf.config.list_logical_devices("GPU")
    if device == "cuda" and not gpus:
        raise ValueError("device is 'cuda', and TensorFlow finds no GPU. Use device 'cpu'.")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return _mirrored(tuple(found.name for found in devices))
    return tf.distribute.OneDeviceStrategy(devices[0].name) if device == "cpu" else tf.distribute.get_strategy()


@cache
def _multi_worker(device: str) -> Any:
    """Make the strategy of several machines, before TensorFlow has run anything: it cannot be made later."""
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not gpus:
        raise ValueError("device is 'cuda', and TensorFlow finds no GPU. Use device 'cpu'.")
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")
    return tf.distribute.MultiWorkerMirroredStrategy()


def place_of_process(strategy: Any) -> tuple[int, int]:
    """Which process this is, and how many train together."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return (rank_of_worker(), len(workers())) if several else (0, 1)


@cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """Make one strategy for all models of a process.

    A second one would reuse the communication keys of the first, and TensorFlow would mix up their tensors.
    """
    return tf.distribute.MirroredStrategy(list(devices))
