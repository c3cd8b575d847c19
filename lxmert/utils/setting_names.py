"""How a message names a setting: in Python as an argument, in a command as the option that sets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

CONFIG_FIELDS = "model_config"
"""The setting that holds fields of a model's configuration."""

_options: ContextVar[Mapping[str, str]] = ContextVar("options of the command", default={})  # noqa: B039 - not changed


def setting(name: str) -> str:
    """The name of a setting as its user writes it: `batch_size`, or in a command that has the option, `--batch-size`.

    Every message that a command may print names its settings by this.
    """
    return _options.get().get(name, name)


def config_field(name: str, value: object) -> str:
    """A field of a model's configuration with a value: `l_layers=3`, or in a command `--set l_layers=3`."""
    option = _options.get().get(CONFIG_FIELDS)
    return f"{name}={value}" if option is None else f"{option} {name}={value}"


def in_command() -> bool:
    """Whether a command runs, whose user can set options and no other arguments."""
    return bool(_options.get())


@contextmanager
def named_as_options(options: Mapping[str, str]) -> Iterator[None]:
    """In this block, name settings as the options of a command.

    Args:
        options: the option of each setting, by the setting's name.
    """
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)
