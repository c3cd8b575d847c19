"""Pictures of every format and mode that is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lxmert.vision.images import open_image

from . import Source

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("P", "L"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "RGB", "I;16", "F", "P", "CMYK"),
    "PPM": ("1", "L", "RGB", "I;16", "F"),
    "TGA": ("L", "P", "RGB", "RGBA"),
    "ICO": ("RGBA",),
    "PCX": ("1", "L", "P", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
_OTHERS = ("DDS", "DIB", "IM", "MSP", "QOI", "SPIDER", "XBM", "BLP", "ICNS", "MPO", "PALM")
_VARIANTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("PNG", "animated", "RGB", {"save_all": True, "frames": 3}),
    ("PNG", "EXIF", "RGB", {"exif": True}),
    ("JPEG", "progressive", "RGB", {"progressive": True}),
    ("JPEG", "EXIF", "RGB", {"exif": True}),
    ("GIF", "animated", "P", {"save_all": True, "frames": 3}),
    ("WEBP", "lossless", "RGBA", {"lossless": True}),
    ("WEBP", "animated", "RGB", {"save_all": True, "frames": 3}),
    ("TIFF", "LZW", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "deflate", "RGB", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "JPEG", "RGB", {"compression": "jpeg"}),
    ("TIFF", "PackBits", "L", {"compression": "packbits"}),
    ("TIFF", "fax", "1", {"compression": "group4"}),
    ("TIFF", "pages", "RGB", {"save_all": True, "frames": 3}),
    ("TGA", "RLE", "RGB", {"compression": "tga_rle"}),
    ("AVIF", "animated", "RGB", {"save_all": True, "frames": 2}),
)


def sources(folder: Path) -> dict[str, Source]:
    """By format and mode; of the others those that this version of Pillow writes and the package reads."""
    found: dict[str, Source] = {}
    rows = [(name, mode, mode, {}) for name, modes in _MODES.items() for mode in modes]
    rows += [(name, "", "RGB", {}) for name in _OTHERS] + [(name, "1", "1", {}) for name in _OTHERS]
    for name, what, mode, options in (*rows, *_VARIANTS):
        content = _saved(name, mode, dict(options))
        if content is None or len(content) > 100_000 or not _is_read(folder / f"picture.{_ending(name)}", content):
            if name in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
                raise AssertionError(f"{name} {what} is not written and read")
            continue
        kind = f"picture/{name} {what}".strip()
        doors = ("picture", "ask") if kind in _ASKED else ("picture",)
        found[kind] = Source({f"picture.{_ending(name)}": content}, doors, (f"picture.{_ending(name)}",))
    return found


_ASKED = (
    "picture/PNG RGB",
    "picture/JPEG RGB",
    "picture/GIF P",
    "picture/WEBP RGB",
    "picture/TIFF RGB",
    "picture/BMP RGB",
)


def _ending(name: str) -> str:
    return {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif"}.get(name, name.lower())


def _saved(name: str, mode: str, options: dict[str, Any]) -> bytes | None:
    size = (16, 16) if name == "ICNS" else (21, 17)
    draw = np.random.default_rng(7)
    picture = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), np.uint8)).resize(size)
    picture = picture.convert("L").convert(mode) if mode in ("I;16", "F", "LA") else picture.convert(mode)
    if frames := options.pop("frames", 0):
        options["append_images"] = [picture.rotate(number * 90) for number in range(1, frames)]
    if options.pop("exif", False):
        exif = Image.Exif()
        exif[0x0112] = 6  # turned
        exif[0x010E] = "a description"
        options["exif"] = exif
    content = io.BytesIO()
    try:
        picture.save(content, name, **options)
    except (OSError, ValueError, KeyError, TypeError):  # not of this mode
        return None
    return content.getvalue()


def _is_read(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    try:
        open_image(path)
    except ValueError:
        return False
    return True
