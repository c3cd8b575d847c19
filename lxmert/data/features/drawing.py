"""A drawing of an image's regions: their boxes with numbers, and the ids of their objects where there are some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.atomic_files import replacing
from lxmert.utils.optional_imports import require

from .image_regions import FRACTIONS_SIZE
from .layout import NO_LABEL
from .store import RegionStore

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_UNKNOWN_SIZE = (480, 640)  # height and width of the drawing where the image's are not known
_SIDES = (320, 1600)  # the longest side of a drawing, at least and at most
_COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


def draw_regions(store: RegionStore, name: str, path: str | Path, image: str | Path | None = None) -> int:
    """Draw the boxes of an image.

    Args:
        store: of regions.
        name: of the image.
        path: of the drawing, .png or .jpg.
        image: the photograph to draw on; otherwise the boxes are on white.

    Returns:
        The number of boxes.

    Raises:
        FileNotFoundError: no such photograph.
        ImportError: pillow is not installed.
        ValueError: the store has no such image, or the drawing or the photograph is of an unknown format.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"a drawing is a .png or .jpg file; got {path}.")
    places = store.places([name])
    found = store.batch(places, labels=True)
    height, width = store.sizes(places)[0].tolist()
    canvas = _canvas((height, width), image)
    _draw(canvas, found)
    with replacing(path) as temporary:
        canvas.save(temporary, _FORMATS[path.suffix.lower()])
    return found["visual_pos"].shape[1]


def _canvas(size: tuple[int, int], image: str | Path | None) -> Any:
    """The photograph, or white in the shape of the image; neither tiny nor huge."""
    pillow = require("PIL.Image", "Drawing regions")
    if image is None:
        height, width = _UNKNOWN_SIZE if size == FRACTIONS_SIZE else size
        canvas = pillow.new("RGB", _drawn_size(width, height), "white")
    else:
        try:
            with pillow.open(image) as opened:
                turned = require("PIL.ImageOps", "Drawing regions").exif_transpose(opened)
                canvas = turned.convert("RGB").resize(_drawn_size(*turned.size))
        except (pillow.UnidentifiedImageError, pillow.DecompressionBombError, SyntaxError) as error:
            raise ValueError(f"{image} is not an image that can be read: {error}.") from None
    return canvas


def _drawn_size(width: int, height: int) -> tuple[int, int]:
    longest = max(width, height)
    scale = min(max(longest, _SIDES[0]), _SIDES[1]) / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw(canvas: Any, found: dict[str, np.ndarray]) -> None:
    pen = require("PIL.ImageDraw", "Drawing regions").Draw(canvas)
    width, height = canvas.size
    corners = np.rint(np.clip(found["visual_pos"][0], 0, 1) * np.array([width - 1, height - 1] * 2)).astype(int)
    captions = [_caption(found, number) for number in range(len(corners))]
    for number, box in enumerate(corners.tolist()):
        pen.rectangle(box, outline=_COLORS[number % len(_COLORS)], width=2)
    for number, (left, top, _, _) in enumerate(corners.tolist()):  # above all boxes
        size = pen.textbbox((0, 0), captions[number])
        at = min(left, width - size[2] - 4), min(top, height - size[3] - 4)
        pen.rectangle((*at, at[0] + size[2] + 3, at[1] + size[3] + 2), fill=_COLORS[number % len(_COLORS)])
        pen.text((at[0] + 2, at[1] + 1), captions[number], fill="white")


def _caption(found: dict[str, np.ndarray], number: int) -> str:
    """The number of a region, with its object and attribute."""
    parts = [str(number)]
    for kind in ("object", "attribute"):
        label, confidence = found[f"{kind}_ids"][0, number], found[f"{kind}_confidence"][0, number]
        if label != NO_LABEL:
            parts.append(f"{kind} {label} ({confidence:.2f})")
    return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]
