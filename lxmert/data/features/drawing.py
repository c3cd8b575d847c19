"""A drawing of an image's regions: their boxes with numbers, and the names or ids of their objects and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.utils.atomic_files import replacing
from lxmert.utils.messages import escaped
from lxmert.utils.optional_imports import require
from lxmert.utils.output_files import check_output
from lxmert.vision.detections import ImageDetections
from lxmert.vision.images import ImageInput, open_image

from .image_regions import FRACTIONS_SIZE
from .layout import NO_LABEL
from .store import RegionStore
from .stored_regions import stored_regions

Names = Sequence[str] | None
"""Names of objects or attributes in the order of their ids; None to show the ids."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_UNKNOWN_SIZE = (480, 640)  # height and width of a white image where those of the real one are not known
_SIDES = (320, 1600)  # the longest side of a drawing, at least and at most
_COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


class Label(NamedTuple):
    """A caption: its text, and the size of its background in pixels."""

    text: str
    width: int
    height: int


def check_drawing(path: str | Path, image: ImageInput | None = None) -> None:
    """Refuse a file that no drawing can be written to, before the work starts.

    Raises:
        ValueError: it does not end in .png or .jpg, its folder does not exist, or it is the image that is drawn on.
        OSError: its folder cannot be written.
    """
    check_output(path, "draw", _FORMATS, image)


def draw_detections(
    found: ImageDetections,
    path: str | Path,
    image: ImageInput | None = None,
    objects: Names = None,
    attributes: Names = None,
) -> int:
    """Draw the boxes of an image, the smallest on top, with the most confident captions where they are read best.

    Args:
        found: the regions.
        path: of the drawing, .png or .jpg.
        image: to draw on; otherwise the boxes are on white.
        objects, attributes: their names.

    Returns:
        The number of boxes.

    Raises:
        FileNotFoundError, TypeError, ValueError: the image cannot be opened, or the drawing is of an unknown format.
        ImportError: pillow is not installed.
    """
    check_drawing(path, image)
    canvas = _canvas(found.size, image)
    _draw(canvas, found.normalized_boxes, captions(found, objects, attributes))
    path = Path(path)
    with replacing(path) as temporary:
        canvas.save(temporary, _FORMATS[path.suffix.lower()])
    return len(found)


def draw_regions(
    store: RegionStore,
    name: str,
    path: str | Path,
    image: ImageInput | None = None,
    objects: Names = None,
    attributes: Names = None,
) -> int:
    """Draw the boxes of an image of a store; see `draw_detections`.

    Raises:
        ValueError: the store has no such image.
    """
    check_drawing(path)
    place = int(store.places([name])[0])
    return draw_detections(stored_regions(store, place), path, image, objects, attributes)


def captions(found: ImageDetections, objects: Names = None, attributes: Names = None) -> list[str]:
    """What is written at each region: its number and its object, such as "3: brown dog 0.93", or the ids of these."""
    return [_caption(found, number, objects, attributes) for number in range(len(found))]


def _caption(found: ImageDetections, number: int, objects: Names, attributes: Names) -> str:
    label = region_label(found, number, objects, attributes)
    scores, ids = found.object_scores, found.object_ids
    if scores is not None and ids is not None and ids[number] != NO_LABEL:
        label = f"{label} {scores[number]:.2f}"
    return f"{number}: {label}" if label else str(number)


def region_label(found: ImageDetections, number: int, objects: Names = None, attributes: Names = None) -> str:
    """What a region shows: its attribute and its object, such as "brown dog", or their ids; "" if unknown."""
    parts = []
    for kind, ids, names in (
        ("attribute", found.attribute_ids, attributes),
        ("object", found.object_ids, objects),
    ):
        if ids is not None and ids[number] != NO_LABEL:
            parts.append(f"{kind} {ids[number]}" if names is None else escaped(names[ids[number]]))
    return " ".join(parts)


def white_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the white image that stands for one of this size, which may not be known."""
    return _UNKNOWN_SIZE if size == FRACTIONS_SIZE else size


def _canvas(size: tuple[int, int], image: ImageInput | None) -> Any:
    """The photograph, or white in the shape of the image; neither tiny nor huge."""
    pillow = require("PIL.Image", "Drawing regions")
    if image is None:
        height, width = white_size(size)
        return pillow.new("RGB", _drawn_size(width, height), "white")
    photograph = pillow.fromarray(open_image(image))
    return photograph.resize(_drawn_size(*photograph.size))


def _drawn_size(width: int, height: int) -> tuple[int, int]:
    longest = max(width, height)
    scale = min(max(longest, _SIDES[0]), _SIDES[1]) / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw(canvas: Any, boxes: np.ndarray, texts: Sequence[str]) -> None:
    pen = require("PIL.ImageDraw", "Drawing regions").Draw(canvas)
    width, height = canvas.size
    corners = np.rint(np.clip(boxes, 0, 1) * np.array([width - 1, height - 1] * 2)).astype(int)
    font = _font(max(11, max(width, height) // 70))
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    for number in np.argsort(-areas, kind="stable").tolist():
        pen.rectangle(corners[number].tolist(), outline=_color(number), width=2)
    placed: list[tuple[int, int, int, int]] = []
    for number, box in enumerate(corners.tolist()):  # above all boxes
        _, _, right, bottom = pen.textbbox((0, 0), texts[number], font=font)
        label = Label(texts[number], round(right) + 4, round(bottom) + 3)
        left, top = label_place(label, box, placed, (width, height))
        placed.append((left, top, left + label.width, top + label.height))
        pen.rectangle((left, top, left + label.width - 1, top + label.height - 1), fill=_color(number))
        pen.text((left + 2, top + 1), label.text, fill="white", font=font)


def label_place(
    label: Label, box: Sequence[int], placed: Sequence[tuple[int, int, int, int]], size: tuple[int, int]
) -> tuple[int, int]:
    """Where a caption hides least of the others: in a corner of its box, or beside the box."""
    left, top, right, bottom = box
    inside, outside = (left, max(left, right - label.width)), (top, max(top, bottom - label.height))
    wanted = [(x, y) for y in outside for x in inside]
    wanted += [(x, y) for y in (top - label.height, bottom) for x in inside]
    wanted += [(left, top + step * label.height) for step in range(1, 4)]
    fitting = [(max(0, min(x, size[0] - label.width)), max(0, min(y, size[1] - label.height))) for x, y in wanted]

    def hidden(place: tuple[int, int]) -> int:
        x, y = place
        overlaps = (
            max(0, min(x + label.width, other[2]) - max(x, other[0]))
            * max(0, min(y + label.height, other[3]) - max(y, other[1]))
            for other in placed
        )
        return sum(overlaps)

    return min(fitting, key=hidden)  # the first of the best


def _font(size: int) -> Any:
    fonts = require("PIL.ImageFont", "Drawing regions")
    try:
        return fonts.load_default(size)
    except (ImportError, OSError):  # a Pillow without FreeType has one font of one size
        return fonts.load_default()


def _color(number: int) -> str:
    return _COLORS[number % len(_COLORS)]
