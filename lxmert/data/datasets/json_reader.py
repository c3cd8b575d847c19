"""Records out of large JSON files, one at a time: a list, an object of records, an object with a list, or JSON lines.

Separate, because `json.load` wants five to ten times the size of a file in memory, and the files here have hundreds of
megabytes. Only one record and a piece of the text are in memory at a time. Keys that are there twice, of which
`json.load` would take the last without a word, come twice.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

_PIECE = 2**20  # characters read at a time
LARGEST_RECORD = 64 * 2**20  # characters; a record of these data sets has some thousand
_SPACE = " \t\n\r"
_OF_A_NUMBER = re.compile(r"[0-9.eE+\-]*")


class Item(NamedTuple):
    """One value of a file.

    Attributes:
        key: the key it lies under, None in a file that is a list.
        place: its place in the list, from 0; None where it lies in no list.
        value: what `json.loads` makes of it. An empty list under a key comes whole.
    """

    key: str | None
    place: int | None
    value: Any


def json_items(path: str | Path) -> Iterator[Item]:
    """The entries of a list; of an object its members, and for a member that is a list the entries of that.

    Raises:
        OSError: the file cannot be read.
        ValueError: no JSON, with line and column; neither a list nor an object; a record of more than 64 MiB.
    """
    with _opened(path) as handle:
        reader = _Reader(handle, path)
        first = reader.peek()
        if first == "[":
            for place, value in enumerate(reader.entries()):
                yield Item(None, place, value)
        elif first == "{":
            yield from reader.members()
        elif not first:
            raise ValueError(f"{path} is empty; a JSON list or object is wanted.")
        else:
            raise reader.error("a JSON list or object is wanted")
        if reader.peek():
            raise reader.error("something follows after the end of the JSON text")


def list_items(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The entries of a list: their numbers, from 1, and values; the errors are those of `json_items`.

    Raises:
        ValueError: also where the file is no list.
    """
    for item in json_items(path):
        if item.key is not None or item.place is None:
            raise ValueError(f"{path} must hold a JSON list of records; it holds an object of keys and values.")
        yield item.place + 1, item.value


def json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The lines of a file with a JSON text in each: their numbers, from 1, and values; blank lines are left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line that is no JSON.
    """
    with _opened(path) as handle:
        try:
            for number, line in enumerate(iter(lambda: handle.readline(LARGEST_RECORD + 1), ""), 1):
                if len(line) > LARGEST_RECORD:
                    raise ValueError(f"{path}, line {number:,}, has more than {LARGEST_RECORD:,} characters.")
                if line.isspace():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{path}, line {number:,}, is not JSON: {error}.") from None
                yield number, value
        except UnicodeDecodeError as error:
            raise _no_text(path, error) from None


def first_character(path: str | Path) -> str:
    """The first character of a file that is no white space, which tells a list from an object; "" without one.

    Raises:
        OSError: the file cannot be read.
        ValueError: no UTF-8.
    """
    with _opened(path) as handle:
        return _Reader(handle, path).peek()


def _opened(path: str | Path) -> io.TextIOWrapper:
    return open(path, encoding="utf-8-sig", newline="")  # some tools put a mark in front of UTF-8


def _no_text(path: str | Path, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"{path} is not a JSON file: it is not UTF-8 text ({error.reason}).")


class _Reader:
    """A window on the text of a file, and where in it we are."""

    def __init__(self, handle: io.TextIOWrapper, path: str | Path) -> None:
        self._handle, self._path = handle, path
        self._text, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder()
        # Of the text that is gone: its lines, and the characters since the last of them.
        self._lines, self._column = 0, 0

    def peek(self) -> str:
        """The next character that is no white space, "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if not self._read():
                return ""

    def entries(self) -> Iterator[Any]:
        """The entries of the list that begins here."""
        self._step()
        if self.peek() == "]":
            self._step()
            return
        while True:
            yield self._value()
            if self._separator("]"):
                return

    def members(self) -> Iterator[Item]:
        """The members of the object that begins here."""
        self._step()
        if self.peek() == "}":
            self._step()
            return
        while True:
            if self.peek() != '"':
                raise self.error("a key in double quotes is wanted")
            key = self._value()
            if self.peek() != ":":
                raise self.error("a colon is wanted")
            self._step()
            if self.peek() == "[":
                place = -1
                for place, value in enumerate(self.entries()):
                    yield Item(key, place, value)
                if place < 0:
                    yield Item(key, None, [])
            else:
                yield Item(key, None, self._value())
            if self._separator("}"):
                return

    def error(self, what: str, at: int | None = None) -> ValueError:
        """Say what is wrong, and where."""
        at = self._at if at is None else at
        lines = self._text.count("\n", 0, at)
        column = at - self._text.rindex("\n", 0, at) - 1 if lines else self._column + at
        place = f"line {self._lines + lines + 1:,}, column {column + 1:,}"
        if self._ended and not self._text[at:].strip(_SPACE):
            what = "it ends in the middle; perhaps it was not written or copied to its end"
        return ValueError(f"{self._path} is not a JSON file: {what} ({place}).")

    def _step(self) -> None:
        self._at += 1

    def _separator(self, end: str) -> bool:
        """Step over a comma, or over the end; whether it was the end."""
        character = self.peek()
        if character not in (",", end) or not character:
            raise self.error(f"a comma or {end} is wanted")
        self._step()
        return character == end

    def _value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                behind = error.pos - self._at
                # Either it is wrong, or it goes on behind what was read.
                if len(self._text) - self._at > LARGEST_RECORD or not self._read():
                    unfinished = error.msg.startswith("Unterminated string") and self._ended
                    raise self.error(error.msg, len(self._text) if unfinished else self._at + behind) from None
            except (ValueError, RecursionError) as error:
                raise self.error(str(error)) from None
            else:
                if not self._may_go_on(value, end) or not self._read():
                    self._at = end
                    return value

    def _may_go_on(self, value: Any, end: int) -> bool:
        """Whether a value is a number that what was read may have cut in two."""
        return isinstance(value, int | float) and _OF_A_NUMBER.match(self._text, end).end() == len(self._text)  # type: ignore[union-attr]

    def _read(self) -> bool:
        """Read on, at least as much as is there, and drop what lies behind us; False at the end of the file."""
        lines = self._text.count("\n", 0, self._at)
        self._lines += lines
        self._column = self._at - self._text.rindex("\n", 0, self._at) - 1 if lines else self._column + self._at
        self._text = self._text[self._at :]
        self._at = 0
        try:
            more = "" if self._ended else self._handle.read(max(_PIECE, len(self._text)))
        except UnicodeDecodeError as error:
            raise _no_text(self._path, error) from None
        self._ended = not more
        self._text += more
        return bool(more)
