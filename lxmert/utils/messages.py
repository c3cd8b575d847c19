"""Sentences that several errors share, and text from files made safe to show."""

import datetime
import difflib
import inspect
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import PurePath
from typing import Any

_LONGEST_NAME = 300  # characters of a name that are shown, or compared with known names


def unknown_keyword_message(name: str, known: Iterable[str], kind: str = "keyword") -> str:
    """Say that `name` is no known keyword, or another kind of name, and which known one is most similar."""
    known = list(known)
    nearest = _similar(name, known, 0.5)
    hint = f" Did you mean {nearest!r}?" if nearest else f" Known: {', '.join(known)}."
    return f"unexpected {kind} {shown(name)}.{hint}"


def nearly_known(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is so similar to that it is surely a misspelling of it; None if there is none.

    'layer_norm_epsilon' is one of 'layer_norm_eps', 'sep_token_id' is none of 'eos_token_id'.
    """
    return _similar(name, known, 0.85)


def _similar(name: str, known: Iterable[str], cutoff: float) -> str | None:
    """The most similar known name; a name from a file may be too long to compare, or no text."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


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
    wrong = [character for character in set(text) if character not in kept and not is_plain(character)]
    return text.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in wrong})


def shown(value: object, most: int = 80) -> str:
    """A value from a file as `repr` writes it, cut to about `most` characters without making the whole first.

    Text is escaped. Containers show their first items, and those in them to a depth of three; arrays show their shape,
    other objects their class.
    """
    text = _written(value, most, _LEVELS)
    return text if len(text) <= 2 * most else text[: 2 * most] + "…"


_LEVELS = 3  # of containers in containers that are shown
_ITEMS: dict[type, int] = {dict: 4, list: 6, tuple: 6, set: 6, frozenset: 6}  # that are shown of a container
_BITS = 128  # of an integer whose digits are shown; to write those of a huge one takes the square of their number
_SHORT = (bool, float, complex, type, datetime.date, datetime.time)


def _written(value: object, most: int, levels: int) -> str:
    if isinstance(value, (str, bytes, bytearray)):
        return repr(value) if len(value) <= most else f"{value[:most]!r}…"
    if value is None or isinstance(value, _SHORT):
        return repr(value)
    if isinstance(value, int):
        size = value.bit_length()
        return int.__repr__(value) if size <= _BITS else f"an integer of {size:,} bits"
    if isinstance(value, PurePath):
        return f"{type(value).__name__}({_written(str(value), most, levels)})"
    kind = next((kind for kind in _ITEMS if isinstance(value, kind)), None)
    if kind is not None:
        return _written_items(value, kind, most, levels)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        numbers = getattr(getattr(value, "dtype", None), "kind", "") in tuple("biufcmM")
        return repr(value) if numbers and not shape else f"<{type(value).__name__} of shape {list(shape[:8])}>"
    return f"<{type(value).__name__}>"


def _written_items(container: Any, kind: type, most: int, levels: int) -> str:
    start, end = "[]" if kind is list else "()" if kind is tuple else "{}"
    if not levels:
        return f"{start}…{end}" if container else f"{start}{end}"
    taken = islice(container.items() if kind is dict else container, _ITEMS[kind])
    if kind is dict:
        items = [": ".join(_written(part, most, levels - 1) for part in pair) for pair in taken]
    else:
        items = [_written(item, most, levels - 1) for item in taken]
    if kind in (set, frozenset):
        items.sort()  # their order is another one in each process
        start, end = ("{", "}") if kind is set and items else (f"{kind.__name__}(", ")")
        start, end = (f"{start}{{", f"}}{end}") if kind is frozenset and items else (start, end)
    more = ", …" if len(container) > len(items) else "," if kind is tuple and len(items) == 1 else ""
    return f"{start}{', '.join(items)}{more}{end}"


def first_few(names: Iterable[str], most: int | None = 8, hint: str = "") -> str:
    """The first `most` names from files, escaped, and how many more there are, with a hint where to find them."""
    names = list(names)
    more = 0 if most is None else len(names) - most
    return ", ".join(map(_short_name, names[:most])) + (f" and {more:,} more{hint}" if more > 0 else "")


def _short_name(name: str) -> str:
    return escaped(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")


def warn_caller(message: str) -> None:
    """Warn at the line outside of this package that called it, however deep it is in our own code."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "lxmert":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
