"""Open an image of any form as uint8 RGB ``[H, W, 3]``, as a viewer would show it.

Everything after this point sees one form, without special cases.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lxmert.utils.messages import warn_caller
from lxmert.utils.optional_imports import require

if TYPE_CHECKING:
    from PIL.Image import Image

ImageInput: TypeAlias = "str | os.PathLike[str] | Image | np.ndarray"
"""A path, a PIL image, or an array; see `open_image`."""

MAX_PIXELS = 100_000_000
"""Larger images are refused: a small file can decompress to more memory than the machine has."""

# Files of these formats are animated or have pages if they hold several images; in others, further ones are previews.
_SEQUENCES = ("GIF", "PNG", "WEBP", "AVIF", "TIFF", "FLI")
_SYSTEM_ERRORS = {
    value
    for name in (
        "EMFILE",
        "ENFILE",
        "ENOMEM",
        "ESTALE",
        "ENOTCONN",
        "ETIMEDOUT",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
    )
    if (value := getattr(errno, name, None)) is not None
}
RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters, in the order of its numbers, which the files of image processors write."""

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
        _check_size(image.height, image.width)
        return _from_pil(image, "the PIL image")
    if isinstance(image, str | os.PathLike):
        return _from_file(Path(image))
    raise TypeError(f"image must be {_FORMS}; got {type(image).__name__}.")


def is_of_the_system(error: BaseException) -> bool:
    """Whether an error is of the machine or the network of its disks, and the image may be good."""
    return isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS


def resize_image(pixels: np.ndarray, size: tuple[int, int], resample: str) -> np.ndarray:  # [H, W, 3] -> [h, w, 3]
    """Resize a uint8 image to height and width with one of Pillow's filters; the whole image is kept."""
    if pixels.shape[:2] == size:
        return pixels
    image_module = require("PIL.Image", "Resizing an image")
    height, width = size
    return np.asarray(image_module.fromarray(pixels).resize((width, height), RESAMPLING.index(resample)))


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"image must have at least one pixel; got height {height} and width {width}.")
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"image must have at most {MAX_PIXELS:,} pixels; got {height} x {width} = {height * width:,}. "
            "Scale it down first."
        )


def check_file(path: Path) -> None:
    """Raise ValueError for a folder, FileNotFoundError where nothing is."""
    if path.is_dir():
        raise ValueError(f"image must be a file; {path} is a folder.")
    if not path.exists():
        raise FileNotFoundError(f"image: there is no file {path} (looked from {Path.cwd()}).")


def _from_file(path: Path) -> np.ndarray:
    check_file(path)
    image_module = require("PIL.Image", "Opening an image")
    try:
        with warnings.catch_warnings():
            # Pillow has its own limits for warnings and errors; ours is checked on the header below.
            warnings.simplefilter("ignore", image_module.DecompressionBombWarning)
            opened = image_module.open(path)
    except image_module.DecompressionBombError as error:
        raise ValueError(f"image must have at most {MAX_PIXELS:,} pixels; {path} has more ({error}).") from error
    except PermissionError as error:
        raise PermissionError(f"image: {path} cannot be read; permission is denied.") from error
    except (OSError, ValueError, SyntaxError) as error:
        if is_of_the_system(error):
            raise
        raise ValueError(
            f"image must be an image file (PNG, JPEG, GIF, BMP, WebP, ...); Pillow cannot read {path} "
            f"({path.stat().st_size} bytes)."
        ) from error
    with opened:
        _check_size(opened.height, opened.width)
        pixels = _from_pil(opened, str(path))
        with contextlib.suppress(OSError, ValueError, SyntaxError, EOFError):  # what follows the first may be damaged
            if opened.format in _SEQUENCES and getattr(opened, "is_animated", False):
                warn_caller(f"{path} is animated or has several pages: the first of its {opened.n_frames} is read.")
    return pixels


def _from_pil(pil_image: Any, name: str) -> np.ndarray:
    image_module = require("PIL.Image", "Opening an image")
    orientation_module = require("PIL.ImageOps", "Opening an image")
    try:
        pil_image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's decoders raise for broken data
        if is_of_the_system(error):
            raise
        raise ValueError(f"image must be complete; {name} is truncated or damaged ({error}).") from error
    with contextlib.suppress(Exception):  # with damaged EXIF data, the orientation is ignored
        pil_image = orientation_module.exif_transpose(pil_image)
    if pil_image.mode.startswith("I;16") or pil_image.mode in ("I", "F"):
        return _from_deep_gray(np.asarray(pil_image), pil_image.mode)
    if pil_image.has_transparency_data:
        pil_image = pil_image.convert("RGBA")
        white = image_module.new("RGBA", pil_image.size, (255, 255, 255, 255))
        pil_image = image_module.alpha_composite(white, pil_image)
    return np.array(pil_image.convert("RGB"))


def _from_deep_gray(gray: np.ndarray, mode: str) -> np.ndarray:
    # Pillow's own conversion clips these modes at 255, which turns 16-bit images white.
    values = gray.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"image must have finite values; the PIL image of mode {mode} holds NaN or infinity.")
    # Modes I and F do not define the value of white; it is inferred from the largest value.
    high = float(values.max())
    whites = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(mode, (65535.0,))
    full = next((white for white in whites if high <= white), high)
    levels = np.rint(np.clip(values / full, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)


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
    _check_size(*array.shape[:2])
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
