"""Read pickles of plain containers and NumPy arrays, without `pickle`: no name is imported, and nothing is called.

Dictionaries, lists, tuples, numbers, strings, bytes, None, and arrays of numbers or strings are read, as every version
of Python and NumPy writes them. Anything else is refused with its name.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from .foreign_files import InvalidFileError, read_small
from .messages import shown
from .pickle_machine import ACTIONS, Name, PickleMachine

_MOST_BYTES = 512 * 2**20
_MOST_STEPS = 5_000_000  # a table of a million ids has four for each
_TEXTS = (
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINBYTES",
    "BINBYTES",
    "BINBYTES8",
)
_ACTIONS = {
    **ACTIONS,
    **dict.fromkeys((*_TEXTS, "INT", "LONG", "FLOAT"), ("push", None)),
    **{"BYTEARRAY8": ("push_bytes", None), "FRAME": ("skip", None), "STACK_GLOBAL": ("push_stacked_name", 2)},
    **{"MEMOIZE": ("memorize", None), "PUT": ("memorize", None), "GET": ("recall", None)},
    **{"LIST": ("make_list", None), "DICT": ("make_dict", None)},
}
_KEYS = (str, int, float, bytes, bool, type(None))
_LARGEST_KEY = 2**60  # dictionaries of larger integers can be made to take for ever
_DTYPE = re.compile(r"[<>=|]?[fiubSUO]\d{1,6}")
_ORDERS = {"<": "<", ">": ">", "=": "=", "|": "|"}
_OLD_PROTOCOLS = re.compile(rb"\([dl]p\d+\n|[\]}]q.", re.DOTALL)  # how containers start in the protocols 0 and 1
_DEEPEST = 50  # containers in one another
# Functions and classes by what they make; NumPy has moved its modules.
_NAMES = {
    **dict.fromkeys((f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")), "array"),
    **dict.fromkeys((f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")), "scalar"),
    **dict.fromkeys((f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")), "buffer"),
    "numpy.ndarray": "class",
    "numpy.dtype": "dtype",
    "_codecs.encode": "bytes",
    "__builtin__.bytes": "bytes",  # empty ones
    "collections.OrderedDict": "dict",
}


def load_plain_pickle(path: Path) -> Any:
    """The content of a pickle file; the errors are those of `parse_plain_pickle`."""
    return parse_plain_pickle(read_small(path, _MOST_BYTES, "a pickle that is read at once"), str(path))


def parse_plain_pickle(content: bytes | memoryview, where: str) -> Any:
    """The content of a pickle; arrays are views of the bytes in it.

    Args:
        content: the pickle.
        where: the file, for messages.

    Raises:
        InvalidFileError: anything but plain containers and arrays, with its name; or damage.
    """
    return _PlainMachine(where, io.BytesIO(content), len(content)).follow()


def is_pickle(start: bytes) -> bool:
    """Whether a file starts as the pickle of a container does, in any protocol."""
    return (start[:1] == b"\x80" and start[1:2] <= b"\x05") or _OLD_PROTOCOLS.match(start) is not None


class _Unfinished:
    """An array or dtype that waits for its state; `places` are its numbers in the memo."""

    def __init__(self, kind: str, made: Any = None):
        self.kind, self.made, self.places = kind, made, []  # type: ignore[var-annotated]


class _PlainMachine(PickleMachine):
    """Makes the values themselves."""

    actions = _ACTIONS
    names = _NAMES
    most = _MOST_STEPS

    def follow(self) -> Any:
        """The plain value that the program makes; an error if one container is in others again and again."""
        made = super().follow()
        left, level = self.left // 2, [made]
        for _ in range(_DEEPEST):
            foreign = next((value for value in level if isinstance(value, (Name, _Unfinished, np.dtype))), None)
            if foreign is not None:
                name = foreign if isinstance(foreign, Name) else getattr(foreign, "name", "an unfinished object")
                raise self.refused(name)
            level = [value for value in level if isinstance(value, (dict, list, tuple))]
            left -= sum(map(len, level))
            if left < 0 or not level:
                break
            level = [part for value in level for part in (value.values() if isinstance(value, dict) else value)]
        if level:
            raise InvalidFileError(f"{self.where} is nested deeper than any file of its kind needs.")
        return made

    def skip(self, _: Any) -> None:
        """Nothing: the beginning of a frame."""

    def push_bytes(self, value: bytearray) -> None:
        """Push what is no longer changed."""
        self.stack.append(bytes(value))

    def push_stacked_name(self, count: int) -> None:
        """Push what stands for a function or class, by the module and the name at the top."""
        module, name = self.items(count)
        if type(module) is not str or type(name) is not str:
            raise self.refused("STACK_GLOBAL")
        self.push_name(f"{module} {name}")

    def memorize(self, place: int | None) -> None:
        """Keep the value at the top under a number, or the next one."""
        place = len(self.memo) if place is None else place
        super().memorize(place)
        if isinstance(self.stack[-1], _Unfinished):
            self.stack[-1].places.append(place)

    def has_key(self, key: Any) -> bool:
        """True; an error for a key that plain dictionaries do not have."""
        if type(key) not in _KEYS:
            raise self.refused(f"a key of type {type(key).__name__}")
        if type(key) is int and abs(key) >= _LARGEST_KEY:
            raise self.refused(f"the key {shown(key)}")
        return True

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """See `PickleMachine.call`."""
        match _NAMES[function], arguments:
            case "array", _:
                return _Unfinished("array")
            case "dtype", (text, *_):
                return _Unfinished("dtype", self._dtype(text))
            case "scalar", (dtype, content):
                scalar = self._array((), dtype, False, content)
                self.spend(getattr(scalar, "nbytes", 0))
                return scalar.item()
            case "buffer", (content, dtype, shape, order):
                return self._array(shape, dtype, order == "F", content)
            case "bytes", ():
                return b""
            case "bytes", (str(text),) | (str(text), str()):
                self.spend(len(text))
                return text.encode("latin-1")
            case "dict", _:
                return self.ordered_dict(arguments)
        raise self.refused(function)

    def build(self, _: None) -> None:
        """Finish an array (version, shape, dtype, order, numbers) or a dtype (version, byte order, …)."""
        unfinished, state = self.items(2)
        if not isinstance(unfinished, _Unfinished) or not isinstance(state, tuple):
            raise self.refused("the state of an object")
        if unfinished.kind == "array" and len(state) == 5:
            made: Any = self._array(*state[1:])
        elif unfinished.kind == "dtype" and len(state) >= 8 and state[2:5] == (None,) * 3:
            made = unfinished.made.newbyteorder(_ORDERS[state[1] if isinstance(state[1], str) else ""])
        else:
            raise self.refused(f"a structured {unfinished.kind}")
        self.stack.append(made)
        self.memo.update(dict.fromkeys(unfinished.places, made))
        unfinished.places = []

    def _dtype(self, text: Any) -> np.dtype:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise self.refused(f"an array of {shown(text, 40)}")
        return np.dtype("O" if "O" in text else text)

    def _array(self, shape: Any, dtype: Any, fortran: Any, content: Any) -> Any:
        """The array of a state; one of objects becomes its item, or the list of its items."""
        if isinstance(dtype, _Unfinished) and dtype.kind == "dtype":  # NumPy leaves out the state of single bytes
            dtype = dtype.made
        whole = isinstance(shape, tuple) and len(shape) <= 16
        whole = whole and all(type(size) is int and 0 <= size < 2**40 for size in shape)
        if not whole or not isinstance(dtype, np.dtype):
            raise InvalidFileError(f"{self.where} is a damaged pickle: an array has no shape or dtype.")
        count = math.prod(shape)
        if dtype.hasobject:
            if not isinstance(content, list) or len(content) != count or len(shape) > 1:
                raise self.refused("an array of objects in several dimensions")
            return content[0] if shape == () else content
        if isinstance(content, str):  # as Python 2 wrote it
            self.spend(len(content))
            content = content.encode("latin-1")
        if not isinstance(content, bytes) or len(content) != count * dtype.itemsize:
            raise InvalidFileError(
                f"{self.where} is a damaged pickle: an array {list(shape)} of {dtype} has other bytes."
            )
        values = np.frombuffer(content, dtype) if content else np.zeros(0, dtype)
        return values.reshape(shape, order="F" if fortran else "C")

    def refused(self, what: str) -> InvalidFileError:
        """See `PickleMachine.refused`."""
        return InvalidFileError(
            f"{self.where} is a pickle with {shown(what)}, which is not read, as pickles can run code: only "
            "dictionaries, lists, tuples, numbers, strings and arrays are. If you trust it, load it in Python and save "
            "these alone."
        )
