"""The stack machine of a pickle, on which nothing is imported and nothing is called.

A pickle is a program: its opcodes push values, build containers, and call functions by name. What a name, a call and a
state mean is decided by the subclasses, which know the few that the files of their kind have.
"""

from __future__ import annotations

import pickletools
from collections.abc import Collection
from typing import IO, Any, ClassVar

from .foreign_files import InvalidFileError, reading

# The method that follows each opcode, and its argument where the opcode has none: for containers how many items they
# take from the stack, None for all since the last mark.
Actions = dict[str, tuple[str, Any]]
_VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")
# What every kind of file has, in the protocols up to 3.
ACTIONS: Actions = {
    **dict.fromkeys(_VALUES, ("push", None)),
    **{"NONE": ("push", None), "NEWTRUE": ("push", True), "NEWFALSE": ("push", False), "EMPTY_TUPLE": ("push", ())},
    **{"TUPLE1": ("make_tuple", 1), "TUPLE2": ("make_tuple", 2), "TUPLE3": ("make_tuple", 3)},
    **{"TUPLE": ("make_tuple", None), "EMPTY_LIST": ("make_list", 0), "EMPTY_DICT": ("make_dict", 0)},
    **{"APPEND": ("extend", 1), "APPENDS": ("extend", None), "SETITEM": ("set_items", 2)},
    **{"SETITEMS": ("set_items", None), "BINGET": ("recall", None), "LONG_BINGET": ("recall", None)},
    **{"BINPUT": ("memorize", None), "LONG_BINPUT": ("memorize", None), "MARK": ("mark", None)},
    **{"PROTO": ("check_protocol", None), "GLOBAL": ("push_name", None), "REDUCE": ("reduce", None)},
    **{"BUILD": ("build", None)},
}
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_DEEPEST = 1000
_PAIR = 16  # bytes that count for a pair in a list; four times as many as it takes in a file


class Name(str):
    """What stands for a known function or class: "module.name"."""

    __slots__ = ()


class PickleMachine:
    """Follows one program. Subclasses choose the `actions`, and say what names, calls, states and keys mean.

    Args:
        where: the file, for messages.
        file: the program; what follows it is not read.
        size: of the program in bytes, or of the file.
    """

    actions: ClassVar[Actions] = ACTIONS
    names: ClassVar[Collection[str]]  # of functions and classes
    most: ClassVar[int]  # opcodes
    damaged = "is a damaged pickle"

    def __init__(self, where: str, file: IO[bytes], size: int):
        self.where, self._file = where, file
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = 4 * size  # what may be copied, in bytes and items
        self._marked: list[list[Any]] = []

    def follow(self) -> Any:
        """Follow the program, and return what it makes.

        Raises:
            InvalidFileError: a damaged program, or one that does more than those in files of its kind.
        """
        with reading(self.where, self.damaged):
            return self._follow()

    def _follow(self) -> Any:
        known = {
            code: (getattr(self, self.actions[op.name][0]), op.arg and op.arg.reader, self.actions[op.name][1])
            for code, op in _OPCODES.items()
            if op.name in self.actions
        }
        file = self._file
        for _ in range(self.most):
            code = file.read(1)
            if code in known:
                method, read, argument = known[code]
                method(read(file) if read else argument)
            elif code == b".":
                return self.stack.pop()
            elif code in _OPCODES:
                raise self.refused(_OPCODES[code].name)
            else:
                raise EOFError(f"an unknown opcode {code!r}" if code else "it ends too early")
        raise InvalidFileError(f"{self.where} is a pickle of more than {self.most:,} steps, more than any needs.")

    def spend(self, size: int) -> None:
        """Count what is copied: no more than the file has, unless one thing is copied again and again."""
        self.left -= size
        if self.left < 0:
            raise InvalidFileError(f"{self.where} has one thing in it again and again, more than its size allows.")

    # The opcodes

    def push(self, value: Any) -> None:
        """Push a value."""
        self.stack.append(value)

    def push_name(self, name: str) -> None:
        """Push what stands for a function or class, "module name"."""
        name = name.replace(" ", ".", 1)
        if name not in self.names:
            raise self.refused(name)
        self.stack.append(Name(name))

    def make_tuple(self, count: int | None) -> None:
        """Make a tuple of items at the top."""
        self.push(tuple(self.items(count)))

    def make_list(self, count: int | None) -> None:
        """Make a list, empty or of items at the top."""
        self.push([] if count == 0 else self.items(count))

    def make_dict(self, count: int | None) -> None:
        """Make a dictionary, empty or of keys and values at the top."""
        self.push({} if count == 0 else self.put({}, self.items(count)))

    def extend(self, count: int | None) -> None:
        """Append items to the list before them."""
        items = self.items(count)
        if type(self.stack[-1]) is not list:
            raise IndexError("it appends to something other than a list")
        self.stack[-1].extend(items)

    def set_items(self, count: int | None) -> None:
        """Set items of the dictionary before them."""
        items = self.items(count)
        if not isinstance(self.stack[-1], dict):
            raise IndexError("it sets items of something other than a dictionary")
        self.put(self.stack[-1], items)

    def recall(self, place: int) -> None:
        """Push what is kept under a number."""
        self.stack.append(self.memo[place])

    def memorize(self, place: int) -> None:
        """Keep the value at the top under a number."""
        self.memo[place] = self.stack[-1]

    def mark(self, _: None) -> None:
        """Begin a container."""
        if len(self._marked) > _DEEPEST:
            raise InvalidFileError(f"{self.where} has deeper nesting than any file of its kind needs.")
        self._marked.append(self.stack)
        self.stack = []

    def reduce(self, _: None) -> None:
        """Call a known function."""
        function, arguments = self.items(2)
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise self.refused(function if isinstance(function, Name) else "REDUCE")
        self.push(self.call(function, arguments))

    def items(self, count: int | None) -> list[Any]:
        """Pop `count` items, or all since the last mark."""
        items = self.stack
        if count is None:
            self.stack = self._marked.pop()
            return items
        if len(items) < count:
            raise IndexError("it pops more than the stack has")
        start = len(items) - count
        taken = items[start:]
        del items[start:]
        return taken

    def put(self, target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
        """Put keys and values, in turn, into a dictionary, and return it."""
        if len(items) % 2:
            raise IndexError("it sets half an item of a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if self.has_key(key):
                target[key] = value
        return target

    def ordered_dict(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """What OrderedDict returns for no arguments, or for a list of pairs."""
        pairs = arguments[0] if arguments else []
        if len(arguments) > 1 or type(pairs) is not list:
            raise self.refused("collections.OrderedDict")
        self.spend(_PAIR * len(pairs))
        if any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
            raise self.refused("collections.OrderedDict")
        return self.put({}, [part for pair in pairs for part in pair])

    # What the subclasses know

    def check_protocol(self, number: int) -> None:
        """Refuse a pickle of a protocol that its kind of file does not have."""

    def has_key(self, key: Any) -> bool:
        """Whether dictionaries keep a key; an error for one that they must not have."""
        raise NotImplementedError

    def refused(self, what: str) -> InvalidFileError:
        """The error for an opcode, a name or a call that is not followed."""
        raise NotImplementedError

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """What the call of a known function would return."""
        raise NotImplementedError

    def build(self, _: None) -> None:
        """Give the state at the top to the object before it."""
        raise NotImplementedError
