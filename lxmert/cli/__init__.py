"""The command `lxmert`: finds the subcommand, and reports a user's mistake in one sentence instead of a traceback.

A subcommand is a module of this package, named like it, and listed in COMMANDS. It has `SUMMARY`, a line for `--help`;
`add_arguments(parser)`, which declares its arguments; and `run(arguments)`, which does the work and returns the exit
status. At its top it imports nothing that is slow to import: `run` imports what it needs.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from lxmert import __version__
from lxmert.utils.setting_names import named_as_options

from .parser import Parser, option_names
from .process import command_process, opened_streams, print_error, printable_output

COMMANDS = (
    "ask",
    "explain",
    "demo",
    "convert",
    "inspect",
    "compare",
    "features",
    "data",
    "train",
    "plot",
    "evaluate",
    "predict",
)

# Errors that a user can cause: wrong values, missing files, a framework that is not installed, too little memory. Any
# other error is a bug of this package, and keeps its traceback.
USER_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError)
_LIMITS = {
    errno.EMFILE: ", more than this process may have (ulimit -n)",
    errno.EAGAIN: ", as where a user may have no more processes (ulimit -u)",
}
# The exit statuses that shells report of a command that these signals ended.
_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        The exit status: that of the subcommand, or 1 after an error.

    Raises:
        SystemExit: after `--help` and `--version` (status 0), and for arguments that do not parse (status 2).
    """
    with opened_streams(), printable_output():
        return _run(sys.argv[1:] if argv is None else list(argv))


def _run(argv: list[str]) -> int:
    parser = Parser(prog="lxmert", description="LXMERT and VisualBERT for PyTorch and Keras 3.")
    parser.add_argument("--version", action="version", version=f"lxmert {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    for name in [chosen] if chosen in COMMANDS else COMMANDS:
        module = import_module(f"{__name__}.{name}")
        command = commands.add_parser(name, help=module.SUMMARY, description=_sentence(module.SUMMARY))
        if name == chosen:  # the arguments of the others are not parsed, and some are slow to declare
            module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        quiet = getattr(arguments, "quiet", False)
        with command_process(arguments.command, quiet), named_as_options(option_names(arguments)):
            status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print(f"lxmert {arguments.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of the output is gone. Python would report that when it flushes at exit, so discard the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except USER_ERRORS as error:
        print_error(f"lxmert {arguments.command}: error: {_message(error)}")
        return 1


def _sentence(summary: str) -> str:
    return summary[:1].upper() + summary[1:] + "."


def _message(error: BaseException) -> str:
    """The message of an error; errors of the system put the file after an error number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}{_LIMITS.get(error.errno or 0, '')}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # every file that is written is named
        return f"standard output: {error.strerror}"
    if isinstance(error, MemoryError) and not str(error):
        return "there is not enough memory"
    return str(error) or type(error).__name__
