"""LMDB stores with a pickled dict per image, as ViLBERT, volta and mmf write them; the key is the image's id.

Neither the LMDB library nor `pickle` is needed: both would trust the file.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, Entry, SourceOptions
from lxmert.data.features.sources.pictures import PictureReader, read_first
from lxmert.utils.messages import shown
from lxmert.utils.plain_pickle import parse_plain_pickle

from .lmdb_pages import LmdbEntry, LmdbFile
from .rows import check_image_size

_KEYS = b"keys"  # the entry that lists the ids


class LmdbStore:
    """A folder with data.mdb, or a single file; a `Source`.

    Raises:
        ValueError: damaged, truncated or empty.
    """

    def __init__(self, path: Path, options: SourceOptions | None = None):
        self.path, self.rows_without_id = path, 0
        self._file = LmdbFile(path / "data.mdb" if path.is_dir() else path)
        weakref.finalize(self, self._file.close)
        listed = next(self._file.entries(_KEYS), None)
        self._count, self.size = self._file.count - (listed is not None and listed.key == _KEYS), self._file.size
        if self._count < 1:
            raise ValueError(f"{path} is an LMDB store without images.")
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is the number of the next image, and the key of the one before it."""
        number, last = (position["next"], position["last"].encode("latin-1")) if position else (0, None)
        found = self._file.entries(last)
        if last is not None and getattr(next(found, None), "key", None) != last:
            raise ValueError(
                f"{self.path} has changed since the import began: {shown(last.decode('utf-8', 'replace'))}, the last "
                "image that was read, is gone. Pass it as it was, or start over (--restart)."
            )
        for entry in found:
            if entry.key == _KEYS:
                continue
            number += 1
            name = entry.key.decode("utf-8", "replace")
            after = {"next": number, "last": entry.key.decode("latin-1")}
            size = self.consumed(after) - self.consumed({"next": number - 1})
            where = f"{self.path}, image {shown(name)}"
            yield Entry(where, size, after, partial(self._read, name, entry))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`: images count alike."""
        return self.size * min(position["next"], self._count) // self._count if position else 0

    def _read(self, name: str, entry: LmdbEntry) -> ImageRegions:
        check_image_size("it", entry.size)
        content = parse_plain_pickle(self._file.value(entry), "its value")
        if not isinstance(content, dict):
            raise DamagedImage("its value must be a pickled dict of features, boxes and the image's size.")
        return self._reader.regions(name, content)
