"""HDF5 files of a few kilobytes that make the library crash, hang, or fill the memory: each changes a good file."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np

NODE = 544  # bytes of a B-tree node of a group: 24, then 33 keys and 32 children


def own_child(path: Path) -> None:
    """The B-tree of a group has itself as a child: the library calls itself until its stack ends."""
    data = _with_groups(path)
    node = _tree(data)
    data[node + 5 : node + 8] = struct.pack("<BH", 1, 1)  # one child, on a level above the leaves
    data[node + 32 : node + 40] = struct.pack("<Q", node)
    path.write_bytes(data)


def own_sibling(path: Path) -> None:
    """It follows itself: a loop without an end."""
    data = _with_groups(path)
    node = _tree(data)
    data[node + 16 : node + 24] = struct.pack("<Q", node)
    path.write_bytes(data)


def tower(path: Path) -> None:
    """Forty nodes, each with the next one as both of its children: to visit all paths takes for ever."""
    data = _with_groups(path)
    node = _tree(data)
    header = data.index(b"\x11\0\x10\0", data.index(struct.pack("<Q", node)) - 16)
    for level in range(1, 41):
        child, node = node, len(data)
        undefined = b"\xff" * 8
        part = b"TREE" + struct.pack("<BBH", 0, level, 2) + undefined * 2 + struct.pack("<5Q", 0, child, 8, child, 8)
        data += part.ljust(NODE, b"\0")
    data[header + 8 : header + 16] = struct.pack("<Q", node)
    _set_end(data)
    path.write_bytes(data)


def chunks_own_child(path: Path) -> None:
    """The same in the index of an array's chunks."""
    data = _with_chunks(path)
    node = data.rindex(b"TREE\x01")
    data[node + 5 : node + 8] = struct.pack("<BH", 1, 1)
    data[node + 48 : node + 56] = struct.pack("<Q", node)  # after the key: sizes, and two positions
    path.write_bytes(data)


def chunks_own_sibling(path: Path) -> None:
    """The same in the index of an array's chunks."""
    data = _with_chunks(path)
    node = data.rindex(b"TREE\x01")
    data[node + 16 : node + 24] = struct.pack("<Q", node)
    path.write_bytes(data)


def nested_lists(path: Path) -> None:
    """An attribute of lists of lists, each of which is the same long one: 256 GB by 80 KB."""
    count, name = 1000, b"lists\0"
    with h5py.File(path, "a") as file:
        kind = h5py.h5t.vlen_create(h5py.h5t.vlen_create(h5py.h5t.STD_U8LE))
        h5py.h5a.create(file.id, name[:-1], kind, h5py.h5s.create_simple((count,)))
    data = bytearray(path.read_bytes())
    at = data.index(name) - 8
    sizes = struct.unpack_from("<BBHHH", data, at)[2:]
    values = at + 8 + sum(size + -size % 8 for size in sizes)
    heap, length = len(data), 4000
    reference = struct.pack("<IQI", length, heap, 2)
    objects = ((1, reference * length), (2, bytes(length)))
    content = b"".join(struct.pack("<HH4xQ", number, 1, len(held)) + held for number, held in objects)
    data += struct.pack("<4sB3xQ", b"GCOL", 1, 16 + len(content)) + content
    data[values : values + 16 * count] = struct.pack("<IQI", length, heap, 1) * count
    _set_end(data)
    path.write_bytes(data)


def deep_type(path: Path) -> None:
    """An attribute whose type is nested 2,000 deep."""
    kind = h5py.h5t.STD_U8LE
    for _ in range(2000):
        kind = h5py.h5t.vlen_create(kind)
    with h5py.File(path, "a") as file:
        h5py.h5a.create(file.id, b"deep", kind, h5py.h5s.create_simple((1,)))


def endless_heap(path: Path) -> None:
    """The entry of a text in its heap leads to itself."""
    with h5py.File(path, "a") as file:
        file.attrs.create("text", "found in a heap", dtype=h5py.string_dtype())
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    data[at + 16 : at + 18] = b"\0\0"
    data[at + 24 : at + 32] = bytes(8)
    path.write_bytes(data)


DAMAGES = (own_child, own_sibling, tower, chunks_own_child, chunks_own_sibling, nested_lists, deep_type, endless_heap)


def _with_groups(path: Path) -> bytearray:
    with h5py.File(path, "a") as file:
        for number in range(20):
            file.create_group(f"damaged/{number:02}")
    return bytearray(path.read_bytes())


def _with_chunks(path: Path) -> bytearray:
    with h5py.File(path, "a") as file:
        file.create_dataset("damaged", data=np.arange(40, dtype="f4"), chunks=(4,), maxshape=(None,))
    return bytearray(path.read_bytes())


def _tree(data: bytearray) -> int:
    """The B-tree node of the group that was made last and has a tree of its own."""
    return data.rindex(b"TREE\0")


def _set_end(data: bytearray) -> None:
    data[40:48] = struct.pack("<Q", len(data))
