"""The command `lxmert`: finds the subcommand, and says a user's mistake in one sentence instead of a traceback.

A subcommand is a module of this package, named like it, and listed in COMMANDS. It has `SUMMARY`, a line for `--help`;
`add_arguments(parser)`, which declares its arguments; and `run(arguments)`, which does the work and gives the exit
status. At its top it imports nothing that is slow to import: `run` imports what it needs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from lxmert import __version__

COMMANDS = ("ask", "demo", "convert", "inspect", "compare", "features", "data", "train", "evaluate", "predict")

# What a user can cause: wrong values, absent files, a framework that is not installed. Anything else is our mistake,
# and keeps its traceback.
USER_ERRORS = (ValueError, TypeError, OSError, ImportError)
_INTERRUPTED = 128 + 2  # as shells report a command that Ctrl-C ended
_BROKEN_PIPE = 128 + 13
_TERMINATED = 128 + 15


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        The exit status: that of the subcommand, or 1 after an error.

    Raises:
        SystemExit: after `--help` and `--version` (status 0), and for arguments that do not parse (status 2).
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _Parser(prog="lxmert", description="LXMERT and VisualBERT for PyTorch and Keras 3.")
    parser.add_argument("--version", action="version", version=f"lxmert {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in argv[:1] if argv and argv[0] in COMMANDS else COMMANDS:
        module = import_module(f"{__name__}.{name}")
        command = commands.add_parser(name, help=module.SUMMARY, description=_sentence(module.SUMMARY))
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    # TensorFlow tells much about the machine on stderr; who wants to read it sets the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _plain_warnings(arguments.command), _ending_in_order():
            status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print(f"lxmert {arguments.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left. Python would complain when it flushes at exit, so that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except USER_ERRORS as error:
        _complain(f"lxmert {arguments.command}: error: {_told(error)}")
        return 1


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names only: what is short for one today is short for two tomorrow.

    The parsers of subcommands are of this class too, because argparse makes them of their parent's.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """When the process is asked to end, by `kill` or a batch system, remove what is half written, as after Ctrl-C."""

    def end(*_: object) -> None:
        raise SystemExit(_TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only the main thread may listen
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    """Say a warning to the user as an error is said: in one line, once, without a line of source code."""
    told = set()

    others = warnings.showwarning

    def show(message: Any, category: type[Warning], *place: Any) -> None:
        if not issubclass(category, UserWarning):
            others(message, category, *place)
        elif str(message) not in told:
            told.add(str(message))
            _complain(f"lxmert {command}: warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _complain(text: str) -> None:
    """Print to stderr. What files and their names bring along does not reach the terminal as commands."""
    from lxmert.utils.messages import escaped

    print(escaped(text, lines=True), file=sys.stderr)


def _sentence(summary: str) -> str:
    return summary[:1].upper() + summary[1:] + "."


def _told(error: BaseException) -> str:
    """The message of an error; those of the system put the file after an error number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
