"""Networks of detectors in Keras: loaded, in a dtype and on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from lxmert import tf as models
from lxmert.utils.setting_names import setting

from .devices import own_gpu


def find_device(name: str | None) -> str:
    """The device of a name: "cpu", "cuda" or "cuda:1"; by default a GPU where there is one.

    Several processes (torchrun) have one GPU each.

    Raises:
        ValueError: TensorFlow has no such device.
    """
    devices = [device.name for device in tf.config.list_logical_devices()]
    gpus = sum("GPU" in device for device in devices)
    kind, _, number = (("cuda" if gpus else "cpu") if name is None else name).lower().partition(":")
    own = own_gpu(gpus) if gpus and kind in ("cuda", "gpu") else 0
    wanted = f"/device:{'GPU' if kind == 'cuda' else kind.upper()}:{number or own}"
    if wanted not in devices:
        there = [device.removeprefix("/device:").lower().replace("gpu", "cuda") for device in devices]
        raise ValueError(f"{setting('device')} must be one that TensorFlow has here, {', '.join(there)}; got {name!r}.")
    return wanted


def load_network(architecture: str, path: Path, precision: str, device: str) -> Any:
    """Load a network for evaluation.

    Args:
        architecture: the name of its class, without the prefix TF.
        path: of its weights.
        precision: its dtype; where the network can choose, that of the convolutions.
        device: of `find_device`.
    """
    kind = getattr(models, f"TF{architecture}")
    chooses = precision == "bfloat16" and hasattr(kind, "precision")
    with tf.device(device):
        network = kind.from_pretrained(path, dtype="float32" if chooses else precision)
    if chooses:
        network.precision = precision
    return network


def not_finite(network: Any) -> list[str]:
    """The names of weights with values that are NaN or infinite."""
    return [weight.path for weight in network.weights if not bool(tf.reduce_all(tf.math.is_finite(weight.value)))]


def computing_on(device: str) -> AbstractContextManager[Any]:
    """The context in which a network computes."""
    return tf.device(device)
