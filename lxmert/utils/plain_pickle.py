"""Read pickles of plain containers and NumPy arrays, without `pickle`: no name is imported, and nothing is called.

Dictionaries, lists, tuples, numbers, strings, bytes, None, and arrays of numbers or strings are read, as every version
of Python and NumPy writes them. Anything else is refused with its name.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .pickle_machine import PICKLE_DAMAGE, WORDS, PickleMachine, opcodes

_MOST_BYTES = 512 * 2**20
_MOST_WORDS = 5_000_000  # a table of a million ids has four for each
_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING")
_MORE_VALUES = frozenset({*_STRINGS, "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "LONG", "FLOAT"})
_ALLOWED = WORDS | _MORE_VALUES | {"FRAME", "MEMOIZE", "STACK_GLOBAL", "PUT", "GET", "LIST", "DICT"}
_KEYS = (str, int, float, bytes, type(None))
_DTYPE = re.compile(r"[<>=|]?[fiubSUO]\d{1,6}")
_ORDERS = {"<": "<", ">": ">", "=": "=", "|": "|"}
_OLD_PROTOCOLS = re.compile(rb"\([dl]p\d+\n|[\]}]q.", re.DOTALL)  # how containers start in the protocols 0 and 1
# Functions and classes by the last part of their names; NumPy has moved its modules.
_NAMES = {
    **dict.fromkeys((f"numpy.{core}.multiarray _reconstruct" for core in ("core", "_core")), "array"),
    **dict.fromkeys((f"numpy.{core}.multiarray scalar" for core in ("core", "_core")), "scalar"),
    **dict.fromkeys((f"numpy.{core}.numeric _frombuffer" for core in ("core", "_core")), "buffer"),
    "numpy ndarray": "class",
    "numpy dtype": "dtype",
    "_codecs encode": "bytes",
    "__builtin__ bytes": "bytes",  # empty ones
    "collections OrderedDict": "dict",
}


def load_plain_pickle(path: Path) -> Any:
    """The content of a pickle file; the errors are those of `parse_plain_pickle`."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} is larger than {_MOST_BYTES:,} bytes, too large for a pickle that is read at once.")
    return parse_plain_pickle(path.read_bytes(), str(path))


def parse_plain_pickle(content: bytes | memoryview, where: str) -> Any:
    """The content of a pickle; arrays are views of the bytes in it.

    Args:
        content: the pickle.
        where: the file, for messages.

    Raises:
        ValueError: anything but plain containers and arrays, with its name; or damage.
    """
    try:
        return _PlainMachine(where).follow(_words(io.BytesIO(content), where))
    except PICKLE_DAMAGE as error:
        raise ValueError(f"{where} is a damaged pickle: {error}.") from None


def is_pickle(start: bytes) -> bool:
    """Whether a file starts as the pickle of a container does, in any protocol."""
    return (start[:1] == b"\x80" and start[1:2] <= b"\x05") or _OLD_PROTOCOLS.match(start) is not None


def _words(file: io.BytesIO, where: str) -> Iterator[tuple[str, Any]]:
    too_many = f"{where} is a pickle of more than {_MOST_WORDS:,} steps, too many for one that is read at once."
    for word, argument in opcodes(file, _MOST_WORDS, f"{where} is a damaged pickle", too_many):
        if word not in _ALLOWED:
            raise _refused(where, word)
        yield word, argument


def _refused(where: str, what: str) -> ValueError:
    return ValueError(
        f"{where} is a pickle with {what[:80]!r}, which is not read, as pickles can run code: only dictionaries, "
        "lists, tuples, numbers, strings and arrays are. If you trust it, load it in Python and save these alone."
    )


class _Name(NamedTuple):
    """A known function or class."""

    kind: str
    name: str


class _Unfinished:
    """An array or dtype that waits for its state; `places` are its numbers in the memo."""

    def __init__(self, kind: str, made: Any = None):
        self.kind, self.made, self.places = kind, made, []  # type: ignore[var-annotated]


