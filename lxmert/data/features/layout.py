"""The files of a store: their names, dtypes and headers, and the checksum of an image.

    regions.json        format, version, and the counts
    features.npy        [N, F] float16 or float32, the regions of all images, image after image
    boxes.npy           [N, 4] float32, x1, y1, x2, y2 in pixels
    labels.npy          [N] of (object_id, object_confidence, attribute_id, attribute_confidence); -100 and 0 for a
                        region without a label
    offsets.npy         [P + 1] int64, where each image's regions start and end
    sizes.npy           [P, 2] int32, height and width in pixels
    checksums.npy       [P] uint32, CRC-32 of everything stored about an image
    names.npy           [P] bytes, the images' names, sorted for binary search
    name_places.npy     [P] int64, the number of the image of each of these names

`numpy.load(path, mmap_mode="r")` maps each of the arrays. Reader, writer and check share this file.
"""

from __future__ import annotations

import io
import math
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from lxmert.utils.file_bytes import is_possible
from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import shown

FORMAT = "lxmert regions"
VERSION = 1
INDEX = "regions.json"
FEATURES, BOXES, LABELS = "features.npy", "boxes.npy", "labels.npy"
OFFSETS, SIZES, CHECKSUMS = "offsets.npy", "sizes.npy", "checksums.npy"
NAMES, NAME_PLACES = "names.npy", "name_places.npy"
FILES = (INDEX, FEATURES, BOXES, LABELS, OFFSETS, SIZES, CHECKSUMS, NAMES, NAME_PLACES)

FEATURE_DTYPES: dict[str, np.dtype] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
BOX_DTYPE = np.dtype("<f4")
LABEL_DTYPE = np.dtype(
    [("object_id", "<i4"), ("object_confidence", "<f4"), ("attribute_id", "<i4"), ("attribute_confidence", "<f4")]
)
OFFSET_DTYPE, SIZE_DTYPE, CHECKSUM_DTYPE = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<u4")
NO_LABEL = -100  # losses ignore this label
LARGEST_IDS = ("largest_object_id", "largest_attribute_id")  # in regions.json; older stores do not have them
NO_ID = -1  # the largest id of a store without ids

MAX_NAME_BYTES = 255
_LONGEST_HEADER, _MOST_BRACKETS = 10_000, 100  # of files of others
_HEADER_TEXT = re.compile(rb"[\w\s{}()\[\]'\",:<>=|.]*")
HEADER = 256  # bytes before the numbers of every file: fixed, as headers are written last, when the counts are known


class StoredArray(NamedTuple):
    """The array of a .npy file, and the offset of its numbers in bytes."""

    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]


def array_shapes(
    images: int, regions: int, feature_size: int, feature_dtype: np.dtype
) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Dtype and shape of the arrays that grow image by image, by file."""
    return {
        FEATURES: (feature_dtype, (regions, feature_size)),
        BOXES: (BOX_DTYPE, (regions, 4)),
        LABELS: (LABEL_DTYPE, (regions,)),
        OFFSETS: (OFFSET_DTYPE, (images + 1,)),
        SIZES: (SIZE_DTYPE, (images, 2)),
        CHECKSUMS: (CHECKSUM_DTYPE, (images,)),
    }


def npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """A .npy header, padded to `HEADER` bytes."""
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    text = "{" + "".join(f"'{name}': {value!r}, " for name, value in described.items()) + "}"
    start = b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little")
    return start + text.encode("latin-1").ljust(HEADER - len(start) - 1) + b"\n"


def read_npy_header(path: Path) -> StoredArray:
    """Read the header of a .npy file, and check that the file has exactly the size that it declares.

    Raises:
        ValueError: not a .npy file of numbers, or a truncated one.
    """
    with path.open("rb") as file:
        try:
            shape, fortran, dtype = parse_npy_header(file)
        except ValueError as error:
            raise ValueError(f"{path} is not a .npy file of numbers: {error}") from None
        offset, size = file.tell(), os.fstat(file.fileno()).st_size
    if fortran and len(shape) > 1:
        raise ValueError(f"{path} must hold its numbers row by row; it holds them column by column.")
    if dtype.hasobject:
        raise ValueError(f"{path} holds Python objects (pickles), which are not read.")
    expected = offset + math.prod(shape) * dtype.itemsize
    if size != expected:
        state = "is truncated" if size < expected else "has extra bytes at its end"
        raise ValueError(f"{path} {state}: by its header it has {expected:,} bytes; it has {size:,}.")
    return StoredArray(offset, dtype, shape)


def parse_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, column order and dtype of a .npy file, which stays open at its numbers.

    Raises:
        InvalidFileError: another file, whose name the caller adds.
    """
    readers = {(1, 0): (np.lib.format.read_array_header_1_0, 2), (2, 0): (np.lib.format.read_array_header_2_0, 4)}
    with reading("it", "has no header of one"):
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise InvalidFileError(f"version {version} of the format")
        reader, width = readers[version]
        length = file.read(width)
        size = int.from_bytes(length, "little")
        text = file.read(size) if size <= _LONGEST_HEADER else b""
        # NumPy gives it to Python's compiler: numbers, texts and a few brackets are all that is in one.
        if len(text) < size or not _HEADER_TEXT.fullmatch(text) or text.count(b"(") + text.count(b"[") > _MOST_BRACKETS:
            raise InvalidFileError("it has no header of one")
        text = re.sub(rb"(?<=\d)L", b" ", text)  # of long integers of Python 2
        shape, by_columns, dtype = reader(io.BytesIO(length + text))
        if not is_possible(shape) or not dtype.itemsize:
            raise InvalidFileError(f"it claims to be {dtype} {shown(list(shape))}")
        return shape, by_columns, dtype


def checksum(name: bytes, size: np.ndarray, features: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> int:
    """CRC-32 of an image as it is stored: its name, its height and width, and its rows of the three arrays."""
    value = zlib.crc32(name)
    for part in (size, features, boxes, labels):
        value = zlib.crc32(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data, value)
    return value


def largest_ids(labels: np.ndarray) -> list[int]:
    """The largest object id and attribute id of an array of `LABEL_DTYPE`, `NO_ID` where there is none."""
    return [int(labels[f"{kind}_id"].max(initial=NO_ID)) for kind in ("object", "attribute")]


def encode_name(name: str) -> bytes:
    """An image's name as it is stored; a ValueError if it is empty, too long, or has control characters."""
    if not isinstance(name, str):
        raise ValueError(f"an image's name must be a string; got {type(name).__name__}.")
    try:
        stored = name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"an image's name must not have half a character (a lone surrogate); got {shown(name)}."
        ) from None
    if not stored or len(stored) > MAX_NAME_BYTES:
        raise ValueError(f"an image's name must have 1 to {MAX_NAME_BYTES} bytes; got {shown(name)} of {len(stored)}.")
    if (not stored.isascii() and not name.isprintable()) or any(byte < 32 or byte == 127 for byte in stored):
        raise ValueError(f"an image's name must have no control characters; got {shown(name)}.")
    return stored
