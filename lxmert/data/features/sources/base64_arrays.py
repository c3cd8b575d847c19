"""Cells of text: integers, and arrays in base64, as scripts of Python 2 and 3 write them."""

from __future__ import annotations

import binascii

import numpy as np

from lxmert.utils.messages import shown

from .base import DamagedImage

MAX_REGIONS = 10_000  # of an image
_LARGEST = 1e15  # of the numbers in an image's arrays


def plain_cell(text: bytes) -> bytes:
    """A cell without the b'…' that Python 3 writes around bytes that are converted to text."""
    if text[:2] in (b"b'", b'b"') and len(text) > 2 and text[-1:] == text[1:2]:
        return text[2:-1].replace(rb"\n", b"")
    return text


def integer(name: str, text: bytes, most: int = 2**31) -> int:
    """An integer from 1; a DamagedImage error for anything else."""
    text = plain_cell(text)
    if not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= most:
        raise DamagedImage(f"{name} must be an integer from 1; got {shown(text.decode('utf-8', 'replace'), 20)}.")
    return int(text)


def array(name: str, text: bytes, dtype: str, count: int | None, width: int | None) -> np.ndarray:
    """The array in base64, ``[count, width]``; what is None follows from the number of bytes."""
    text = plain_cell(text)
    if b"\n" in text:
        text = text.translate(None, b"\r\n")
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise DamagedImage(f"its {name} are damaged base64: {error}.") from None
    each = (count or 1) * (width or 1) * np.dtype(dtype).itemsize
    if not content or (len(content) != each if count and width else len(content) % each):
        wanted = f"{each:,}" if count and width else f"a multiple of {each:,}"
        given = f" for num_boxes {count}" if count else ""
        raise DamagedImage(f"its {name} must have {wanted} bytes{given}; they have {len(content):,}.")
    values = np.frombuffer(content, dtype).reshape(count or -1, width or (-1 if count else 1))
    check_float32(name, values)
    return values


def check_float32(name: str, values: np.ndarray) -> None:
    """Refuse float32 numbers that are the halves of float64 ones: the lower halves are huge, or not finite."""
    if values.dtype.kind == "f" and values.size and (values.max() > _LARGEST or values.min() < -_LARGEST):
        raise DamagedImage(f"its {name} must be float32; their bytes may be those of float64.")
