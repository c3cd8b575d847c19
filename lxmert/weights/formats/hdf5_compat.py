"""h5py's low-level interface, which may change: every use of it is here, checked with h5py 3.14.

`USE_LOW_LEVEL = False` takes the high-level interface instead: slower, with the same result. What protects from hostile
files (addresses, filters, sizes of chunks) has no high-level counterpart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

USE_LOW_LEVEL = True
# What h5py raises for a damaged file.
H5PY_ERRORS = (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError, SystemError)
DEFLATE, SHUFFLE = 1, 2  # filters; the second reorders bytes


class Chunk(NamedTuple):
    """A chunk of a dataset; `offset` is its place in the file, None if it was never written."""

    position: tuple[int, ...]
    offset: int | None
    size: int
    skipped_filters: int


def address_of(item: Any) -> int:
    """Where the header of a group or dataset is in the file."""
    import h5py

    return h5py.h5o.get_info(item.id).addr


def attribute_type(item: Any, name: str) -> tuple[tuple[int, ...], int]:
    """The shape of an attribute and the size of one value, without reading it."""
    kind = item.attrs.get_id(name)
    return kind.shape, kind.dtype.itemsize


def sizes_of(dataset: Any) -> tuple[int, int]:
    """How many bytes the values of a dataset have by its shape, and how many are stored."""
    return math.prod(dataset.shape or ()) * dataset.id.get_type().get_size(), dataset.id.get_storage_size()


def filters_of(dataset: Any) -> list[int]:
    """The filters that its chunks go through, by number."""
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]


def chunks_of(dataset: Any) -> Iterator[Chunk]:
    """The stored chunks of a dataset."""
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    for chunk in found:
        yield Chunk(chunk.chunk_offset, chunk.byte_offset, chunk.size, chunk.filter_mask)


def offset_of(dataset: Any) -> int | None:
    """Where the values of a contiguous dataset start in the file; None where only h5py can read them."""
    return dataset.id.get_offset() if USE_LOW_LEVEL and dataset.chunks is None else None


def create_contiguous(group: Any, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> tuple[Any, int]:
    """Create a contiguous dataset and its groups, and return it with the place of its values, which are not written.

    The public interface has to write zeros there first.
    """
    import h5py

    if not USE_LOW_LEVEL:
        dataset = group.create_dataset(name, data=np.zeros(shape, dtype))
        return dataset, dataset.id.get_offset() or 0
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind, space = h5py.h5t.py_create(dtype, logical=True), h5py.h5s.create_simple(shape)
    dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=properties, lcpl=links))
    return dataset, dataset.id.get_offset() or 0