class _PlainMachine(PickleMachine):
    """Makes the values themselves."""

    def step(self, word: str, argument: Any) -> None:
        if word in _MORE_VALUES:
            self.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif word in ("PUT", "MEMOIZE"):
            self.memorize(len(self.memo) if word == "MEMOIZE" else argument)
        elif word == "GET":
            self.stack.append(self.memo[argument])
        elif word == "STACK_GLOBAL":
            module, name = self.items(2)
            self.stack.append(self.named(f"{module} {name}"))
        elif word == "LIST":
            items = self.items(None)
            self.stack.append(list(items))
        elif word == "DICT":
            items = self.items(None)
            self.stack.append({})
            self.set_items(self.stack[-1], items)
        else:
            super().step(word, argument)

    def memorize(self, place: int) -> None:
        super().memorize(place)
        if isinstance(self.stack[-1], _Unfinished):
            self.stack[-1].places.append(place)

    def extend(self, items: list[Any]) -> None:
        self._check_plain(items)
        super().extend(items)

    def new_dict(self) -> dict[Any, Any]:
        return {}

    def set_items(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, dict):
            raise IndexError("it sets items of something other than a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise _refused(self.where, f"a key of type {type(key).__name__}")
            self._check_plain((value,))
            target[key] = value

    def named(self, name: str) -> _Name:
        if name not in _NAMES:
            raise _refused(self.where, name.replace(" ", "."))
        return _Name(_NAMES[name], name)

    def call(self, function: Any, arguments: Any) -> Any:
        kind = function.kind if isinstance(function, _Name) else ""
        if not isinstance(arguments, tuple):
            raise _refused(self.where, "REDUCE")
        if kind == "array":
            return _Unfinished("array")
        if kind == "dtype" and arguments:
            return _Unfinished("dtype", self._dtype(arguments[0]))
        if kind == "scalar" and len(arguments) == 2:
            return self._array((), arguments[0], False, arguments[1]).item()
        if kind == "buffer" and len(arguments) == 4:
            content, dtype, shape, order = arguments
            return self._array(shape, dtype, order == "F", content)
        if kind == "bytes" and all(isinstance(argument, str) for argument in arguments):
            return arguments[0].encode("latin-1") if arguments else b""
        if kind == "dict" and len(arguments) <= 1:
            pairs = arguments[0] if arguments else []
            if not isinstance(pairs, list) or any(
                not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs
            ):
                raise _refused(self.where, function.name)
            made: dict[Any, Any] = {}
            self.set_items(made, [part for pair in pairs for part in pair])
            return made
        raise _refused(self.where, function.name if isinstance(function, _Name) else "REDUCE")

    def build(self, state: Any) -> None:
        """Finish an array (version, shape, dtype, order, numbers) or a dtype (version, byte order, …)."""
        unfinished = self.stack.pop()
        if not isinstance(unfinished, _Unfinished) or not isinstance(state, tuple):
            raise _refused(self.where, "the state of an object")
        if unfinished.kind == "array" and len(state) == 5:
            made: Any = self._array(*state[1:])
        elif unfinished.kind == "dtype" and len(state) >= 8 and state[2:5] == (None, None, None):
            made = unfinished.made.newbyteorder(_ORDERS[state[1]])
        else:
            raise _refused(self.where, f"a structured {unfinished.kind}")
        self.stack.append(made)
        for place in unfinished.places:
            self.memo[place] = made

    def _dtype(self, text: Any) -> np.dtype:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise _refused(self.where, f"an array of {text!r:.40}")
        try:
            return np.dtype("O" if "O" in text else text)
        except (TypeError, ValueError):
            raise _refused(self.where, f"an array of {text!r:.40}") from None

    def _array(self, shape: Any, dtype: Any, fortran: Any, content: Any) -> Any:
        """The array of a state; one of objects becomes its item, or the list of its items."""
        if isinstance(dtype, _Unfinished) and dtype.kind == "dtype":  # NumPy leaves out the state of single bytes
            dtype = dtype.made
        whole = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 2**40 for size in shape)
        if not whole or len(shape) > 16 or not isinstance(dtype, np.dtype):
            raise ValueError(f"{self.where} is a damaged pickle: an array has no shape or dtype.")
        count = math.prod(shape)
        if dtype.hasobject:
            if not isinstance(content, list) or len(content) != count or len(shape) > 1:
                raise _refused(self.where, "an array of objects in several dimensions")
            return content[0] if shape == () else content
        if isinstance(content, str):  # as Python 2 wrote it
            content = content.encode("latin-1")
        if not isinstance(content, bytes) or len(content) != count * dtype.itemsize:
            raise ValueError(f"{self.where} is a damaged pickle: an array {list(shape)} of {dtype} has other bytes.")
        values = np.frombuffer(content, dtype) if content else np.zeros(0, dtype)
        return values.reshape(shape, order="F" if fortran else "C")

    def _check_plain(self, items: Any) -> None:
        for item in items:
            if isinstance(item, (_Name, _Unfinished, np.dtype)):
                raise _refused(self.where, getattr(item, "name", "an unfinished object"))
