"""NumPy files and archives of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from ..damage.zip_archive import zipped
from ..sources import Source
from .recipe import REFUSED, Recipe, Ways

_HEADERS = {
    "open bracket": "{'descr': '<f4', 'fortran_order': False, 'shape': (3, ",
    "open text": "{'descr': '''<f4, 'fortran_order': False, 'shape': (3, 4), }",
    "odd indent": "{'descr': '<f4',\n  'fortran_order': False,\n 1\n  'shape': (3L, 4), }",
    "deep": "(" * 3000 + ")" * 3000,
    "deep minus": "-" * 9000 + "1",
    "5,000 digits": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
    "huge shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
    "huge text": "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }",
    "endless zeros": "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }",
    "nested type": "{'descr': [('a', [('b', '<f4', (99999,))], (99999,))], 'fortran_order': False, 'shape': (1,), }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
}


def ways(name: str, content: bytes) -> Ways:
    """Other headers in front of the same numbers, and archives that are packed in other ways."""
    if content.startswith(b"\x93NUMPY"):
        size = int.from_bytes(content[8:10], "little")
        for recipe, text in _HEADERS.items():
            header = text.encode() + b"\n"
            changed = content[:8] + len(header).to_bytes(2, "little") + header + content[10 + size :]
            yield f"npy: {recipe}", changed, REFUSED
    if content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        for kind, recipe in (
            (zipfile.ZIP_LZMA, "LZMA"),
            (zipfile.ZIP_BZIP2, "BZIP2"),
            (zipfile.ZIP_DEFLATED, "packed"),
        ):
            packed = zipped(members, kind)
            yield f"zip: {recipe}", packed, ("read", "refused")
            yield f"zip: damaged {recipe}", _damaged_members(packed), ("read", "refused")  # of some one member is read


def _damaged_members(content: bytes) -> bytes:
    """The packed bytes of each member are others; the directory is right."""
    data = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            start = info.header_offset + 30 + len(info.filename)
            for at in range(start + 9, start + info.compress_size):
                data[at] ^= 0x5A
    return bytes(data)


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """Heights and widths that are no numbers of pixels."""
    del folder
    found = []
    kind = "features/NumPy arrays in one .npz, padded"
    for packed, recipe in ((zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "BZIP2"), (zipfile.ZIP_DEFLATED, "zlib")):
        header = b"\x93NUMPY\1\0\x76\0{'descr': '|u1', 'fortran_order': False, 'shape': (15000000, 4), }"
        bomb = zipped({"features.npy": header.ljust(127) + b"\n" + bytes(6 * 10**7)}, packed)
        source = sources[kind]._replace(files={sources[kind].opened[0]: bomb})
        found.append(Recipe(f"zip: 60 MB packed by {recipe}", kind, source, REFUSED))
    kind = "features/NumPy arrays in a folder"
    for recipe, height in {
        "infinity": np.inf,
        "NaN": np.nan,
        "1e300": 1e300,
        "2**63": np.uint64(2**63),
        "-1": -1,
        "a text": "9" * 5000,
    }.items():
        content = io.BytesIO()
        np.savez(
            content, features=np.ones((3, 8), "f4"), boxes=np.array([[1, 2, 3, 4]] * 3, "f4"), height=height, width=10
        )
        source = Source({"a/pic.npz": content.getvalue()}, ("import",), ("a",))
        found.append(Recipe(f"npz: height {recipe}", kind, source, REFUSED))
    return found
