"""Weights that PyTorch pickled (.bin, .pth, .th, .pt), read without PyTorch and without running the pickle.

The pickle says where the numbers of each tensor lie in the file; see `torch_program`. They are read at their places.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import shown
from lxmert.utils.zip_files import ZIP_START, ZipArchive

from .base import read_folder_config
from .raw_io import contiguous
from .torch_program import DAMAGED, Storage, Tensor, TorchProgram

# The protocol, perhaps the length of what follows, and a number of ten bytes.
_OLD_START = re.compile(rb"\x80.(\x95.{8})?\x8a\n", re.DOTALL)
_OLD_VERSION = (0x1950A86A20F9469CFC6C, 1001)  # the first objects of the format before PyTorch 1.6
# Where training scripts keep the weights among other things.
_WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")
_PROGRAM = "data.pkl"  # in an archive: the pickle
_LARGEST_PROGRAM = 16 * 2**20
_MOST_DIMENSIONS, _LARGEST_NUMBER = 32, 2**48  # what every NumPy can address
# The tensors together, of bytes in the file: a tied one has two names, but not every tensor has many. Columns of one
# matrix are apart in the file; each is read with what lies between them.
_MOST_CLAIMED, _MOST_SPANNED = 2, 64

Place = Callable[[Storage], int]  # where the numbers of a storage start in the file


class PickleFile:
    """A file that `torch.save` made of a state dict; its config is the config.json next to it.

    Raises:
        ValueError: a damaged or foreign file, or one with more than named tensors.
    """

    def __init__(self, path: Path):
        self.path = path
        with ExitStack() as opened:
            raw = opened.enter_context(path.open("rb", buffering=0))
            self._bytes = FileBytes(path, file=raw)
            zipped = self._bytes.bytes(0, 4) == ZIP_START
            self.title = "PyTorch pickle" if zipped else "PyTorch pickle of the old format"
            made, place, self._swapped = _archive(path, raw) if zipped else _old_format(path, self._bytes)
            self._tensors = _state_dict(path, made)
            self._spans = _spans(path, self._tensors, self._bytes.size)
            storages = {tensor.storage.key: tensor.storage for tensor in self._tensors.values()}
            self._starts = {key: place(storage) for key, storage in storages.items()}
            self._opened = opened.pop_all()
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        self.dtypes = {name: tensor.storage.dtype for name, tensor in self._tensors.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json next to the file, None without one."""
        return read_folder_config(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """Copy one array; see `WeightFile.read`. It is never a memory map: torch.save overwrites files in place."""
        tensor, dtype = self._tensors[name], self.dtypes[name]
        count = self._spans[name]
        start = self._starts[tensor.storage.key] + (tensor.offset * dtype.itemsize if count else 0)
        span = self._bytes.array(start, dtype, (count,))
        if self._swapped:  # NumPy does not know the bytes of bfloat16
            span = span.view(f"u{dtype.itemsize}").byteswap().view(dtype)
        # The stride of a dimension of one row says nothing.
        strides = [n * dtype.itemsize * (size > 1) for size, n in zip(tensor.shape, tensor.strides, strict=True)]
        values: np.ndarray = np.ndarray(tensor.shape, dtype, span.view(np.uint8).data, 0, strides)
        return contiguous(values) if values.ndim else values

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def is_old_torch(start: bytes) -> bool:
    """Whether a file starts as one of `torch.save` before PyTorch 1.6: with a number of ten bytes."""
    return _OLD_START.match(start) is not None


def is_torch_archive(path: Path) -> bool:
    """Whether a ZIP archive is one of `torch.save`."""
    return any(_is_program(name) for name in ZipArchive(path).members)


def _is_program(name: str) -> bool:
    return name.replace("\\", "/").split("/")[-1].lower() == _PROGRAM


def _archive(path: Path, raw: BinaryIO) -> tuple[Any, Place, bool]:
    """What the pickle in an archive makes, where the storages are, and whether their bytes are swapped."""
    archive = ZipArchive(path, raw)
    members = archive.members
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        raise InvalidFileError(f"{path} has compressed members, which torch.save does not write.")
    names = [name for name in members if _is_program(name)]
    if len(names) != 1:
        raise InvalidFileError(f"{path} has {len(names)} descriptions of its tensors.")
    folder = names[0][: -len(_PROGRAM)]
    if folder + "constants.pkl" in members:
        raise InvalidFileError(
            f"{path} holds a whole program (TorchScript), which is not run. Where it comes from, save the weights "
            "alone: torch.save(model.state_dict(), path)."
        )
    order = archive.read(folder + "byteorder", 16) if folder + "byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise InvalidFileError(f"{path} has its numbers in an unknown order of bytes: {shown(order)}.")
    program = archive.read(names[0], _LARGEST_PROGRAM)

    def place(storage: Storage) -> int:
        name = f"{folder}data/{storage.key}"
        held = members[name].file_size if name in members else 0
        if name not in members or held != storage.size:
            raise InvalidFileError(
                f"{path} holds {held} bytes of {shown(storage.key)}, where tensors need {storage.size}."
            )
        return archive.start(name)

    return TorchProgram(str(path), io.BytesIO(program), len(program)).follow(), place, order == b"big"


def _old_format(path: Path, file: FileBytes) -> tuple[Any, Place, bool]:
    """The same of a file before PyTorch 1.6: five pickles and the numbers, always little-endian."""
    programs = io.BytesIO(file.bytes(0, _LARGEST_PROGRAM))
    size = programs.getbuffer().nbytes

    def follow() -> tuple[Any, dict[str, Storage]]:
        program = TorchProgram(str(path), programs, size)
        return program.follow(), program.storages

    for expected in (*_OLD_VERSION, None):  # the third describes the machine, and is not used
        found, _ = follow()
        if expected is not None and (type(found) is not int or found != expected):
            raise InvalidFileError(f"{path} {DAMAGED}: it does not start like one.")
    made, storages = follow()
    keys, _ = follow()
    if not isinstance(keys, list) or any(type(key) is not str for key in keys) or sorted(keys) != sorted(storages):
        raise InvalidFileError(f"{path} does not hold the numbers of all the tensors that it names, or others.")
    starts, at = {}, programs.tell()
    for key in keys:  # how many they are, and they themselves
        starts[key] = at + 8
        if starts[key] + storages[key].size > file.size:
            raise InvalidFileError(f"{path} {DAMAGED}: it ends in the numbers of its tensors.")
        if int.from_bytes(file.bytes(at, 8), "little") != storages[key].count:
            raise InvalidFileError(f"{path} {DAMAGED}: a tensor has more or fewer numbers than its description says.")
        at = starts[key] + storages[key].size
    return made, lambda storage: starts[storage.key], False


def _state_dict(path: Path, made: Any) -> dict[str, Tensor]:
    """The tensors by name, alone or among other things."""
    if not isinstance(made, dict):
        raise InvalidFileError(f"{path} holds a {type(made).__name__}; a state dict was expected: tensors by name.")
    tensors = _tensors_in(made, 2)
    if not tensors:
        raise InvalidFileError(f"{path} holds no tensors by name; a state dict was expected.")
    return tensors


def _tensors_in(made: Any, levels: int) -> dict[str, Tensor]:
    """The first tensors under one of the names for weights, else those of a dictionary itself, such as a loss."""
    if not isinstance(made, dict):
        return {}
    inside = (_tensors_in(made.get(key), levels - 1) for key in _WEIGHTS_KEYS if levels)
    own = {name: value for name, value in made.items() if isinstance(value, Tensor)}
    return next(filter(None, inside), own)


def _spans(path: Path, tensors: dict[str, Tensor], file_size: int) -> dict[str, int]:
    """How many numbers each tensor spans, from its first to its last; an error for those beyond their storages."""
    spans = {}
    claimed = spanned = 0
    for name, tensor in tensors.items():
        sizes, strides, count = tensor.shape, tensor.strides, tensor.storage.count
        numbers = (tensor.offset, *sizes, *strides)
        valid = len(sizes) == len(strides) <= _MOST_DIMENSIONS and all(type(n) is int and n >= 0 for n in numbers)
        valid = valid and max(numbers) < _LARGEST_NUMBER and math.prod(n or 1 for n in sizes) < _LARGEST_NUMBER
        size = math.prod(sizes) if valid else 0
        span = 1 + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True)) if size else 0
        # With strides of 0 one number can be a tensor of any size.
        if not valid or max(size, tensor.offset * (size > 0) + span) > count:
            raise InvalidFileError(
                f"{path}: {shown(name)} claims to be {shown(list(sizes))}, more than the file holds of it."
            )
        spans[name] = span
        claimed, spanned = (
            claimed + size * tensor.storage.dtype.itemsize,
            spanned + span * tensor.storage.dtype.itemsize,
        )
    if claimed > _MOST_CLAIMED * file_size or spanned > _MOST_SPANNED * file_size:
        raise InvalidFileError(
            f"{path}: its {len(tensors)} tensors claim to be more than the file holds, all together."
        )
    return spans
