"""What `huggingface_hub` raises, which is imported when it is first needed."""

from __future__ import annotations

from .messages import escaped

_LONGEST = 500  # characters of a message, which may hold what a server answered


def library_errors() -> tuple[type[Exception], ...]:
    """What the library raises for the network, the hub's answers, the account and the disk: it has no common class."""
    from huggingface_hub import errors

    # Its own, and that of the HTTP library that it uses.
    own = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    # OSError: sockets and disks. RuntimeError: its downloads in chunks. The others: an answer that is not the hub's.
    return (*own, OSError, RuntimeError, ValueError, LookupError, TypeError)


def first_line(error: Exception) -> str:
    """The library's message, without its advice to programmers."""
    lines = str(error).strip()[:_LONGEST].splitlines()
    return escaped(lines[0].strip().rstrip(".")) if lines else type(error).__name__
