"""Open an image of any form as uint8 RGB ``[H, W, 3]``, as a viewer would show it.

Everything after this point sees one form, without special cases.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.optional_imports import require
from lxmert.vision.image_files import check_size, open_image_file, warn_of_further_images

if TYPE_CHECKING:
    from PIL.Image import Image

ImageInput: TypeAlias = "str | os.PathLike[str] | Image | np.ndarray"
"""A path, a PIL image, or an array; see `open_image`."""

RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters, in the order of its numbers, which the files of image processors write."""

_BAND = 2**20  # pixels that are converted at a time
_FORMS = "a path, a PIL image, or a NumPy array of shape (H, W), (H, W, 3) or (H, W, 4)"


def open_image(image: ImageInput) -> np.ndarray:
    """Read an image as uint8 ``[H, W, 3]`` in RGB order.

    As viewers do, it applies a file's EXIF orientation, looks up palettes, repeats gray over three channels, and puts
    transparent images on white. Of an animated image or one of several pages it reads the first, with a warning.

    Args:
        image: a path, a PIL image of any mode, or an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``: uint8 in 0..255,
            bool, or float in 0..1; the fourth channel is opacity.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the system cannot read it now: too many files are open, or a disk on the network is lost.
        TypeError: another form, or an array of another dtype.
        ValueError: the file is no image or truncated, the size is zero or more than `MAX_PIXELS`, an array has another
            rank or number of channels, or floats outside 0..1.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    image_module = require("PIL.Image", "Opening an image")
    if isinstance(image, image_module.Image):
        check_size(image.height, image.width)
        return _from_pil(image, "the PIL image")
    if isinstance(image, str | os.PathLike):
        return _from_file(Path(image))
    raise TypeError(f"image must be {_FORMS}; got {type(image).__name__}.")


def resize_image(pixels: np.ndarray, size: tuple[int, int], resample: str) -> np.ndarray:  # [H, W, 3] -> [h, w, 3]
    """Resize a uint8 image to height and width with one of Pillow's filters; the whole image is kept."""
    if pixels.shape[:2] == size:
        return pixels
    image_module = require("PIL.Image", "Resizing an image")
    height, width = size
    return np.asarray(image_module.fromarray(pixels).resize((width, height), RESAMPLING.index(resample)))


def _from_file(path: Path) -> np.ndarray:
    with open_image_file(path) as opened:
        pixels = _from_pil(opened, str(path))
        warn_of_further_images(path, opened)
    return pixels


def _from_pil(image: Any, name: str) -> np.ndarray:
    with reading(name, "is truncated or damaged"):
        image.load()
        convert = _deep_gray(image, name) if image.mode.startswith("I;16") or image.mode in ("I", "F") else _colours
        height, width = image.height, image.width
        turn, turned = _TURNS.get(_orientation(image), (lambda shown: shown, False))
        pixels = np.empty((width, height, 3) if turned else (height, width, 3), np.uint8)
        target = turn(pixels)  # [height, width, 3]
        # In bands, because some conversions take several times the memory of what they convert.
        for band, rows in _bands(image):
            target[rows] = convert(band)
    return pixels


def _bands(image: Any) -> Iterator[tuple[Any, slice]]:
    """An image in parts of some rows each, and which rows these are."""
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        rows = slice(top, min(top + step, image.height))
        yield image.crop((0, rows.start, image.width, rows.stop)), rows


# From the pixels as they are shown to those in the file, by EXIF orientation; and whether width and height change.
_TURNS: dict[Any, tuple[Callable[[np.ndarray], np.ndarray], bool]] = {
    2: (lambda shown: shown[:, ::-1], False),
    3: (lambda shown: shown[::-1, ::-1], False),
    4: (lambda shown: shown[::-1], False),
    5: (lambda shown: shown.swapaxes(0, 1), True),
    6: (lambda shown: np.rot90(shown, 1), True),
    7: (lambda shown: shown[::-1, ::-1].swapaxes(0, 1), True),
    8: (lambda shown: np.rot90(shown, -1), True),
}


def _orientation(image: Any) -> Any:
    """The EXIF orientation; damaged EXIF data have none."""
    with contextlib.suppress(Exception):
        return image.getexif().get(0x0112)
    return None


def _colours(image: Any) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = require("PIL.Image", "Opening an image").new("RGBA", image.size, (255, 255, 255, 255))
        image = require("PIL.Image", "Opening an image").alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _deep_gray(image: Any, name: str) -> Callable[[Any], np.ndarray]:
    """The conversion of an image whose gray has more than 8 bits: Pillow's own clips at 255, which turns it white."""
    # Modes I and F do not define the value of white; it is inferred from the largest value.
    whites = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(image.mode)
    high = -np.inf
    for band, _ in _bands(image) if whites else ():
        values = np.asarray(band)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InvalidFileError(f"image must have finite values; {name}, of mode {image.mode}, has NaN or infinity.")
        high = max(high, float(values.max()))
    full = next((white for white in whites if high <= white), high) if whites else 65535.0

    def convert(band: Any) -> np.ndarray:
        values = np.asarray(band).astype(np.float64)
        return np.rint(np.clip(values / full, 0.0, 1.0) * 255.0).astype(np.uint8)[:, :, None]

    return convert


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = ""
        if array.ndim == 4:
            hint = " Pass the images of a batch one at a time."
        elif array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = " Its channels come first: move them last with image.transpose(1, 2, 0)."
        elif array.ndim == 3 and array.shape[2] == 1:
            hint = " Drop the last axis with image[:, :, 0]."
        raise ValueError(f"image must be {_FORMS}; got an array of shape {array.shape}.{hint}")
    check_size(*array.shape[:2])
    if array.dtype == np.bool_:
        array = array.astype(np.float32)
    if array.dtype == np.uint8:
        levels = array
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        # The tolerance is for rounding in whatever computed the image. NaN fails both comparisons.
        if not (low >= -1e-3 and high <= 1.0 + 1e-3):
            raise ValueError(
                f"image must have float values from 0 to 1; got {low:g} to {high:g}. "
                "For values from 0 to 255, pass image.astype('uint8')."
            )
        levels = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    else:
        raise TypeError(
            f"image must be an array of uint8 (0 to 255) or float (0 to 1); got dtype {array.dtype}. "
            "For values from 0 to 255, pass image.astype('uint8')."
        )
    if levels.ndim == 2:
        return np.repeat(levels[:, :, None], 3, axis=2)
    if levels.shape[2] == 4:
        opacity = levels[:, :, 3:].astype(np.float32) / 255.0
        on_white = levels[:, :, :3].astype(np.float32) * opacity + 255.0 * (1.0 - opacity)
        return np.rint(on_white).astype(np.uint8)
    return levels.copy()
