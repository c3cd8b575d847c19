"""Read the next images while those before are checked and written: reading and writing both wait for the disk."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import repeat

from lxmert.utils.run_ahead import run_ahead

from .image_regions import ImageRegions
from .sources.base import Entry

_MOST = 4  # images that are read and not yet taken
_Read = tuple[Entry, ImageRegions | ValueError]


def read_ahead(entries: Iterator[Entry]) -> Generator[_Read, None, None]:
    """The images of a source in order, each with its regions, or with the error that reading them gave.

    One thread reads them, so sources need not be thread-safe. Close the iterator to end the thread.

    Raises:
        ValueError: what `entries` raises.
    """

    def read_next() -> _Read | None:
        entry = next(entries, None)
        if entry is None:
            return None
        try:
            return entry, entry.read()
        except ValueError as error:
            return entry, error

    try:
        with closing(run_ahead(repeat(read_next), most=_MOST)) as results:
            for found in results:
                if found is None:
                    return
                yield found
    finally:
        close = getattr(entries, "close", None)
        if close is not None:  # a generator, which may hold files open
            close()
