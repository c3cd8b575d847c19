"""A pickle followed symbolically, with nothing called, before PyTorch's reader sees it.

Refused are opcodes, calls and dictionary keys that no weight file has, and tensors larger than the file.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lxmert.utils.pickle_machine import PICKLE_DAMAGE, WORDS, PickleMachine, opcodes

# The names in a state dict of `torch.save`, in any version.
_STORAGES = dict(Double=8, Float=4, Half=2, BFloat16=2, Long=8, Int=4, Short=2, Char=1, Byte=1, Bool=1)  # bytes each
# The functions that it calls, with the kind of the first argument.
_CALLED = {
    "collections OrderedDict": "",
    "torch._utils _rebuild_tensor": "storage",
    "torch._utils _rebuild_tensor_v2": "storage",
    "torch._utils _rebuild_parameter": "tensor",
}
_NAMED = {*_CALLED, *(f"torch {kind}Storage" for kind in _STORAGES)}
_START = (0x1950A86A20F9469CFC6C, 1001)  # the first objects of the format before PyTorch 1.6
_PROTOCOLS = (2, 3)  # torch.save's default is 2
_LARGEST_PROGRAM = 16 * 2**20
_LARGEST_ANYWHERE = 2**16  # a size that even the smallest file may mention
_LARGEST_KEY = 2**48  # early optimizers keep their state by address
_MOST_WORDS = 1_000_000
# What zipfile raises for damage; unknown versions and ciphers are RuntimeErrors.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, OverflowError, RuntimeError)


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive, judged by its end."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # a split archive
        return False


def check_pickle(path: Path, zipped: bool) -> None:
    """Refuse a pickle that is not a file of weights, without running it.

    Raises:
        ValueError: naming what was found.
    """
    try:
        if zipped:
            _check_archive(path)
        else:
            _check_old_format(path)
    except (*DAMAGE, *PICKLE_DAMAGE) as error:
        raise ValueError(f"{path} is not a complete file of torch.save: {error}") from None


def _check_archive(path: Path) -> None:
    file_size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed or sum(member.file_size for member in members) > file_size:
            raise ValueError(f"{path} is packed or claims more than its {file_size} bytes; torch.save does neither.")
        # PyTorch ignores case in names.
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
            _SymbolicMachine(path, file_size).follow_file(_BoundedFile(file, programs[0].file_size))


def _check_old_format(path: Path) -> None:
    """Refuse a file of the old format that names storages it does not have: they would be uninitialized memory."""
    file_size = path.stat().st_size
    with path.open("rb") as file:
        bounded = _BoundedFile(file, file_size)
        for expected in (*_START, None):  # the third describes the machine, and is not used
            found = _SymbolicMachine(path, file_size).follow_file(bounded)
            if expected is not None and (type(found) is not int or found != expected):
                raise ValueError(f"{path} is not a complete file of torch.save: it does not start like one.")
        tensors = _SymbolicMachine(path, file_size)
        tensors.follow_file(bounded)
        named = tensors.storages
        keys = _SymbolicMachine(path, file_size).follow_file(bounded)
    held = set(keys) if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else None
    if sum(named.values()) > file_size or min(named.values(), default=0) < 0:
        raise ValueError(f"{path}: its tensors claim {sum(named.values())} bytes, more than the file's {file_size}.")
    if set(named) != held:
        raise ValueError(f"{path} does not hold the numbers of all the tensors that it names, or others.")


class _BoundedFile:
    """A file for pickletools, which asks for as many bytes as the pickle claims: it never reads more than there are."""

    def __init__(self, file: IO[bytes], size: int):
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        return self._taken(self._file.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left))

    def _taken(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content


def _opcodes(path: Path, file: _BoundedFile) -> Iterator[tuple[str, Any]]:
    """The checked opcodes of one program with their arguments; the program is not run."""
    too_many = f"{path} describes its tensors with more opcodes than any model needs."
    damaged = f"{path} is not a complete file of torch.save"
    for word, argument in opcodes(file, _MOST_WORDS, damaged, too_many):  # type: ignore[arg-type]
        if word == "PROTO" and argument not in _PROTOCOLS:
            raise ValueError(
                f"{path} was saved with pickle_protocol={argument}, which torch.load(weights_only=True) does not read. "
                "Where it comes from, save it again with the default: torch.save(model.state_dict(), path)."
            )
        if word not in _WORDS or (word == "GLOBAL" and argument not in _NAMED):
            raise _foreign_error(path, str(argument) if word == "GLOBAL" else word)
        yield word, argument


def _foreign_error(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path} holds more than tensors by name ({what[:80]!r}), which is not run. Where it comes from, save the "
        "weights alone: torch.save(model.state_dict(), path)."
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Symbol:
    """An object that is neither a plain value nor a list nor a tuple."""

    kind: str  # "dict", "OrderedDict", "storage", "tensor", "name"
    name: str = ""


# The opcodes that PyTorch's reader knows, without those for objects of classes and sets.
_WORDS = WORDS | {"BINPERSID"}


class _SymbolicMachine(PickleMachine):
    """Interprets a pickle as PyTorch's reader does, without calling anything.

    That reader may take for ever to hash a key: a few nested tuples, each used twice, are a tree of any size. So every
    call, key and storage has to be as torch.save writes it, and no size above `file_size`, the bytes of the file.
    """

    def __init__(self, path: Path, file_size: int):
        super().__init__(str(path))
        self.storages: dict[str, int] = {}  # sizes in bytes by name
        self._path, self._file_size = path, file_size

    def follow_file(self, file: _BoundedFile) -> Any:
        """Follow the next program in a file, and return what it makes."""
        return self.follow(_opcodes(self._path, file))

    def step(self, word: str, argument: Any) -> None:
        if word == "BINPERSID":
            self.stack.append(self._storage(self.stack.pop()))
        else:
            super().step(word, argument)

    def new_dict(self) -> _Symbol:
        return _Symbol("dict")

    def named(self, name: str) -> _Symbol:
        return _Symbol("name", name)

    def build(self, state: Any) -> None:
        """Take the attributes of an OrderedDict."""
        if not (_is_symbol(self.stack[-1], "OrderedDict") and _is_symbol(state, "dict")):
            raise _foreign_error(self._path, "BUILD")

    def set_items(self, target: Any, items: list[Any]) -> None:
        if not (_is_symbol(target, "dict") or _is_symbol(target, "OrderedDict")):
            raise IndexError("it sets items of something other than a dictionary")
        for key in items[::2]:
            self._check_key(key)

    def _check_key(self, key: Any) -> None:
        """Refuse a key that takes too long to hash."""
        for part in key if isinstance(key, tuple) else (key,):
            large = isinstance(part, int) and abs(part) >= _LARGEST_KEY
            if large or not isinstance(part, (str, float, int, type(None))):
                raise ValueError(f"{self._path} has dictionary keys other than strings and numbers; it is not read.")

    def call(self, function: Any, arguments: Any) -> _Symbol:
        if not _is_symbol(function, "name") or function.name not in _CALLED or not isinstance(arguments, tuple):
            raise _foreign_error(self._path, function.name if _is_symbol(function, "name") else "REDUCE")
        wanted = _CALLED[function.name]
        if not wanted:
            self._check_pairs(arguments)
            return _Symbol("OrderedDict")
        if not arguments or not _is_symbol(arguments[0], wanted):
            raise _foreign_error(self._path, function.name)
        for argument in arguments[1:]:
            for number in argument if isinstance(argument, (tuple, list)) else (argument,):
                self._check_number(number)
        return _Symbol("tensor")

    def _check_pairs(self, arguments: tuple[Any, ...]) -> None:
        """Check the arguments of OrderedDict: none, or a list of pairs, as Python 2 wrote it."""
        pairs = arguments[0] if arguments else []
        if len(arguments) > 1 or not isinstance(pairs, list):
            raise _foreign_error(self._path, "OrderedDict")
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise _foreign_error(self._path, "OrderedDict")
            self._check_key(pair[0])

    def _check_number(self, number: Any) -> None:
        if isinstance(number, int) and abs(number) > max(self._file_size, _LARGEST_ANYWHERE):
            raise ValueError(f"{self._path} mentions a size of {number}, more than its {self._file_size} bytes.")

    def _storage(self, saved: Any) -> _Symbol:
        """A storage: ("storage", its type, its name, "cpu", how many values, None)."""
        if not isinstance(saved, tuple) or len(saved) < 5:
            saved = (None,) * 5
        mark, kind, key, place, count, *view = saved
        storage = kind.name.removeprefix("torch ").removesuffix("Storage") if _is_symbol(kind, "name") else None
        strings = mark == "storage" and isinstance(key, str) and isinstance(place, str)
        if not strings or storage not in _STORAGES or type(count) is not int or view not in ([], [None]):
            raise ValueError(f"{self._path} names its storages in another way than torch.save does.")
        self._check_number(count)
        self.storages.setdefault(key, count * _STORAGES[storage])
        return _Symbol("storage")


def _is_symbol(thing: Any, kind: str) -> bool:
    return isinstance(thing, _Symbol) and thing.kind == kind
