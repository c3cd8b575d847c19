"""Open an image file of others with Pillow: in formats that it decodes in this process, and within bounds of memory.

A file of kilobytes can claim an image of gigabytes, and some of Pillow's formats start a program or decode pixel by
pixel in Python. So a file is read in the formats of `FORMATS` only, and not decoded before what that takes is known.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import warn_caller
from lxmert.utils.optional_imports import require
from lxmert.utils.setting_names import in_command
from lxmert.vision.avif import largest_frame

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""Pillow's names of the formats that are read from files."""

MAX_PIXELS = 100_000_000
"""Larger images are refused."""

MAX_SIDE = 1_000_000
"""Images that are wider or higher are refused: filters that resize take memory for the length of a side."""

_READ = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or PPM"
_BLOCK = 2**20  # bytes
_KNOWN_BYTES = 16  # by which Pillow tells formats apart
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # as many phones save photographs
# Files of these formats are animated or have pages if they hold several images; in others, further ones are previews.
_SEQUENCES = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")

# A file up to this size may take so many bytes to decode, and this number more for each of its bytes beyond.
_SMALL_FILE, _SMALL_IMAGE, _EXPANSION = 1_000_000, 245_000_000, 1000

# Parts of which each may take megabytes, or the time of all those before it, however few bytes it has in the file.
_COSTLY_PARTS = {
    "JPEG": ((b"Exif\0\0", 100, "EXIF segments"),),
    "PNG": ((b"iTXt", 5, "international texts"), (b"zTXt", 10, "compressed texts"), (b"iCCP", 10, "colour profiles")),
}
_SCAN = b"\xff\xda"  # of JPEG; each costs a pass over the image
_USUAL_SCANS, _MOST_SCANS, _MOST_SCANNED_PIXELS = 16, 100, 600_000_000
_MOST_STRIPS = 50_000  # of a TIFF file; Pillow reads each by calls of Python
_MOST_RLE_PIXELS = 4_000_000  # Pillow decodes run lengths of BMP in Python
_MOST_COMMENT_BYTES = 2**30  # of PPM as text, which Pillow copies once for each comment


def max_decoded_size(file_size: int) -> int:
    """How many bytes of memory an image file of a size may take to decode.

    245 MB for a file of 1 MB or less, and 1,000 bytes more for each further byte. In colour that is at least 35 million
    pixels of a PNG file of 1 MB, 24 million of JPEG and 15 million of WebP and AVIF, and `MAX_PIXELS` of files of 1.5,
    1.8 and 2.4 MB.
    """
    return _SMALL_IMAGE + _EXPANSION * max(0, file_size - _SMALL_FILE)


@contextmanager
def open_image_file(path: Path) -> Iterator[ImageFile]:
    """Open an image file and check what decoding it takes; it is not decoded yet.

    Raises:
        FileNotFoundError, PermissionError, OSError: the system cannot read it.
        ValueError: no file, no image of `FORMATS`, or one that takes too much memory or time for a file of its size.
    """
    check_file(path)
    image_module = require("PIL.Image", "Opening an image")
    image_module.init()  # what this version of Pillow has
    formats = [name for name in FORMATS if name in image_module.OPEN]
    try:
        file = _ImageFile(path)
    except PermissionError as error:
        raise PermissionError(f"image: {path} cannot be read; permission is denied.") from error
    with file, _without_warnings():
        size, head = file.size, file.read(_KNOWN_BYTES)
        _check_parts(path, file, head)
        # As a file and not as a path: Pillow would map some files, and a file that shrinks then ends the process.
        with reading(path, "cannot be read as an image"):
            try:
                opened = image_module.open(file, formats=formats)
            except image_module.UnidentifiedImageError:
                raise InvalidFileError(_unread(path, size, head)) from None
            except image_module.DecompressionBombError as error:
                raise InvalidFileError(
                    f"image must have at most {MAX_PIXELS:,} pixels; {path} has more ({error})."
                ) from None
        with opened:
            check_size(opened.height, opened.width, f"image {path}")
            with reading(path, "cannot be read as an image"):
                _check_cost(path, opened, size)
            yield opened


