"""Read records from large JSON files one at a time: a list, an object of records, an object with a list, or JSON lines.

`json.load` needs five to ten times the size of a file in memory, and the files here have hundreds of megabytes. This
reader keeps one record and one chunk of the text in memory. It also reports duplicate keys, where `json.load` silently
keeps the last value. (`ijson` needs little memory too. But its fast parser gives no line and column, replaces half
characters silently, and has no limit for a record; its Python parser takes ten times as long.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lxmert.utils.foreign_files import error_text
from lxmert.utils.json_files import unique_members
from lxmert.utils.messages import shown

_PIECE = 2**20  # characters read at a time
LARGEST_RECORD = 16 * 2**20  # characters; a record of these data sets has some thousand
_SPACE = " \t\n\r"
_NUMBER_END = re.compile(r"[0-9.eE+\-]*")


class Item(NamedTuple):
    """One value of a file.

    Attributes:
        key: its key, None in a file that is a list.
        place: its index in the list, from 0; None outside of a list.
        value: as `json.loads` returns it. An empty list under a key is one item.
    """

    key: str | None
    place: int | None
    value: Any


def json_items(path: str | Path) -> Iterator[Item]:
    """The entries of a list; or the members of an object, and for a member that is a list, the entries of that.

    Raises:
        OSError: the file cannot be read.
        ValueError: not JSON, with line and column; neither a list nor an object; a record of more than 16 MiB.
    """
    with _open(path) as handle:
        reader = _Reader(handle, path)
        first = reader.peek()
        if first == "[":
            for place, value in enumerate(reader.entries()):
                yield Item(None, place, value)
        elif first == "{":
            yield from reader.members()
        elif not first:
            raise ValueError(f"{path} is empty; a JSON list or object is expected.")
        else:
            raise reader.error("a JSON list or object is expected")
        if reader.peek():
            raise reader.error("there is text after the end of the JSON value")


def list_items(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The entries of a file that must be a list: their numbers, from 1, and values; see `json_items`."""
    for item in json_items(path):
        if item.key is not None or item.place is None:
            raise ValueError(f"{path} must hold a JSON list of records; it holds an object of keys and values.")
        yield item.place + 1, item.value


def json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file with one per line: line numbers, from 1, and values; blank lines are skipped."""
    with _open(path) as handle:
        try:
            for number, line in enumerate(iter(lambda: handle.readline(LARGEST_RECORD + 1), ""), 1):
                if len(line) > LARGEST_RECORD:
                    raise ValueError(f"{path}, line {number:,}, has more than {LARGEST_RECORD:,} characters.")
                if line.isspace():
                    continue
                try:
                    value = json.loads(line, object_pairs_hook=unique_members)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{path}, line {number:,}, is not JSON: {error_text(error)}.") from None
                yield number, value
        except UnicodeDecodeError as error:
            raise _not_text(path, error) from None


def first_character(path: str | Path) -> str:
    """The first character that is not white space, "" without one; it distinguishes a list from an object."""
    with _open(path) as handle:
        return _Reader(handle, path).peek()


def _open(path: str | Path) -> TextIO:
    return open(path, encoding="utf-8-sig", newline="")  # some tools write a byte order mark


def _not_text(path: str | Path, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"{path} is not text in UTF-8 ({error.reason}); save it in this encoding.")


class _Reader:
    """A window of the text of a file, and the position in it."""

    def __init__(self, handle: TextIO, path: str | Path) -> None:
        self._handle, self._path = handle, path
        self._text, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder(object_pairs_hook=unique_members)
        # Of the text before the window: its lines, and the characters after the last line break.
        self._lines, self._column = 0, 0

    def peek(self) -> str:
        """The next character that is not white space, "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if not self._read_more():
                return ""

    def entries(self) -> Iterator[Any]:
        """The entries of the list that starts here."""
        if self._is_empty("]"):
            return
        while True:
            yield self._value()
            if self._is_last("]"):
                return

    def members(self) -> Iterator[Item]:
        """The members of the object that starts here."""
        if self._is_empty("}"):
            return
        seen = set()  # but for keys of objects: those are millions of ids, which the readers compare by hashes
        while True:
            if self.peek() != '"':
                raise self.error("a key in double quotes is expected")
            key = self._value()
            if self.peek() != ":":
                raise self.error("a colon is expected")
            self._at += 1
            if self.peek() != "{":
                if key in seen:
                    raise self.error(f"the key {shown(key)} is there twice in one object")
                seen.add(key)
            if self.peek() == "[":
                place = -1
                for place, value in enumerate(self.entries()):
                    yield Item(key, place, value)
                if place < 0:
                    yield Item(key, None, [])
            else:
                yield Item(key, None, self._value())
            if self._is_last("}"):
                return

    def error(self, what: str, at: int | None = None) -> ValueError:
        """An error with line and column."""
        at = self._at if at is None else at
        lines, column = self._position(at)
        if self._ended and not self._text[at:].strip(_SPACE):
            what = "it ends in the middle; perhaps it was not completely written or copied"
        return ValueError(f"{self._path} is not a JSON file: {what} (line {lines + 1:,}, column {column + 1:,}).")

    def _position(self, at: int) -> tuple[int, int]:
        """Lines before a position, and characters after the last line break."""
        lines = self._text.count("\n", 0, at)
        column = at - self._text.rindex("\n", 0, at) - 1 if lines else self._column + at
        return self._lines + lines, column

    def _is_empty(self, end: str) -> bool:
        """Step into a list or object; if it is empty, also over its end."""
        self._at += 1
        empty = self.peek() == end
        self._at += empty
        return empty

    def _is_last(self, end: str) -> bool:
        """Step over a comma, or over the end; whether it was the end."""
        character = self.peek()
        if character not in (",", end) or not character:
            raise self.error(f"a comma or {end} is expected")
        self._at += 1
        return character == end

    def _value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                after = error.pos - self._at
                # Either the text is wrong, or the window ends inside of the value.
                if len(self._text) - self._at > LARGEST_RECORD or not self._read_more():
                    unfinished = error.msg.startswith("Unterminated string") and self._ended
                    raise self.error(error.msg, len(self._text) if unfinished else self._at + after) from None
            except (ValueError, RecursionError) as error:
                raise self.error(error_text(error)) from None
            else:
                if not self._may_continue(value, end) or not self._read_more():
                    self._at = end
                    return value

    def _may_continue(self, value: Any, end: int) -> bool:
        """Whether a value is a number that the end of the window may have cut in two."""
        match = _NUMBER_END.match(self._text, end)
        return isinstance(value, int | float) and match is not None and match.end() == len(self._text)

    def _read_more(self) -> bool:
        """Drop the text before the position, and at least double the rest; False at the end of the file."""
        self._lines, self._column = self._position(self._at)
        self._text = self._text[self._at :]
        self._at = 0
        try:
            more = "" if self._ended else self._handle.read(max(_PIECE, len(self._text)))
        except UnicodeDecodeError as error:
            raise _not_text(self._path, error) from None
        self._ended = not more
        self._text += more
        return bool(more)
