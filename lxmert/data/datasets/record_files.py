"""Files of records in any container: a JSON list, JSON lines, a table (CSV, TSV), a JSON object with a list."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.json_files import unique_members
from lxmert.utils.messages import shown

from .json_reader import first_character, json_items, json_lines, list_items

_FIRST_LINE = 2**20  # characters of a line that may be a record; the whole of an official file can be one line
_MOST_MEMBERS = 100  # of an object, that are looked at to find its list
_LISTS = {"questions", "annotations", "data"}  # the lists of records in an object
_MAPPINGS = {"answers", "answer", "label"}  # the members of a record that may be objects


class Container(NamedTuple):
    """What holds the records of a file.

    Attributes:
        kind: "list", "lines", "table" or "object".
        first: the first record; None if there is none. Of an object the first entry of its first list.
        key: of the list in an object; None without one.
    """

    kind: str
    first: Any
    key: str | None = None


def open_container(path: str) -> Container:
    """Recognize the container of a file by its content.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty, or neither JSON nor a table.
    """
    start = first_character(path)
    if not start:
        raise ValueError(f"{path} is empty; questions in JSON, JSON lines or CSV are expected.")
    if start == "[":
        return Container("list", next((value for _, value in list_items(path)), None))
    if start != "{":
        return Container("table", next((value for _, value in table_rows(path)), None))
    if _has_json_lines(path):
        return Container("lines", next((value for _, value in json_lines(path)), None))
    # An object with a list has a short header before it; GQA's objects have a million members, and no list.
    entry = next((item for item in islice(json_items(path), _MOST_MEMBERS) if item.place is not None), None)
    return Container("object", None, None) if entry is None else Container("object", entry.value, entry.key)


def container_records(path: str, container: Container) -> Iterator[tuple[int, Any]]:
    """The records of a file and their numbers, from 1 (of JSON lines: the numbers of the lines)."""
    if container.kind == "list":
        yield from list_items(path)
    elif container.kind == "lines":
        yield from json_lines(path)
    elif container.kind == "table":
        yield from table_rows(path)
    else:
        for key, place, value in json_items(path):
            if key == container.key and place is not None:
                yield place + 1, value


def _has_json_lines(path: str) -> bool:
    """Whether the first line of a file is an object alone, as a record is, and not one that holds lists of records."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            line = next((line for line in iter(lambda: file.readline(_FIRST_LINE), "") if not line.isspace()), "")
            following = file.readline(_FIRST_LINE)
    except UnicodeDecodeError:  # the reader says where
        return False
    try:
        value = json.loads(line, object_pairs_hook=unique_members)
    except (ValueError, RecursionError):  # perhaps one damaged record of many
        return line.rstrip().endswith("}") and following.startswith("{")
    if not isinstance(value, dict) or len(value) < 2 or value.keys() & _LISTS:
        return False
    return not any(isinstance(member, dict) for key, member in value.items() if key not in _MAPPINGS)


def table_rows(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header as objects, and their numbers, from 1.

    Columns are separated by tabs if the header has one, by semicolons if it has one and no comma (as spreadsheets write
    CSV in many languages), otherwise by commas. Empty cells and columns without a name are left out.

    Raises:
        ValueError: not a text, a header that names a column twice, or a row of another length.
    """
    with reading(path, "is not a table in CSV"), open(path, encoding="utf-8-sig", newline="") as file:
        header_line = file.readline(_FIRST_LINE)
        file.seek(0)
        rows = csv.reader(file, delimiter=_delimiter(header_line), strict=True)
        header = [name.strip() for name in next(rows, [])]
        names = list(filter(None, header))
        if len(names) < 2 or len(set(names)) < len(names):
            raise InvalidFileError(
                f"{path} is neither JSON nor a table: its first line must name two columns or more, each once; "
                f"it is {shown(header_line.strip(), 60)}."
            )
        for number, row in enumerate(filter(None, rows), 1):
            if len(row) != len(header):
                raise InvalidFileError(
                    f"{path}, record {number:,}: a row must have {len(header)} cells, as the header; it has {len(row)}."
                )
            yield number, {name: cell for name, cell in zip(header, row, strict=True) if name and cell}


def _delimiter(header: str) -> str:
    if "\t" in header:
        return "\t"
    return ";" if ";" in header and "," not in header else ","
