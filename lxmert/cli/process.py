"""What a command changes in its own process: output, warnings, log messages, signals, and what TensorFlow writes.

Everything is set back when the command ends. Nothing is changed where `main` runs in another thread than the main one:
warnings, signals and file descriptors belong to the process, which may not be the command's.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

TERMINATED = 128 + 15  # the exit status that shells report of a terminated command


@contextmanager
def command_process(command: str, quiet: bool = False) -> Iterator[None]:
    """Run a command: plain warnings and log messages, an orderly end after SIGTERM, fewer messages of TensorFlow.

    Args:
        command: its name, which warnings begin with.
        quiet: whether to leave out log messages that are no warnings.
    """
    if not _owns_process():
        yield
        return
    with _tensorflow_messages(), _plain_warnings(command), _plain_log(command, quiet), _handle_sigterm():
        yield


@contextmanager
def without_stderr() -> Iterator[None]:
    """Discard what native code writes to standard error, file descriptor 2, for a while."""
    if not _owns_process():
        yield
        return
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def opened_streams() -> Iterator[None]:
    """Discard what is printed where the process was started without standard output or error (`>&-`).

    Python has None for such a stream, and the next file that is opened takes its descriptor, to which libraries write.
    """
    if not _owns_process():
        yield
        return
    descriptors = []
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
        descriptors.append(descriptor)
    os.close(descriptor)
    missing = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name in missing:
            setattr(sys, name, nowhere)
        try:
            yield
        finally:
            for name in missing:
                setattr(sys, name, None)
            for descriptor in descriptors:
                os.close(descriptor)


@contextmanager
def printable_output() -> Iterator[None]:
    """Escape the characters that the encoding of the terminal lacks, which Python would refuse to print."""
    before = [
        (stream, stream.errors)
        for stream in (sys.stdout, sys.stderr)
        if _owns_process() and isinstance(stream, io.TextIOWrapper)
    ]
    for stream, _ in before:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before:
            with suppress(OSError, ValueError):  # it also writes the rest, which the command has reported already
                stream.reconfigure(errors=errors)


def can_print(text: str) -> bool:
    """Whether standard output has these characters in its encoding."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_error(text: str) -> None:
    """Print to standard error. Control characters, which file names may contain, do not reach the terminal."""
    from lxmert.utils.messages import escaped

    print(escaped(text, lines=True), file=sys.stderr)


def _owns_process() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _tensorflow_messages() -> Iterator[None]:
    """Set TF_CPP_MIN_LOG_LEVEL to errors, unless the user has set it."""
    given = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        yield
    finally:
        if given is None:
            os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)


@contextmanager
def _handle_sigterm() -> Iterator[None]:
    """Turn SIGTERM, of `kill` or of a batch system, into an exception, so that unfinished files are removed."""

    def end(*_: object) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    """Print each warning for users once, in one line, without a line of source code."""
    printed = set()
    others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, UserWarning):
            others(message, category, filename, lineno, file, line)
        elif str(message) not in printed:
            printed.add(str(message))
            print_error(f"lxmert {command}: warning: {message}")

    with warnings.catch_warnings():  # sets `showwarning` back too
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


class _PlainHandler(logging.Handler):
    """Prints each message of this package once, in one line; of several processes only the first one prints."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"lxmert {self._command}: warning: {text}"
        if text not in self._printed and os.environ.get("RANK", "0") == "0":
            self._printed.add(text)
            print_error(text)


@contextmanager
def _plain_log(command: str, quiet: bool) -> Iterator[None]:
    """Print what this package logs from the level INFO on, or only warnings."""
    logger, handler = logging.getLogger("lxmert"), _PlainHandler(command)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
