"""TOML from outside: bounded in size and depth, and errors that name the file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from .foreign_files import InvalidFileError, check_depth, read_small, reading

LARGEST_TOML = 2**16
# The library takes the square of the parts of a key: seconds for one that fills a file of this size.
_PART = rb"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rb"(?<![\w\\-])(?:%b){100}" % _PART)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: the file cannot be read.
        ValueError: not TOML, nested very deep, or far larger than settings are.
    """
    text = read_small(path, LARGEST_TOML, "settings in TOML")
    if _LONG_KEY.search(text):
        raise InvalidFileError(f"{path} has a key of more than 100 parts, which settings have not.")
    with reading(path, "is not a TOML file"):
        values = tomllib.loads(text.decode())
    check_depth(values, path)
    return values
