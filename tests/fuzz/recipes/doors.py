"""Doors for what is no damage of a file: names, links, few open files, other terminals, files that are cut in use."""

from __future__ import annotations

import contextlib
import io
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from ..doors import Door, Visit, answerer, ask, command, convert, import_features, inspect, read_all

_FILES = 64  # that may be open at a time, as by `ulimit -n 64`


def convert_to(visit: Visit) -> None:
    """`lxmert convert` to the target that the source names."""
    [path] = visit.paths()
    command(visit, "convert", path, visit.folder / visit.source.options[-1], "--quiet")


def import_to(visit: Visit) -> None:
    """`lxmert features import` into the target that the source names, then `check`."""
    target = visit.folder / visit.source.options[-1]
    command(visit, "features", "import", *visit.paths(), target)
    if command(visit, "features", "check", target):
        raise AssertionError("what was imported is damaged")


def with_few_files(door: Door) -> Door:
    """A door in a process that may open few files."""

    def opens(visit: Visit) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, before[1]))
        try:
            door(visit)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    return opens


def inspect_in_ascii(visit: Visit) -> None:
    """`lxmert inspect` where the terminal has no other letters."""
    from lxmert import cli

    [path] = visit.paths()
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as out, io.StringIO() as error:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = cli.main(["inspect", str(path), "--all"])
        if status:
            raise ValueError(error.getvalue())


def cut_store(visit: Visit) -> None:
    """A store whose file is cut after it was opened: an error of that file, or what was read before."""
    from lxmert.data.features import open_regions

    [path], name = visit.paths(), visit.source.options[0]
    store = open_regions(path)
    os.truncate(path / name, 3)
    names = store.names
    store.sizes(range(len(names)))
    store.batch(range(len(names)), labels=True)
    store.places(names)
    store.check(range(len(names))) if hasattr(store, "check") else None


def ask_many(visit: Visit) -> None:
    """A question about several pictures, one after the other and together; what is kept of them counts."""
    for path in visit.paths():
        with contextlib.suppress(ValueError):
            answerer().find_regions([path])
    answerer().find_regions(visit.paths())


def ask_blanks(visit: Visit) -> None:
    """A question behind blanks."""
    [path] = visit.paths()
    question = " " * int(visit.source.options[0]) + "what color is the circle?"
    with _told_of(path, "text"):
        answerer()(answerer().find_regions([path]), [question])


def tokenize_blanks(visit: Visit) -> None:
    """A text behind blanks."""
    from lxmert.common.tokenizer import LxmertTokenizer

    [path] = visit.paths()
    with _told_of(path, "text"):
        LxmertTokenizer.from_pretrained(path)(
            " " * int(visit.source.options[0]) + "want", truncation=True, max_length=9
        )


@contextlib.contextmanager
def _told_of(path: Path, word: str) -> Iterator[None]:
    """The error of what is no file names what it is."""
    try:
        yield
    except ValueError as error:
        if word not in str(error):
            raise
        raise ValueError(f"{path}: {str(error)[:1000]}") from None


MORE_DOORS: dict[str, Door] = {
    "convert to": convert_to,
    "import to": import_to,
    "open with few files": with_few_files(read_all),
    "inspect with few files": with_few_files(inspect),
    "convert with few files": with_few_files(convert),
    "import with few files": with_few_files(import_features),
    "inspect in ASCII": inspect_in_ascii,
    "cut store": cut_store,
    "ask many": ask_many,
    "ask blanks": ask_blanks,
    "ask": ask,
    "tokenize blanks": tokenize_blanks,
}
