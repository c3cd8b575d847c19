"""Networks of detectors in PyTorch: loaded, in a dtype and on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from lxmert import pt
from lxmert.utils.setting_names import setting

from .devices import own_gpu


def find_device(name: str | None) -> str:
    """The device of a name: "cpu", "cuda" or "cuda:1"; by default a GPU where there is one.

    Several processes (torchrun) have one GPU each.

    Raises:
        ValueError: PyTorch has no such device.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.device_count():
        return f"cuda:{own_gpu(torch.cuda.device_count())}"
    try:
        torch.empty(0, device=name).cpu()  # from "meta" nothing can be read
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch without CUDA
        raise ValueError(f"{setting('device')} must be one that PyTorch has here; got {name!r} ({error}).") from None
    return name


def load_network(architecture: str, path: Path, precision: str, device: str) -> Any:
    """Load a network for evaluation.

    Args:
        architecture: the name of its class.
        path: of its weights.
        precision: its dtype; where the network can choose, that of the convolutions.
        device: of `find_device`.
    """
    kind = getattr(pt, architecture)
    chooses = precision == "bfloat16" and hasattr(kind, "precision")
    network = kind.from_pretrained(path, dtype="float32" if chooses else precision).to(device).eval()
    if chooses:
        network.precision = precision
    return network


def not_finite(network: Any) -> list[str]:
    """The names of weights with values that are NaN or infinite."""
    return [name for name, values in network.state_dict().items() if not bool(values.isfinite().all())]


def computing_on(device: str) -> AbstractContextManager[Any]:
    """The context in which a network computes: tensors follow its weights."""
    return nullcontext()
