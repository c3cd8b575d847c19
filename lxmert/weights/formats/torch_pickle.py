"""Weights that PyTorch pickled (.bin, .pth, .th, .pt), read only by `torch.load(weights_only=True)`.

A pickle is a program. That reader runs only a few of its opcodes, and `pickle_scan` checks the program before.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import read_folder_config
from .pickle_scan import DAMAGE, check_pickle, is_zip
from .raw_io import BFLOAT16, is_float

# The protocol, perhaps the length of what follows, and a number of ten bytes.
_OLD_START = re.compile(rb"\x80.(\x95.{8})?\x8a\n", re.DOTALL)
# Where training scripts keep the weights among other things.
_WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")


class PickleFile:
    """A file that `torch.save` made of a state dict; its config is the config.json next to it.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: a damaged or foreign file, or one with more than named tensors.
    """

    def __init__(self, path: Path):
        self.path = path
        zipped = is_zip(path)
        self.title = "PyTorch pickle" if zipped else "PyTorch pickle of the old format"
        check_pickle(path, zipped)
        self._tensors = _load(path, zipped)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        self.dtypes = {name: _dtype(path, name, tensor) for name, tensor in self._tensors.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the file, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Read one array; see `WeightFile.read`."""
        import torch

        tensor = self._tensors[name].detach().clone(memory_format=torch.contiguous_format)  # out of the memory map
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(BFLOAT16)
        return tensor.numpy()

    def close(self) -> None:
        """Close the file."""
        self._tensors = {}


def is_old_torch(start: bytes) -> bool:
    """Whether a file starts as one of `torch.save` before PyTorch 1.6: with a number of ten bytes."""
    return _OLD_START.match(start) is not None


def is_torch_archive(path: Path) -> bool:
    """Whether a zip archive is one of `torch.save`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith("data.pkl") for name in archive.namelist())
    except (*DAMAGE, ValueError):
        return False


def _load(path: Path, zipped: bool) -> dict[str, Any]:
    """The tensors by name, on the CPU; those of an archive stay on disk until they are read."""
    try:
        import torch
    except ImportError:
        raise ImportError(
            f"{path} is pickled by PyTorch, which alone reads it safely, and which is not installed. Install it with: "
            'pip install "lxmert[pt]"; or convert the file where PyTorch is: lxmert convert SOURCE FOLDER.'
        ) from None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file causes
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is not read by torch.load(weights_only=True): {first}") from None
    for _ in range(2):
        # The attributes of an OrderedDict may hide its methods.
        loaded = dict(dict.items(loaded)) if isinstance(loaded, dict) else loaded
        if isinstance(loaded, dict) and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
            inner = [loaded[key] for key in _WEIGHTS_KEYS if isinstance(loaded.get(key), Mapping)]
            loaded = inner[0] if inner else loaded
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; a state dict was expected: tensors by name.")
    loaded = dict(dict.items(loaded))
    tensors = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise ValueError(f"{path} holds no tensors by name; a state dict was expected.")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError(f"{path} holds {name} as a {tensor.layout} tensor of {tensor.dtype}; plain ones are read.")
        # With strides of 0 one value can be a tensor of any size.
        if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size():
            raise ValueError(f"{path}: {name} claims to be {list(tensor.shape)}, more than the file holds of it.")
    # A tied tensor has two names, but not every tensor has many.
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > 2 * path.stat().st_size:
        raise ValueError(f"{path}: its {len(tensors)} tensors claim to be more than the file holds, all together.")
    return tensors


def _dtype(path: Path, name: str, tensor: Any) -> np.dtype:
    kind = str(tensor.dtype).removeprefix("torch.")
    try:
        dtype = BFLOAT16 if kind == "bfloat16" else np.dtype(kind)
    except TypeError:
        dtype = None
    if dtype is None or not (is_float(dtype) or dtype.kind in "iub"):
        raise ValueError(f"{path} holds {name} as {kind}; float64, float32, float16 and bfloat16 are read.")
    return dtype
