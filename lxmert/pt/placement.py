"""Where a loaded model goes: a device, or several devices through accelerate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lxmert.weights.loading import Placement

_AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")


def check_placement(placement: Placement) -> None:
    """Refuse a device map that is none, before anything is loaded.

    Raises:
        ValueError: an unknown device, or a map of another kind.
        ImportError: accelerate is needed, and not installed.
    """
    device_map = placement.device_map
    if device_map is None:
        return
    if _is_for_accelerate(device_map):
        try:
            import accelerate  # noqa: F401
        except ImportError:
            raise ImportError(
                f"device_map={device_map!r} needs accelerate: pip install accelerate. Without it a model goes to one "
                'device: device_map="cuda", or {"": "cuda"}.'
            ) from None
    else:
        _device(device_map)


def place(model: nn.Module, placement: Placement, whole: Sequence[str]) -> None:
    """Put a model on its device, or on several by accelerate's hooks; `whole` names classes that are not divided."""
    device_map = placement.device_map
    if device_map is None:
        return
    if not _is_for_accelerate(device_map):
        model.to(_device(device_map))
        return
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    if isinstance(device_map, str):
        memory = placement.max_memory
        if device_map != "sequential":
            memory = get_balanced_memory(
                model,
                max_memory=memory,
                no_split_module_classes=list(whole),
                low_zero=device_map == "balanced_low_0",
            )
        device_map = infer_auto_device_map(model, max_memory=memory, no_split_module_classes=list(whole))
    dispatch_model(
        model,
        device_map=dict(device_map),
        offload_dir=placement.offload_folder,
        offload_buffers=placement.offload_buffers,
    )


def _is_for_accelerate(device_map: Any) -> bool:
    """Whether a device map names several devices, or leaves the choice to accelerate."""
    if isinstance(device_map, Mapping):
        return set(device_map) != {""} or device_map[""] == "disk"
    return isinstance(device_map, str) and device_map in _AUTOMATIC


def _device(device_map: Any) -> torch.device:
    """The one device of a device map."""
    device = device_map[""] if isinstance(device_map, Mapping) else device_map
    try:
        if isinstance(device, (str, int, torch.device)) and not isinstance(device, bool):
            return torch.device(device)
    except RuntimeError:
        pass
    raise ValueError(
        f"device_map must be a device, such as 'cpu', 'cuda:1' or 0, a map of modules to devices, or one of "
        f"{', '.join(_AUTOMATIC)}; got {device_map!r}."
    )
