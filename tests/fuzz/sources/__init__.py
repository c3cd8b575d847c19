"""Valid files to begin with, of every kind that is read; the same bytes in every run."""

from __future__ import annotations

import multiprocessing
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

Files = dict[str, bytes]  # by their paths in the folder of a case


class Source(NamedTuple):
    """Valid files.

    Attributes:
        files: by name; damage is done to the first of them most often.
        doors: the names of what opens them (tests/fuzz/doors.py).
        opened: what a door is given, names of `files` or of folders; the folder of the case by default.
        options: arguments of the command, or what the door needs to know; "@NAME" is a file's path.
        odd: whether it is valid for its format, but may be refused.
    """

    files: Files
    doors: tuple[str, ...]
    opened: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    odd: bool = False


def make_sources() -> dict[str, Source]:
    """Every kind of source by its name. They are made in a process of its own, which alone imports the writers."""
    with tempfile.TemporaryDirectory() as folder:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        maker = multiprocessing.get_context("spawn").Process(target=_make, args=(Path(folder), sender))
        maker.start()
        sender.close()
        try:
            return receiver.recv()
        except EOFError:
            raise RuntimeError("the process that makes the sources ended with an error") from None
        finally:
            maker.join()


def _make(folder: Path, sender: object) -> None:
    from . import features, pictures, texts, weights

    found: dict[str, Source] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in (weights, features, pictures, texts):
            place = folder / module.__name__
            place.mkdir()
            found |= module.sources(place)
    sender.send(found)  # type: ignore[attr-defined]


def read_files(folder: Path) -> Files:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
