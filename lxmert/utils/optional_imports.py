"""The one place that says what the data side needs beyond the package's own dependencies."""

from importlib import import_module
from types import ModuleType


def require(module: str, wanted_by: str) -> ModuleType:
    """Import a module of the extra ``lxmert[data]``.

    Args:
        module: The module's dotted name, such as ``"PIL.Image"``.
        wanted_by: What needs it, as the user knows it; the subject of the error's first sentence.

    Raises:
        ImportError: If it is not installed; the message names the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{wanted_by} needs pillow, scipy and easy-vqa. Install them with: pip install "lxmert[data]". '
            f"(Importing {module} failed: {error}.)"
        ) from error


def import_extra(module: str, extra: str, wanted_by: str) -> ModuleType:
    """Import a module of one of the package's extras.

    Args:
        module: The module's dotted name.
        extra: The extra's name, such as ``"lmdb"``.
        wanted_by: What needs it, as the user knows it; the subject of the error's first sentence.

    Raises:
        ImportError: If it is not installed; the message names the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{wanted_by} needs {module}. Install it with: pip install "lxmert[{extra}]". '
            f"(Importing {module} failed: {error}.)"
        ) from error
