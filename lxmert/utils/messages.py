"""Sentences that several errors share, and text from files made safe to show."""

import difflib
import inspect
import reprlib
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from typing import Any


def unknown_keyword_message(name: str, known: Iterable[str], kind: str = "keyword") -> str:
    """Say that `name` is no known keyword, or another kind of name, and which known one is most similar."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else f" Known: {', '.join(known)}."
    return f"unexpected {kind} {name!r}.{hint}"


def nearly_known(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is so similar to that it is surely a misspelling of it; None if there is none.

    'layer_norm_epsilon' is one of 'layer_norm_eps', 'sep_token_id' is none of 'eos_token_id'.
    """
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.85)), None)


def check_keywords(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that `owner` does not know.

    Raises:
        TypeError: naming the first unknown keyword and the most similar known one.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise TypeError(f"{owner}: {unknown_keyword_message(name, known)}")


def signature_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the arguments that a function takes by keyword only."""
    arguments = inspect.signature(function).parameters.values()
    return tuple(argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY)


def constructor_names(kind: type) -> tuple[str, ...]:
    """The names of the arguments that the constructor of a class takes by keyword."""
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(p.name for p in parameters if p.kind in kinds and p.name != "self")


def is_plain(character: str) -> bool:
    """Whether a character may be shown as it is: it is printable, or a space of any width."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def escaped(text: str, lines: bool = False) -> str:
    """Escape a text from a file, such as the name of a tensor, so that it can be shown.

    Control characters, characters that change the direction of text, and surrogates are escaped as in Python strings.

    Args:
        text: any text.
        lines: whether it may have several lines and tabs.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c in kept or is_plain(c) else c.encode("unicode_escape").decode("ascii") for c in text)


class _BoundedRepr(reprlib.Repr):
    """Python's own short form, also of what it would write out: huge integers, and objects of other libraries."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 128 else f"an integer of {x.bit_length():,} bits"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x) if len(x) <= self.maxstring else f"{x[: self.maxstring]!r}…"

    def repr_instance(self, x: object, level: int) -> str:
        plain = x is None or isinstance(x, (bool, float, complex, type))
        return repr(x) if plain else f"<{type(x).__name__}>"


def shown(value: object, most: int = 80) -> str:
    """A value from a file as `repr` writes it, cut to about `most` characters without making the whole first.

    Text is escaped. Containers show their first items, and those in them to a depth of three.
    """
    short = _BoundedRepr()
    short.maxlevel, short.maxdict, short.maxlist, short.maxtuple, short.maxset = 3, 4, 6, 6, 6
    short.maxstring = short.maxother = most
    if isinstance(value, str):
        return repr(value) if len(value) <= most else f"{value[:most]!r}…"
    text = short.repr(value)
    return text if len(text) <= 2 * most else text[: 2 * most] + "…"


def first_few(names: Iterable[str], most: int | None = 8, hint: str = "") -> str:
    """The first `most` names from files, escaped, and how many more there are, with a hint where to find them."""
    names = list(names)
    more = 0 if most is None else len(names) - most
    return ", ".join(map(escaped, names[:most])) + (f" and {more:,} more{hint}" if more > 0 else "")


def warn_caller(message: str) -> None:
    """Warn at the line outside of this package that called it, however deep it is in our own code."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "lxmert":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
