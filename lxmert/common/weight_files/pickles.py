"""Weights that PyTorch pickled (.bin, .pth, .th, .pt), read by `torch.load(weights_only=True)` and in no other way.

A pickle is a program. PyTorch's own reader for weights runs only a few of its words; before it sees the file, the
program is looked through here without running it: for words that no file of weights has, and for numbers that are
larger than the file, which can only be claims of sizes that nothing stands behind.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from lxmert.common.files import config_beside

from .raw_arrays import BFLOAT16, is_float

# What `torch.save` of a state dict names, in any version.
_STORAGES = dict(Double=8, Float=4, Half=2, BFloat16=2, Long=8, Int=4, Short=2, Char=1, Byte=1, Bool=1)  # bytes each
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
_LARGEST_ANYWHERE = 2**16  # a number that even the smallest file may speak of: a version, an epoch
_MOST_WORDS = 1_000_000
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
        zipped = is_zip(path)
        self.title = "PyTorch pickle" if zipped else "PyTorch pickle of the old format"
        _look_through(path, zipped)
        self._tensors = _load(path, zipped)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        self.dtypes = {name: _dtype(path, name, tensor) for name, tensor in self._tensors.items()}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config.json beside the file, None without one."""
        return config_beside(self.path)

    def read(self, name: str, mapped: bool = False) -> np.ndarray:
        """One array, whole; see `WeightFile.read`."""
        import torch

        tensor = self._tensors[name].detach().clone(memory_format=torch.contiguous_format)  # off the map of the file
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(BFLOAT16)
        return tensor.numpy()

    def close(self) -> None:
        """Let the file go."""
        self._tensors = {}


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive, as far as its end tells."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one in parts
        return False


def is_torch_archive(path: Path) -> bool:
    """Whether a zip archive is one of `torch.save`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith("data.pkl") for name in archive.namelist())
    except (*_DAMAGE, ValueError):
        return False


# What zipfile says of damage; unknown versions and ciphers are RuntimeErrors.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, OverflowError, RuntimeError)


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
    # A tensor may be there under two names (the word head's decoder is the word embedding), but not all of them often.
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


def _look_through(path: Path, zipped: bool) -> None:
    """Refuse a pickle that does or claims what no file of weights does, without running it.

    Raises:
        ValueError: naming what was found.
    """
    try:
        if zipped:
            _look_through_archive(path)
        else:
            _look_through_old_format(path)
    except (*_DAMAGE, EOFError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a whole file of torch.save: {error}") from None


def _look_through_archive(path: Path) -> None:
    whole = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed or sum(member.file_size for member in members) > whole:
            raise ValueError(f"{path} is packed or claims more than its {whole} bytes; torch.save does neither.")
        # PyTorch does not tell apart large and small letters in names.
        names = [member.filename.replace("\\", "/").split("/")[-1].lower() for member in members]
        programs = [member for member, name in zip(members, names, strict=True) if name == "data.pkl"]
        if len(programs) != 1 or programs[0].file_size > _LARGEST_PROGRAM:
            raise ValueError(f"{path} has {len(programs)} descriptions of its tensors, or one beyond any model.")
        if "constants.pkl" in names:
            raise ValueError(
                f"{path} holds a whole program (TorchScript), which is not run. Where it comes from, save the weights "
                "alone: torch.save(model.state_dict(), path)."
            )
        with archive.open(programs[0]) as file:
            deque(_words(path, _Bounded(file, programs[0].file_size), whole), maxlen=0)


def _look_through_old_format(path: Path) -> None:
    """Refuse a file of the old format that names numbers which it does not hold: they would be what memory held."""
    whole = path.stat().st_size
    with path.open("rb") as file:
        bounded = _Bounded(file, whole)
        for _ in range(3):  # a number, a version, the machine
            deque(_words(path, bounded, whole), maxlen=0)
        named = _named_storages(path, _words(path, bounded, whole))
        held = {argument for _, argument in _words(path, bounded, whole) if isinstance(argument, str)}
    if sum(named.values()) > whole or min(named.values(), default=0) < 0:
        raise ValueError(f"{path}: its tensors claim to be {sum(named.values())} bytes, more than the file's {whole}.")
    if set(named) != held:
        raise ValueError(f"{path} does not hold the numbers of all the tensors that it names, or others.")


def _named_storages(path: Path, words: Iterable[tuple[str, Any]]) -> dict[str, int]:
    """How many bytes a program of the old format wants of each of the pieces that hold its tensors' numbers.

    Every mention of a piece is the same sequence of words, so nothing has to be run: a mark, "storage", the kind of
    numbers, the name of the piece, "cpu", how many numbers, None, and what makes a tuple of them.
    """
    found: dict[str, int] = {}
    other = ("", None)
    memo: dict[Any, tuple[str, Any]] = {}
    last: deque[tuple[str, Any]] = deque([other] * 8, maxlen=8)
    for word, argument in words:
        if word in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = last[-1]
            continue
        if word == "BINPERSID":
            kinds, values = zip(*last, strict=True)
            storage = str(values[2]).removeprefix("torch ").removesuffix("Storage")
            if kinds != ("MARK", "text", "GLOBAL", "text", "text", "number", "NONE", "TUPLE") or (
                values[1] != "storage" or storage not in _STORAGES
            ):
                raise ValueError(f"{path} names the numbers of its tensors in another way than torch.save does.")
            found.setdefault(values[3], values[5] * _STORAGES[storage])
        if word.endswith("GET"):
            seen = memo.get(argument, other)
            last.append(seen if seen[0] in ("text", "GLOBAL") else other)
        elif isinstance(argument, str) and word != "GLOBAL":
            last.append(("text", argument))
        elif isinstance(argument, int):
            last.append(("number", argument))
        else:
            last.append((word, argument))
    return found


class _Bounded:
    """A file as pickletools reads it, which asks for as many bytes as a program says: never more than there are."""

    def __init__(self, file: IO[bytes], size: int):
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        return self._taken(self._file.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left))

    def _taken(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content


def _words(path: Path, file: _Bounded, whole: int) -> Iterator[tuple[str, Any]]:
    """The words of one program with their arguments, each looked at; the program is not run."""
    largest = max(whole, _LARGEST_ANYWHERE)
    try:
        for count, (word, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
            if word.name in _REFUSED or (word.name == "GLOBAL" and argument not in _NAMED):
                what = argument if word.name == "GLOBAL" else word.name
                raise _Refused(
                    f"{path} holds more than tensors by name ({str(what)[:80]!r}), which is not run. Where it comes "
                    "from, save the weights alone: torch.save(model.state_dict(), path)."
                )
            if isinstance(argument, int) and abs(argument) > largest and argument != _MAGIC:
                raise _Refused(f"{path} speaks of {argument} of something, which is more than its {whole} bytes.")
            if count > _MOST_WORDS:
                raise _Refused(f"{path} describes its tensors at more length than any model needs.")
            yield word.name, argument
    except _Refused:
        raise
    except ValueError as error:  # what pickletools says of damage
        raise ValueError(f"{path} is not a whole file of torch.save: {error}") from None


class _Refused(ValueError):
    """A pickle that is whole, and not wanted."""
