"""HDF5 files that crash its library, keep it busy, or fill the memory."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from tests.hdf5_damage import DAMAGES, deep_type

from ..damage.lookup3 import lookup3
from ..sources import Source
from .recipe import FINE, REFUSED, Recipe, Ways, packed_zeros

_DAMAGED = ("weights/weights.h5", "features/HDF5 with a group per image", "weights/tf_model.h5", "features/HDF5 of XNM")


def ways(name: str, content: bytes) -> Ways:
    """Those that are made in one file; `recipes` has the others."""
    if content.startswith(b"\x89HDF"):
        yield "HDF5: index of chunks in itself, newer", _own_child_of_newer_index(content), REFUSED


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """The damages of tests/hdf5_damage.py to the files of the older layout, and chunks that unpack to much."""
    found = []
    path = folder / "damaged.h5"
    for kind in _DAMAGED:
        source = sources[kind]
        name, content = next(iter(source.files.items()))
        for damage in DAMAGES if kind in _DAMAGED[:2] else set(DAMAGES) - {deep_type}:  # it takes a second to make
            path.write_bytes(content)
            damage(path)
            changed = source._replace(files={**source.files, name: path.read_bytes()})
            allowed = REFUSED if kind.startswith("weights") else FINE  # features are not looked for everywhere
            found.append(Recipe(f"HDF5: {damage.__name__.replace('_', ' ')}", kind, changed, allowed))
    kind = _DAMAGED[1]
    bomb = Source({"a.h5": _packed_twice()}, ("import",), ("a.h5",))
    return [*found, Recipe("HDF5: chunk packed twice", kind, bomb, REFUSED)]


def _own_child_of_newer_index(content: bytes) -> bytes:
    """An array whose chunks a newer B-tree names; its root says that it has thousands of levels, and names itself."""
    opened = BytesIO(content)
    with h5py.File(opened, "a", libver="latest") as file:
        values = file.create_dataset("damaged", (20, 20), "f4", maxshape=(None, None), chunks=(1, 1))
        values[:] = 1
    data = bytearray(opened.getvalue())
    header = data.rindex(b"BTHD")
    root, records, size = (
        int.from_bytes(data[header + at : header + at + width], "little") for at, width in ((16, 8), (24, 2), (10, 2))
    )
    assert data[root : root + 4] == b"BTIN"
    children = root + 6 + records * size
    for child in range(records + 1):
        data[children + 9 * child : children + 9 * child + 8] = root.to_bytes(8, "little")
    data[header + 12 : header + 14] = (60_000).to_bytes(2, "little")
    for start, end in ((header, header + 34), (root, children + 9 * (records + 1))):
        data[end : end + 4] = lookup3(bytes(data[start:end]))
    return bytes(data)


def _packed_twice() -> bytes:
    """An image whose features are 400 MB of zeros, packed, and packed again."""
    content = BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group("pic")
        group["boxes"] = np.array([[1, 2, 30, 40]] * 3, "f4")
        group["img_h"], group["img_w"] = 300, 320
        kinds = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kinds.set_chunk((16, 16)), kinds.set_deflate(1), kinds.set_deflate(1)
        kinds.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((3, 8), (h5py.h5s.UNLIMITED, h5py.h5s.UNLIMITED))
        values = h5py.Dataset(h5py.h5d.create(group.id, b"features", h5py.h5t.IEEE_F32LE, space, kinds))
        values.id.write_direct_chunk((0, 0), zlib.compress(packed_zeros(400), 9))
    return content.getvalue()