class _ImageFile(io.BufferedReader):
    """A file of which no more is read than it has; Python makes room for all that is asked for, gigabytes for some."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _BLOCK:
            size = min(size, max(0, self.size - self.tell()))
        return super().read(size)


def warn_of_further_images(path: Path, opened: ImageFile) -> None:
    """Warn where a file holds more than the first image, after that was decoded."""
    several = False
    with contextlib.suppress(Exception), _without_warnings():  # what follows the first may be damaged
        several = opened.format in _SEQUENCES and getattr(opened, "is_animated", False)
    if several:
        warn_caller(f"{path} is animated or has several pages: the first is read.")


def check_file(path: Path) -> None:
    """Raise ValueError for a folder or a device, FileNotFoundError where nothing is."""
    if path.is_dir():
        raise ValueError(f"image must be a file; {path} is a folder.")
    if not path.exists():
        raise FileNotFoundError(f"image: there is no file {path} (looked from {Path.cwd()}).")
    if not path.is_file():
        raise ValueError(f"image must be a file; {path} is a pipe or a device.")


def check_size(height: int, width: int, name: str = "image") -> None:
    """Raise ValueError for an image without pixels, or with too many; `name` is what the message calls it."""
    if height < 1 or width < 1:
        raise ValueError(f"{name} must have at least one pixel; got height {height} and width {width}.")
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{name} must have at most {MAX_PIXELS:,} pixels; got {height} x {width} = {height * width:,}. "
            "Scale it down first."
        )
    if max(height, width) > MAX_SIDE:
        raise ValueError(
            f"{name} must have at most {MAX_SIDE:,} pixels in a row or a column; got height {height} and width {width}."
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without the warnings of Pillow, which has its own limits and tells of odd metadata that are not used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _unread(path: Path, size: int, head: bytes) -> str:
    """Why Pillow did not open a file in one of our formats."""
    expected = f"image must be an image file ({_READ})"
    known = _format_of(head)
    if known is None or known in FORMATS:
        return f"{expected}; Pillow cannot read {path} ({size} bytes)."
    return f"{expected}; {path} looks like {known}, which is not read from files. Convert it{_or_open_it()}."


def _or_open_it() -> str:
    """What who calls from Python can do with a file that is trusted."""
    return "" if in_command() else ", or open it yourself and pass the PIL image"


def _format_of(head: bytes) -> str | None:
    """The format of a file by its first bytes, as Pillow names it; None for an unknown one."""
    for name, (_, accepts) in require("PIL.Image", "Opening an image").OPEN.items():
        with contextlib.suppress(Exception):  # too few bytes
            if name != "CUR" and accepts is not None and accepts(head):  # TGA files often start like CUR
                return str(name)
    return "HEIC" if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS else None


def _check_parts(path: Path, file: BinaryIO, head: bytes) -> None:
    """Refuse a file with very many of the parts that are costly for their size."""
    for part, most, name in _COSTLY_PARTS.get(_format_of(head) or "", ()):
        if _occurrences(file, part, most) > most:
            raise InvalidFileError(f"{path} must have at most {most} {name}; it has more. Save the image again.")
    file.seek(0)


def _occurrences(file: BinaryIO, part: bytes, most: int) -> int:
    """How often some bytes are in a file, counted until there are more than `most`."""
    file.seek(0)
    count, end = 0, b""
    while count <= most and (block := file.read(_BLOCK)):
        block = end + block
        count += block.count(part)
        end = block[len(block) - len(part) + 1 :]
    return count


def _check_cost(path: Path, opened: Any, size: int) -> None:
    """Refuse an image that takes much more memory or time than a file of its size should."""
    pixels = decoded = opened.width * opened.height
    if opened.format == "AVIF":
        opened.fp.seek(0)
        decoded = max(pixels, largest_frame(opened.fp.read()))
    needed, most = decoded * _bytes_per_pixel(opened), max_decoded_size(size)
    if opened.format == "TIFF":
        needed += _prepare_tiff(path, opened)
    if needed > most:
        frames = f", in frames of {decoded:,} pixels" if decoded > pixels else ""
        raise InvalidFileError(
            f"image takes too much memory for so small a file: {path} has {size:,} bytes, and its {opened.height} x "
            f"{opened.width} pixels{frames} take {needed:,}; a file of that size may take at most {most:,}. Scale it "
            f"down{_or_open_it()}."
        )
    if opened.format in ("JPEG", "MPO"):
        scans = min(_MOST_SCANS, max(_USUAL_SCANS, _MOST_SCANNED_PIXELS // pixels))
        place = opened.fp.tell()
        if _occurrences(opened.fp, _SCAN, scans) > scans:
            raise InvalidFileError(f"{path} must have at most {scans} scans; it has more. Save the image again.")
        opened.fp.seek(place)
    decoders = {tile[0] for tile in opened.tile}
    if "bmp_rle" in decoders and pixels > _MOST_RLE_PIXELS:
        raise InvalidFileError(f"{path} must have at most {_MOST_RLE_PIXELS:,} pixels as run lengths. Save it as PNG.")
    if "ppm_plain" in decoders and _occurrences(opened.fp, b"#", size) * size > _MOST_COMMENT_BYTES:
        raise InvalidFileError(f"{path} has too many comments between its pixels. Save it as PNG.")


def _bytes_per_pixel(opened: Any) -> int:
    """The most memory of decoding and converting, measured for each format, in bytes for each pixel."""
    stored = 1 if opened.mode in ("1", "L", "P") else 2 if opened.mode.startswith("I;16") else 4
    decoding = {
        "JPEG": stored + 2 * len(opened.getbands()),  # coefficients of all scans
        "MPO": stored + 2 * len(opened.getbands()),
        "WEBP": 16,  # two canvases, a copy and Pillow's image
        "AVIF": 16,  # planes of 16 bits, colours, a copy and Pillow's image
        "TIFF": 4 * stored,  # a strip of 16 bits, or one with coefficients, may be all of it; or a turned copy
    }
    return max(decoding.get(opened.format, stored), stored + 3)


def _prepare_tiff(path: Path, opened: Any) -> int:
    """The bytes of one tile of a TIFF file, which may be larger than the image; and leave out what is not needed."""
    if len(opened.tile) > _MOST_STRIPS:
        raise InvalidFileError(f"{path} must have at most {_MOST_STRIPS:,} strips; it has {len(opened.tile):,}.")
    metadata = opened.getexif()
    for directory in require("PIL.TiffTags", "Opening an image").TAGS_V2_GROUPS:  # Pillow would read them all
        if directory in metadata:
            del metadata[directory]
    width, height = (opened.tag_v2.get(tag, 1) for tag in (322, 323))
    bits = opened.tag_v2.get(258, (8,))
    return int(width) * int(height) * len(bits) * -(-max(bits) // 8)
