"""The parser of the command line: no abbreviations, and the nearest name for one that is misspelled."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

# The dest of an option is the name of its setting, but for these.
_SETTINGS = {"set": "model_config"}
_NO_SETTINGS = ("run", "command", "task", "option_names")


class Parser(argparse.ArgumentParser):
    """A parser without abbreviated options: one that is unique today may not be tomorrow.

    The parsers of subcommands are of this class too, because argparse creates them from their parent's class.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, but first refuse options that do not exist: a misspelled one is not a missing one."""
        for given in _options_in(args or (), leading=self._subparsers is not None):
            name = given.partition("=")[0]
            if name not in self._option_string_actions:
                hint = _nearest(name, self._option_string_actions)
                self.error(f"unknown option {name}; {hint or f'{self.prog} --help lists the options'}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, without control characters, and exit."""
        from lxmert.utils.messages import escaped

        super().error(escaped(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        hint = _nearest(str(value), known)
        listed = f"(choose from {', '.join(known)})"
        if action.option_strings:
            if hint is None and action.nargs == "+" and any(not one.option_strings for one in self._actions):
                hint = f"{action.option_strings[0]} takes all that follows it: put what is none of its values before it"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{f'; {hint}' if hint else ''} {listed}")
        kind = str(action.metavar or action.dest).lower()  # a command, or a task
        raise argparse.ArgumentError(None, f"unknown {kind} {value!r}{f'; {hint}' if hint else ''} {listed}")


class Instead(argparse.Action):
    """A flag in whose presence the positional arguments of its command need not be given."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Set the flag."""
        setattr(namespace, self.dest, True)
        for action in parser._actions:
            action.required = action.required and bool(action.option_strings)


def option_names(arguments: argparse.Namespace) -> Mapping[str, str]:
    """The options of a command by the names of the settings that they set, for messages.

    A command whose option has another name than its setting says so in `option_names` of its defaults.
    """
    names = [name for name in vars(arguments) if name not in _NO_SETTINGS]
    named = {_SETTINGS.get(name, name): f"--{name.replace('_', '-')}" for name in names}
    return {**named, **getattr(arguments, "option_names", {})}


def _options_in(arguments: Sequence[str], leading: bool) -> Iterable[str]:
    """The long options in the arguments; with `leading` those before the name of a subcommand."""
    for argument in arguments:
        if argument == "--" or (leading and not argument.startswith("-")):
            return
        if argument.startswith("--") and " " not in argument:  # with a space it is a text, as argparse has it
            yield argument


def _nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib

    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {nearest[0]}?" if nearest else None
