"""Reading files of others: whatever a library raises becomes one of our errors, which names the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from .messages import escaped, shown

# Errors of the machine, or of the network of its disks; the file may be good.
_SYSTEM_ERRORS = {
    value
    for name in (
        *("EACCES", "EPERM", "ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EIO", "EROFS"),
        *("EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EDQUOT", "EFBIG"),
        *("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"),
    )
    if (value := getattr(errno, name, None)) is not None
}
_LONGEST = 300  # characters of a library's message
_DEEPEST = 100  # lists and mappings in one another


class InvalidFileError(ValueError):
    """A file is damaged, hostile or of another kind; the message is ours and names it."""


@contextmanager
def reading(where: str | Path, problem: str = "is damaged") -> Iterator[None]:
    """Turn what a library raises while it reads a file into an error that names the file.

    Libraries raise nearly anything for a damaged file, so no list of exceptions is complete; some of them do not even
    derive from `Exception` (the panics of libraries in Rust). Keep the block small: it hides faults of our own as well.

    Args:
        where: the file, and the place in it if that is known.
        problem: what is wrong with the file if this fails; the library's message follows.

    Raises:
        InvalidFileError: "WHERE PROBLEM: what the library said". An `InvalidFileError` from the block passes as it is.
        OSError: of the machine, such as too many open files, with the name of the file.
        MemoryError: there is not enough memory for what the file asks for.
    """
    try:
        yield
    except (InvalidFileError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError:
        raise MemoryError(f"{where} needs more memory than there is; nothing of it was kept.") from None
    except BaseException as error:
        if is_of_the_system(error):
            if error.filename is None:  # type: ignore[attr-defined]
                error.filename = str(where)  # type: ignore[attr-defined]
            raise
        raise InvalidFileError(f"{where} {problem}: {error_text(error)}") from None


def first_bytes(path: str | Path, count: int) -> bytes:
    """The first bytes of a file, fewer if it is shorter.

    Raises:
        OSError: the file cannot be read; it is named also where it could be opened.
    """
    with reading(path, "cannot be read"), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size  # 0 of what is no plain file
        return file.read(min(size, count) if size else count)  # room is made for all that is asked for


def read_small(path: str | Path, most: int, what: str) -> bytes:
    """The content of a file of at most `most` bytes; `what` it should be, such as "a table of answers".

    Raises:
        OSError: the file cannot be read.
        InvalidFileError: it is larger.
    """
    content = first_bytes(path, most + 1)
    if len(content) > most:
        raise InvalidFileError(f"{path} is larger than {most} bytes, too large for {what}.")
    return content


def check_depth(values: object, where: str | Path) -> None:
    """Refuse lists and mappings in one another that are deeper than any file has them.

    Python walks such values by calls of functions in one another, of which it allows about a thousand.

    Raises:
        InvalidFileError: they are more than a hundred deep, or contain themselves.
    """
    level = [values]
    for _ in range(_DEEPEST):
        parts = chain.from_iterable(
            value.values() if isinstance(value, dict) else value
            for value in level
            if isinstance(value, (dict, list, tuple, set))
        )
        # One that is there several times, by YAML's aliases, is looked at once.
        level = list({id(part): part for part in parts if isinstance(part, (dict, list, tuple, set))}.values())
        if not level:
            return
    raise InvalidFileError(f"{where} is nested more than {_DEEPEST} deep, which no such file is.")


def is_of_the_system(error: BaseException) -> bool:
    """Whether an error is of the machine or the network of its disks, and the file may be good."""
    return isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS


def error_text(error: BaseException) -> str:
    """The first line of what an error says, short and escaped, without making all of its text first."""
    if isinstance(error, (OSError, UnicodeError)):  # made of parts that are short
        said = str(error)
    else:
        first = error.args[0] if error.args else ""
        said = first if isinstance(first, str) and not isinstance(error, KeyError) else shown(first)
    lines = said[: 4 * _LONGEST].strip().splitlines()
    text = escaped(lines[0].strip()) if lines else ""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if isinstance(error, KeyError):
        return f"it lacks {text}"
    return text or type(error).__name__
