"""Pictures that start programs, that other decoders than the named one read, or that are made of few bytes."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

from PIL import Image

from ..sources import Source
from .recipe import FINE, REFUSED, Recipe, packed_zeros

_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n(started) print\nshowpage\n%%EOF\n"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b"\x3e\0\3\0\xfe\xff\x09\0\6\0" + bytes(6) + bytes(2000)
_OTHER_FORMATS = {
    "EPS": _EPS,
    "EPS for DOS": b"\xc5\xd0\xd3\xc6"
    + (30).to_bytes(4, "little")
    + len(_EPS).to_bytes(4, "little")
    + bytes(18)
    + _EPS,
    "PostScript": b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n%%EOF\n",
    "PDF": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "FPX, MIC": _OLE,
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(4) + b"\x20\0\x20\0\x60\0" + bytes(6) + b"\1\0\x09\0\0\3" + bytes(60),
    "EMF": b"\1\0\0\0\x6c\0\0\0" + bytes(16) + b"\xff\1\0\0" * 4 + b" EMF" + bytes(60),
    "BLP1": b"BLP1"
    + b"\0\0\0\0"
    + b"\4\0\0\0"
    + b"\x20\0\0\0" * 2
    + b"\4\0\0\0\0\0\0\0"
    + b"\x9c\0\0\0" * 32
    + bytes(60),
    "BLP2": b"BLP2" + b"\1\0\0\0\1\x08\0\0" + b"\x20\0\0\0" * 2 + b"\x94\4\0\0" * 32 + bytes(1100),
    "BUFR": b"BUFR" + bytes(100),
    "GRIB": b"GRIB\0\0\0\1" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "FITS": b"SIMPLE  =                    T" + b" " * 2850,
    "MPEG": b"\0\0\1\xb3" + bytes(100),
    "GD": b"\xff\xfe\0\x20\0\x20\1\xff\xff\xff\xff" + bytes(100),
    "XPM": b"/* XPM */\nstatic char *a[] = {\n" + b'"2 2 1 1",\n"x c #000000",\n"xx",\n"xx"};\n',
}


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """For `open_image` and for `ask`."""
    del folder
    kind = "picture/PNG RGB"
    found = []

    def add(name: str, content: bytes, allowed: tuple[str, ...] = REFUSED, ending: str = "png") -> None:
        source = Source({f"picture.{ending}": content}, ("picture", "ask"), (f"picture.{ending}",))
        found.append(Recipe(f"picture: {name}", kind, source, allowed))

    for name, content in _OTHER_FORMATS.items():
        add(f"{name} named .png", content)
        add(f"{name} named .jpg", content, ending="jpg")
    avif = sources["picture/AVIF RGB"].files["picture.avif"]
    for step in range(0, len(avif), 24):
        add(f"AVIF, other byte {step // 240}", avif[:step] + bytes([avif[step] ^ 0xFF]) + avif[step + 1 :], FINE)
    add("AVIF, cut", avif[: len(avif) // 2])
    for width, height in ((100_000_000, 1), (1, 100_000_000), (2**31 - 1, 1), (65_000, 65_000), (9_999, 9_999)):
        for mode, channels in ((0, 1), (2, 3), (6, 4)):
            add(f"PNG of {width} x {height}", _png(width, height, mode, channels), FINE)
    bitmap = bytearray(sources["picture/BMP RGB"].files["picture.bmp"])
    bitmap[18:26] = (30_000).to_bytes(4, "little") * 2
    add("BMP of 30,000 x 30,000", bytes(bitmap), ending="bmp")
    for name, size, options in (
        ("GIF", (16_000, 4_000), {}),
        ("WEBP", (16_000, 400), {"lossless": True, "method": 0}),
        ("TIFF", (60_000, 1_500), {"compression": "tiff_lzw"}),
    ):
        wide = io.BytesIO()
        Image.new("L", size).save(wide, name, **options)
        add(f"wide {name}", wide.getvalue(), FINE, name.lower())
    many = {f"{n}.png": _png(3_000_000, 1, 2, 3) for n in range(20)}
    found.append(Recipe("picture: 20 wide pictures", kind, Source(many, ("ask many",), tuple(many)), FINE))
    return found


def _png(width: int, height: int, mode: int, channels: int) -> bytes:
    """A PNG of zeros; of at most 80 MB, then cut."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = min(height * (1 + width * channels), 80 * 10**6)
    packed = packed_zeros(-(-rows // 10**6))
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, mode, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
