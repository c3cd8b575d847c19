"""Weights that PyTorch pickled (.bin, .pth, .th, .pt), read by `torch.load(weights_only=True)` and in no other way.

A pickle is a program. PyTorch's own reader for weights runs only a few of its words; before it sees the file, the
program is looked through here without running it: for words that no file of weights has, and for numbers that are
larger than the file, which can only be claims of sizes that nothing stands behind.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from lxmert.common.files import config_beside

from .raw_arrays import BFLOAT16, is_float

# What `torch.save` of a state dict names, in any version.
_STORAGES = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_NAMED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}
# Words of the language that reach what is not named in the text of the program.
_REFUSED = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER")
_MAGIC = 0x1950A86A20F9469CFC6C  # the first object of the format before PyTorch 1.6
_LARGEST_PROGRAM = 16 * 2**20
_MOST_WORDS = 5_000_000
# Under which training scripts keep the weights among other things.
_WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")


class PickleFile:
    """A file that `torch.save` made of a state dict; its config is the config.json beside it.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: a damaged or foreign file, or one that holds more than tensors by name.
    """

    def __init__(self, path: Path):
        self.path = path
        zipped = zipfile.is_zipfile(path)
        self.title = "PyTorch pickle" if zipped else "PyTorch pickle of the old format"
        _look_through(path, zipped)
        self._tensors = _load(path, zipped)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        self.dtypes = {name: _dtype(path, name, tensor) for name, tensor in self._tensors.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json beside the file, None without one."""
        return config_beside(self.path)

    def read(self, name: str) -> np.ndarray:
        """One array, whole. Threads may read at the same time."""
        import torch

        tensor = self._tensors[name].detach().contiguous()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(BFLOAT16)
        return tensor.numpy()

    def close(self) -> None:
        """Let the file go."""
        self._tensors = {}


def is_torch_archive(path: Path) -> bool:
    """Whether a zip archive is one of `torch.save`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name == "data.pkl" or name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _load(path: Path, zipped: bool) -> dict[str, Any]:
    """The tensors by name, in the processor's memory; those of an archive stay on disk until they are read."""
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
    except Exception as error:  # whatever a damaged file makes of it
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is not read by torch.load(weights_only=True): {first}") from None
    for _ in range(2):
        if isinstance(loaded, Mapping) and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
            inner = [loaded[key] for key in _WEIGHTS_KEYS if isinstance(loaded.get(key), Mapping)]
            loaded = inner[0] if inner else loaded
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; a state dict was expected: tensors by name.")
    tensors = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise ValueError(f"{path} holds no tensors by name; a state dict was expected.")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError(f"{path} holds {name} as a {tensor.layout} tensor of {tensor.dtype}; plain ones are read.")
        # One number can stand for a tensor of any size, by steps of 0.
        if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size():
            raise ValueError(f"{path}: {name} claims to be {list(tensor.shape)}, more than the file holds of it.")
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


def _look_through(path: Path, zipped: bool) -> None:
    """Refuse a pickle that does or claims what no file of weights does, without running it.

    Raises:
        ValueError: naming what was found.
    """
    try:
        if zipped:
            _look_through_archive(path)
        else:
            with path.open("rb") as file:
                for _ in range(5):  # a number, a version, the machine, the tensors, the names of what follows
                    _look_through_program(path, file, path.stat().st_size)
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, IndexError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path} is not a whole file of torch.save: {error}") from None


def _look_through_archive(path: Path) -> None:
    whole = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed or sum(member.file_size for member in members) > whole:
            raise ValueError(f"{path} is packed or claims more than its {whole} bytes; torch.save does neither.")
        programs = [member for member in members if member.filename.split("/")[-1] == "data.pkl"]
        if len(programs) != 1 or programs[0].file_size > _LARGEST_PROGRAM:
            raise ValueError(f"{path} has {len(programs)} descriptions of its tensors, or one beyond any model.")
        with archive.open(programs[0]) as file:
            _look_through_program(path, file, whole)


def _look_through_program(path: Path, file: IO[bytes], largest: int) -> None:
    try:
        for count, (word, argument, _) in enumerate(pickletools.genops(file)):
            if word.name in _REFUSED or (word.name == "GLOBAL" and argument not in _NAMED):
                what = argument if word.name == "GLOBAL" else word.name
                raise _Refused(
                    f"{path} holds more than tensors by name ({str(what)[:80]!r}), which is not run. Where it comes "
                    "from, save the weights alone: torch.save(model.state_dict(), path)."
                )
            if isinstance(argument, int) and abs(argument) > largest and argument != _MAGIC:
                raise _Refused(f"{path} speaks of {argument} of something, which is more than its {largest} bytes.")
            if count > _MOST_WORDS:
                raise _Refused(f"{path} describes its tensors at more length than any model needs.")
    except _Refused:
        raise
    except ValueError as error:  # what pickletools says of damage
        raise ValueError(f"{path} is not a whole file of torch.save: {error}") from None


class _Refused(ValueError):
    """A pickle that is whole, and not wanted."""
