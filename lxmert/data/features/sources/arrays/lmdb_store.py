"""LMDB stores with a pickled dict per image, as ViLBERT, volta and mmf write them; the key is the image's id.

The pickles are read without running them. The store is opened read-only and without a lock, and anew now and then, so
that the pages of its memory map do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, Entry, SourceOptions
from lxmert.data.features.sources.pictures import PictureReader, read_first
from lxmert.utils.messages import escaped
from lxmert.utils.optional_imports import import_extra
from lxmert.utils.plain_pickle import parse_plain_pickle

from .rows import MAX_IMAGE_BYTES

_KEYS = b"keys"  # the entry that lists the ids
_REOPEN = 64 * 2**20  # bytes of values


class LmdbStore:
    """A folder with data.mdb, or a single file; a `Source`.

    Raises:
        ImportError: lmdb is not installed.
        ValueError: damaged, truncated or empty.
    """

    def __init__(self, path: Path, options: SourceOptions | None = None):
        self._lmdb = import_extra("lmdb", "lmdb", f"{path} is an LMDB store. Reading it")
        self.path, self.rows_without_id = path, 0
        self._file = path / "data.mdb" if path.is_dir() else path
        environment = self._open()
        try:
            last = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            held = self._file.stat().st_size
            if held < last:  # reading pages that are not there would end the process
                raise ValueError(f"{self._file} is truncated: it has {held:,} of {last:,} bytes.")
            with environment.begin() as transaction:
                count, has_keys = transaction.stat()["entries"], transaction.get(_KEYS) is not None
        except self._lmdb.Error as error:
            raise ValueError(f"{path} is a damaged LMDB store: {error}.") from None
        finally:
            environment.close()
        self._count, self.size = count - has_keys, last
        if not self._count:
            raise ValueError(f"{path} is an LMDB store without images.")
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is the number of the next image, and the key of the one before it."""
        number, last = (position["next"], position["last"].encode("latin-1")) if position else (0, None)
        while True:
            read = 0
            environment = self._open()
            try:
                for key, value in self._after(environment, last, bool(position)):
                    number, last, read = number + 1, key, read + len(value)
                    name = key.decode("utf-8", "replace")
                    after = {"next": number, "last": key.decode("latin-1")}
                    size = self.consumed(after) - self.consumed({"next": number - 1})
                    where = f"{self.path}, image {escaped(name)!r}"
                    yield Entry(where, size, after, partial(self._read, name, value))
                    if read >= _REOPEN:
                        break
                else:
                    return
            finally:
                environment.close()

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`: images count alike."""
        return self.size * min(position["next"], self._count) // self._count if position else 0

    def _open(self) -> Any:
        try:
            return self._lmdb.open(
                str(self.path), subdir=self.path.is_dir(), readonly=True, lock=False, create=False, readahead=False
            )
        except self._lmdb.Error as error:
            raise ValueError(f"{self.path} is not an LMDB store, or damaged: {error}.") from None

    def _after(self, environment: Any, last: bytes | None, resumed: bool) -> Iterator[tuple[bytes, bytes]]:
        """The images behind a key, all for None."""
        with environment.begin() as transaction, transaction.cursor() as cursor:
            if last is None:
                found = cursor.first()
            elif cursor.set_key(last):
                found = cursor.next()
            else:
                raise ValueError(
                    f"{self.path} has changed since the import began: {last.decode('utf-8', 'replace')!r}, the last "
                    "image that was read, is gone. Pass it as it was, or start over (--restart)."
                )
            while found:
                if cursor.key() != _KEYS:
                    yield bytes(cursor.key()), bytes(cursor.value())
                found = cursor.next()

    def _read(self, name: str, value: bytes) -> ImageRegions:
        if len(value) > MAX_IMAGE_BYTES:
            raise DamagedImage(f"it is larger than {MAX_IMAGE_BYTES:,} bytes, too large for an image.")
        try:
            content = parse_plain_pickle(value, "its value")
        except ValueError as error:
            raise DamagedImage(str(error)) from None
        if not isinstance(content, dict):
            raise DamagedImage("its value must be a pickled dict of features, boxes and the image's size.")
        return self._reader.regions(name, content)
