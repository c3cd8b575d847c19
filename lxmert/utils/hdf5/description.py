"""What an HDF5 file holds, as h5py finds it, in records of plain values: each a dictionary, perhaps with bytes.

This runs in a process with limits, unless the file is trusted. The reader of the records trusts nothing in them.
"""

from __future__ import annotations

import io
import math
from array import array
from typing import Any

import h5py
import numpy as np

from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.limited_processes import Tell
from lxmert.utils.positional_io import read_at

_DEEPEST = 32  # groups within groups
_LARGEST_INLINE = 2**16  # bytes of values in the header of an array, by HDF5's own limit
_MOST_NUMBERS = 1000  # of an attribute


class FileWindow(io.RawIOBase):
    """A part of an open file as a file of its own, in which HDF5 reads."""

    def __init__(self, handle: int, start: int, size: int):
        self._handle, self._start, self._size, self._at = handle, start, size, 0

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")
        done = read_at(self._handle, view[: max(0, self._size - self._at)], self._start + self._at)
        self._at += done
        return done


def describe(source: io.IOBase, tell: Tell, inside: list[str] | None = None) -> None:
    """Tell what an HDF5 file holds: a record for each group, array and link.

    Args:
        source: the file.
        tell: takes the records.
        inside: None for all of the file, with attributes. Otherwise neither attributes are read nor what is in
            groups: none for what is at the top of the file, or names of groups there for what is at the top of these.
    """
    with h5py.File(source, "r", rdcc_nbytes=0) as file:
        if file.userblock_size:
            tell({"kind": "preceded"})
            return
        whole = inside is None
        tell({"kind": "group", "name": "", **(_attributes(file) if whole else {})})
        groups, seen = [("", file.id, 0)], {h5py.h5o.get_info(file.id).addr}
        if inside:
            encoded = {name: name.encode("utf-8", "surrogateescape") for name in inside}
            groups = [(f"{name}/", h5py.h5o.open(file.id, key), 1) for name, key in encoded.items()]
        while groups:
            prefix, group, depth = groups.pop()
            for key in group:
                name = prefix + key.decode("utf-8", "surrogateescape")
                if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                    tell({"kind": "link", "name": name})
                    continue
                try:
                    info = h5py.h5o.get_info(group, key)
                except Exception:
                    if whole or inside:
                        raise
                    tell({"kind": "group", "name": name})  # damaged, as who looks into it finds; others are not
                    continue
                address = info.addr
                if address in seen or depth > _DEEPEST:
                    tell({"kind": "again" if address in seen else "deep", "name": name})
                    continue
                seen.add(address)
                if info.type == h5py.h5o.TYPE_GROUP and not whole:
                    tell({"kind": "group", "name": name})
                elif info.type == h5py.h5o.TYPE_GROUP:
                    item = h5py.h5o.open(group, key)
                    tell({"kind": "group", "name": name, **_attributes(h5py.Group(item))})
                    groups.append((name + "/", item, depth + 1))
                elif info.type == h5py.h5o.TYPE_DATASET:
                    item = h5py.h5o.open(group, key)
                    _tell_array(name, item, tell, _attributes(h5py.Dataset(item)) if whole else {})


def _tell_array(name: str, item: h5py.h5d.DatasetID, tell: Tell, attributes: dict[str, Any]) -> None:
    properties, kind = item.get_create_plist(), item.get_type()
    layout = properties.get_layout()
    elsewhere = layout == h5py.h5d.VIRTUAL or properties.get_external_count() > 0
    shape, stored, (dtype, is_text, kind_text) = [], 0, _dtype(kind)
    if not elsewhere:  # to tell the shape of a virtual array the library would open the files of its parts
        space, stored = item.get_space(), item.get_storage_size()
        shape = list(space.get_simple_extent_dims())
        if space.get_simple_extent_type() == h5py.h5s.NULL:
            dtype, is_text, kind_text = None, False, "nothing"
    record: dict[str, Any] = {
        "kind": "array",
        "name": name,
        "dtype": dtype,
        "kind_of_values": kind_text,
        "shape": shape,
        "stored": stored,
        "elsewhere": elsewhere,
        "filters": _filters(properties, kind.get_size()),
        **attributes,
    }
    content = b""
    if elsewhere:
        pass
    elif is_text:
        if kind.get_size() * math.prod(shape) <= (max_unpacked_size(stored) if record["filters"] else stored):
            texts = np.asarray(h5py.Dataset(item)[()], object).reshape(-1)
            record["texts"] = [text.decode("utf-8", "replace") for text in texts]
    elif layout == h5py.h5d.CONTIGUOUS:
        record["offset"] = item.get_offset()
    elif layout == h5py.h5d.COMPACT:
        if dtype is not None and 0 < stored <= _LARGEST_INLINE:
            values = np.empty(shape, dtype)
            item.read(h5py.h5s.ALL, h5py.h5s.ALL, values, kind)  # the bytes as they are in the file
            content = values.tobytes()
    elif layout == h5py.h5d.CHUNKED:
        record["chunk_shape"] = list(properties.get_chunk())
        content = _chunks(item)
    tell(record, content)


