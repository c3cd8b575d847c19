"""Valid files to begin with, of every kind that is read; the same bytes in every run."""

from __future__ import annotations

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Special(NamedTuple):
    """What is not written as bytes: a link to `target`, or, without one, `unit` many times between two texts."""

    target: str = ""
    head: bytes = b""
    unit: bytes = b""
    count: int = 0
    tail: bytes = b""

    def write(self, path: Path) -> None:
        """Write it."""
        if self.target:
            path.symlink_to(self.target)
            return
        with path.open("wb") as file:
            file.write(self.head)
            for start in range(0, self.count, 65536):
                file.write(self.unit * min(65536, self.count - start))
            file.write(self.tail)


Files = dict[str, Any]  # bytes or `Special`, by their paths in the folder of a case


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
    """Every kind of source by its name."""
    return made_elsewhere(all_sources)


def made_elsewhere(make: Callable[[Path], Any]) -> Any:
    """What a function makes in a temporary folder, in a process of its own, which alone imports the writers."""
    with tempfile.TemporaryDirectory() as folder:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        maker = multiprocessing.get_context("spawn").Process(target=_make, args=(make, Path(folder), sender))
        maker.start()
        sender.close()
        try:
            return receiver.recv()
        except EOFError:
            raise RuntimeError("the process that makes the sources ended with an error") from None
        finally:
            maker.join()


def _make(make: Callable[[Path], Any], folder: Path, sender: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sender.send(make(folder))


def all_sources(folder: Path) -> dict[str, Source]:
    """The same in this process."""
    from . import features, pictures, texts, weights

    found: dict[str, Source] = {}
    for module in (weights, features, pictures, texts):
        place = folder / module.__name__
        place.mkdir()
        found |= module.sources(place)
    return found


def write_files(folder: Path, files: Files) -> None:
    """Write files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Special):
            content.write(path)
        else:
            path.write_bytes(content)


def read_files(folder: Path) -> Files:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
