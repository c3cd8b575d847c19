"""Import what is in an extra of the package; an error names the command that installs it."""

from importlib import import_module
from types import ModuleType


def require(module: str, wanted_by: str) -> ModuleType:
    """Import a module of the extra ``lxmert[data]``; see `import_extra`."""
    return import_extra(module, "data", wanted_by, "pillow, scipy and easy-vqa", "them")


def import_extra(
    module: str, extra: str, wanted_by: str, packages: str | None = None, pronoun: str = "it"
) -> ModuleType:
    """Import a module of one of the package's extras.

    Args:
        module: The module's dotted name, such as ``"PIL.Image"``.
        extra: The extra's name, such as ``"datasets"``.
        wanted_by: What needs it, as the user knows it; the subject of the error's first sentence.
        packages: What the extra installs, as the error says it; by default the module.
        pronoun: For the packages.

    Raises:
        ImportError: If it is not installed; the message names the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{wanted_by} needs {packages or module}. Install {pronoun} with: pip install "lxmert[{extra}]". '
            f"(Importing {module} failed: {error}.)"
        ) from error