def _filters(properties: h5py.h5p.PropDCID, size: int) -> list[int]:
    """The numbers of an array's filters: a negative one if it reorders bytes of other than its values' size."""
    filters = [properties.get_filter(number) for number in range(properties.get_nfilters())]
    shuffle = h5py.h5z.FILTER_SHUFFLE
    return [-number if number == shuffle and settings != (size,) else number for number, _, settings, _ in filters]


def _chunks(item: h5py.h5d.DatasetID) -> bytes:
    """The stored chunks: for each its position in the array, place in the file, size and skipped filters, as int64."""
    found = array("q")  # a file may have a million chunks

    def note(chunk: Any) -> None:
        place = -1 if chunk.byte_offset is None else chunk.byte_offset
        found.extend((*chunk.chunk_offset, place, chunk.size, chunk.filter_mask))

    item.chunk_iter(note)
    return found.tobytes()


def _dtype(kind: h5py.h5t.TypeID) -> tuple[str | None, bool, str]:
    """The dtype as NumPy writes it, None for what is not read; whether it is text that the library makes; its name."""
    encoded = kind.encode()
    if encoded not in _known_types:
        _known_types[encoded] = _examined_type(kind)
    return _known_types[encoded]


_known_types: dict[bytes, tuple[str | None, bool, str]] = {}  # examining one takes longer than all else about an array


def _examined_type(kind: h5py.h5t.TypeID) -> tuple[str | None, bool, str]:
    try:
        dtype = kind.dtype
    except TypeError:  # NumPy has no such type
        return None, False, "values that NumPy does not have"
    name = str(dtype)[:80]
    text = h5py.check_string_dtype(dtype)
    if text is not None and (text.length is None or kind.get_strpad() != h5py.h5t.STR_NULLPAD):
        return None, True, "text"  # what ends by a zero, or is filled with spaces, is not what its bytes show
    plain = dtype.kind in "fiubS" or dtype == np.dtype("V2")  # the last is how Keras writes bfloat16
    # The library converts numbers that NumPy does not have, which bytes do not show.
    same = dtype.kind in "SV" or kind.equal(h5py.h5t.py_create(dtype, logical=True))
    return (dtype.str if plain and dtype.subdtype is None and same else None), False, name


def _attributes(item: Any) -> dict[str, Any]:
    """All attributes are read, as other readers of the file will; those of plain values are told."""
    values: dict[str, Any] = {}
    unread: dict[str, str] = {}
    if h5py.h5a.get_num_attrs(item.id):
        for name in item.attrs:
            try:
                values[name] = _plain(item.attrs[name])
            except MemoryError:
                raise
            except Exception as error:
                unread[name] = str(error)[:200]
    return {"attributes": values, "unread": unread} if unread else {"attributes": values}


def _plain(value: Any) -> Any:
    """Texts, numbers and lists of them; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, bool, int, float)):
        return value
    if getattr(value, "dtype", None) == np.longdouble and np.longdouble(0).itemsize > 8:
        return None  # Python has no such numbers
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        texts = value.reshape(-1).tolist()
        if all(isinstance(text, (str, bytes)) for text in texts):
            return [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.size <= _MOST_NUMBERS:
        return value.tolist()
    return None


def read_rows(source: io.IOBase, name: str, rows: tuple[int, int] | None, tell: Tell) -> None:
    """Tell the values of an array, or of some of its rows, as bytes: for filters that only the library knows."""
    with h5py.File(source, "r", rdcc_nbytes=0) as file:
        array = file[name]
        values = array[()] if rows is None else array[rows[0] : rows[1]]
        tell({"kind": "values"}, np.ascontiguousarray(values).tobytes())


def fulfil(request: dict[str, Any], file: int, tell: Tell) -> None:
    """Tell what a request of `client.records` asks of an open file, by its file descriptor."""
    source = FileWindow(file, request["start"], request["size"])
    if "array" in request:
        read_rows(source, request["array"], request["rows"], tell)
    else:
        describe(source, tell, request.get("inside"))
