"""Packages whose public names are imported when they are first used, so that importing the package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any


def lazy_names(
    package: str,
    modules: Mapping[str, Iterable[str]] | Callable[[], Mapping[str, Iterable[str]]],
    packages: Sequence[str] = (),
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that imports each public name on first use.

    The package lists the same names below `TYPE_CHECKING`, for type checkers and editors.

    Args:
        package: the `__name__` of the package.
        modules: the modules, and the names that each of them defines; or a function that returns this mapping.
        packages: the names of packages inside of it that are imported in the same way.
    """

    @cache
    def module_of_name() -> dict[str, str]:
        given = modules() if callable(modules) else modules
        return {name: home for home, names in given.items() for name in names}

    def get(name: str) -> Any:
        if name in packages:
            module = f"{package}.{name}"
            return import_module(module)
        known = {} if name.startswith("__") else module_of_name()  # Python asks for names of its own
        if name not in known:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted({*known, *packages}))}."
            )
        value = getattr(import_module(known[name]), name)
        setattr(sys.modules[package], name, value)  # the next look-up does not come here again
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *module_of_name(), *packages})
