"""Sentences that several errors share. Separate, so that every part words them alike."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def unknown_keyword_message(name: str, known: Iterable[str]) -> str:
    """Say that `name` is no known keyword, and which known one is nearest to it.

    Args:
        name: the keyword as the user typed it.
        known: the keywords that exist.
    """
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else f" Known: {', '.join(known)}."
    return f"unexpected keyword {name!r}.{hint}"


def check_keywords(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that `owner` does not know.

    Raises:
        TypeError: naming the first unknown keyword and the nearest known one.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise TypeError(f"{owner}: {unknown_keyword_message(name, known)}")


def signature_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the arguments that a function takes by keyword only."""
    arguments = inspect.signature(function).parameters.values()
    return tuple(argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY)
