"""The stack machine of a pickle, on which nothing is imported and nothing is called.

A pickle is a program: its opcodes push values, build containers, and call functions by name. What a name, a call and a
state mean is decided by the subclasses, which know the few that the files of their kind have.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Iterator
from typing import IO, Any

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"})
# What every kind of file has, in the protocols up to 3.
WORDS = frozenset(
    {
        *_CONSTANTS,
        *_TUPLES,
        *VALUES,
        *("PROTO", "STOP", "MARK", "TUPLE", "EMPTY_LIST", "EMPTY_DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD"),
    }
)
_DEEPEST = 1000
# What following a damaged pickle raises, besides ValueErrors.
PICKLE_DAMAGE = (EOFError, KeyError, IndexError, UnicodeDecodeError, OverflowError)


def opcodes(file: IO[bytes], most: int, damaged: str, too_many: str) -> Iterator[tuple[str, Any]]:
    """The names and arguments of the opcodes of one pickle in a file.

    Args:
        file: the file, at the start of the pickle.
        most: opcodes that are read.
        damaged: what an error says of damage, before what it is.
        too_many: what an error says of more opcodes.

    Raises:
        ValueError: damage, or too many opcodes.
    """
    words = pickletools.genops(file)
    for _ in range(most):
        try:
            word, argument, _place = next(words)
        except StopIteration:
            return
        except ValueError as error:  # what pickletools raises for damage
            raise ValueError(f"{damaged}: {error}.") from None
        yield word.name, argument
    raise ValueError(too_many)


class PickleMachine:
    """Follows the opcodes; subclasses define `new_dict`, `set_items`, `named`, `call` and `build`.

    Args:
        where: the file, for messages.
    """

    def __init__(self, where: str):
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self._marked: list[list[Any]] = []

    def follow(self, words: Iterable[tuple[str, Any]]) -> Any:
        """Follow one program, and return what it makes."""
        for word, argument in words:
            self.step(word, argument)
        return self.stack.pop()

    def step(self, word: str, argument: Any) -> None:
        """Follow one opcode of `WORDS`."""
        if word in VALUES:
            self.stack.append(argument)
        elif word in _CONSTANTS:
            self.stack.append(_CONSTANTS[word])
        elif word in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif word in ("BINPUT", "LONG_BINPUT"):
            self.memorize(argument)
        elif word == "EMPTY_LIST":
            self.stack.append([])
        elif word == "EMPTY_DICT":
            self.stack.append(self.new_dict())
        elif word == "MARK":
            self._mark()
        elif word in ("TUPLE", *_TUPLES):
            items = self.items(_TUPLES.get(word))
            self.stack.append(tuple(items))
        elif word in ("APPEND", "APPENDS"):
            self.extend(self.items(1 if word == "APPEND" else None))
        elif word in ("SETITEM", "SETITEMS"):
            items = self.items(2 if word == "SETITEM" else None)
            if len(items) % 2:
                raise IndexError("it sets half an item of a dictionary")
            self.set_items(self.stack[-1], items)
        elif word == "GLOBAL":
            self.stack.append(self.named(argument))
        elif word == "REDUCE":
            function, arguments = self.items(2)
            self.stack.append(self.call(function, arguments))
        elif word == "BUILD":
            self.build(self.stack.pop())

    def memorize(self, place: int) -> None:
        """Keep the value at the top under a number."""
        self.memo[place] = self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        """Append items to the list at the top."""
        if not isinstance(self.stack[-1], list):
            raise IndexError("it appends to something other than a list")
        self.stack[-1].extend(items)

    def items(self, count: int | None) -> list[Any]:
        """Pop `count` items, or all since the last mark."""
        items = self.stack
        if count is None:
            self.stack = self._marked.pop()
            return items
        if len(items) < count:
            raise IndexError("it pops more than the stack has")
        taken = items[-count:]
        del items[-count:]
        return taken

    def _mark(self) -> None:
        if len(self._marked) > _DEEPEST:
            raise ValueError(f"{self.where} has deeper nesting than any file of its kind needs.")
        self._marked.append(self.stack)
        self.stack = []

    def new_dict(self) -> Any:
        """An empty dictionary."""
        raise NotImplementedError

    def set_items(self, target: Any, items: list[Any]) -> None:
        """Set items of a dictionary: keys and values in turn."""
        raise NotImplementedError

    def named(self, name: str) -> Any:
        """What stands for a function or class, as "module name"; an error for others than the known ones."""
        raise NotImplementedError

    def call(self, function: Any, arguments: Any) -> Any:
        """What the call of a known function would return."""
        raise NotImplementedError

    def build(self, state: Any) -> None:
        """Give a state to the object at the top."""
        raise NotImplementedError
