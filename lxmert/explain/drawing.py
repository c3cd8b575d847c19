"""Explanations as one picture: for each question and model the image with its regions, the answers and the words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.data.features.drawing import Label, label_place
from lxmert.utils.atomic_files import replacing
from lxmert.utils.messages import escaped
from lxmert.utils.optional_imports import import_extra, require
from lxmert.utils.output_files import check_output

from .checks import check_views
from .methods import METHODS
from .shares import formatted, is_special, lit, probability_text, region_names, shares, strengths, strongest
from .views import AnswerView, ImageView, MethodView, ModelView, QuestionView

_WIDTH, _MARGIN, _GAP = 1440, 48, 44
_PICTURE = 680  # the longest side of the image
_PANEL = _WIDTH - 2 * _MARGIN - _PICTURE - _GAP
_NAMED = 5  # regions with a name on the image
_LISTED = 6  # regions with a bar
_TEXT, _QUIET, _LINE = (27, 30, 34), (89, 97, 107), (213, 217, 222)
_FOR, _AGAINST = (194, 65, 12), (29, 95, 194)  # told apart with every kind of color vision
_FOR_FILL, _AGAINST_FILL = (238, 108, 42), (91, 148, 234)
_NOTE = (
    "Numbers are shares: those of all words add up to 100%, and so do those of all regions. With signs, + speaks for "
    "the answer and \N{MINUS SIGN} against it. They are what one method computes, and no proof of what the model "
    "“thinks”."
)
_FADED = 0.32  # what is left of the grey image where nothing counts

Color = tuple[int, int, int]


class _Fonts(NamedTuple):
    """Functions from a size to a font."""

    plain: Callable[[int], Any]
    bold: Callable[[int], Any]


def draw_explanations(path: str | Path, image: ImageView, *, method: str | None = None) -> None:
    """Draw why each model gives its likeliest answer to each question about an image.

    Regions keep their colors where they count and fade elsewhere; words are shaded alike. Numbers are shares: those of
    all words add up to 100%, and so do those of all regions.

    Args:
        path: the PNG file.
        image: what to show.
        method: by which to explain; the first that a model has by default, and where it does not have this one.

    Raises:
        ValueError: another ending than .png, a method that no answer has, or arrays that do not fit together.
        OSError: the file cannot be written.
        ImportError: pillow or matplotlib, whose fonts are used, is not installed.
    """
    check_output(path, "output", (".png",))
    check_views([image])
    models = [(question, model) for question in image.questions for model in question.models]
    known = {name for _, model in models for answer in model.answers for name in answer.methods}
    if method is not None and method not in known:
        raise ValueError(f"method must be one that the answers have: {', '.join(sorted(known))}; got {method!r}.")
    pillow, fonts = require("PIL.Image", "Drawing explanations"), _fonts()
    blocks = [_block(image, question, model, method, fonts) for question, model in models]
    blocks = [*blocks, _note(fonts)] if blocks else [_picture(image, None, fonts)]
    height = sum(block.height for block in blocks) + _GAP * (len(blocks) - 1) + 2 * _MARGIN
    sheet, top = pillow.new("RGB", (_WIDTH, height), "white"), _MARGIN
    for block in blocks:
        sheet.paste(block, (_MARGIN, top))
        top += block.height + _GAP
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)


def _fonts() -> _Fonts:
    """Fonts with the letters of most languages, which pillow's own does not have."""
    folder = Path(import_extra("matplotlib", "plot", "Drawing explanations").get_data_path()) / "fonts" / "ttf"
    load = require("PIL.ImageFont", "Drawing explanations").truetype
    return _Fonts(
        lambda size: load(folder / "DejaVuSans.ttf", size), lambda size: load(folder / "DejaVuSans-Bold.ttf", size)
    )


def _chosen(answer: AnswerView, method: str | None) -> tuple[str, MethodView] | None:
    """The method that explains an answer, and what it says; None for an answer without any."""
    names = [name for name in METHODS if name in answer.methods] or list(answer.methods)
    name = method if method in answer.methods else next(iter(names), None)
    return None if name is None else (name, answer.methods[name])


def _block(image: ImageView, question: QuestionView, model: ModelView, method: str | None, fonts: _Fonts) -> Any:
    """One model's answer to a question: the image at the left, the numbers beside it."""
    pillow = require("PIL.Image", "Drawing explanations")
    explained = _chosen(model.answers[0], method) if model.answers else None
    picture = _picture(image, None if explained is None else explained[1].regions, fonts)
    panel = _Panel(fonts, 600 + 36 * len(model.answers) + 60 * len(model.tokens) + 2 * len(question.question))
    panel.question(question, model)
    panel.answers(question, model)
    if explained is not None:
        name, view = explained
        title = METHODS[name].title if name in METHODS else escaped(name)
        panel.heading(f"Why “{escaped(model.answers[0].answer)}”: {title}")
        panel.words(model.tokens, view.words)
        panel.regions(image, view.regions)
    block = pillow.new("RGB", (_WIDTH - 2 * _MARGIN, max(picture.height, panel.top)), "white")
    block.paste(picture, (0, 0))
    block.paste(panel.canvas, (_PICTURE + _GAP, 0))
    return block


def _picture(image: ImageView, regions: np.ndarray | None, fonts: _Fonts) -> Any:
    """The image, in color where regions count; with names of the strongest."""
    pillow = require("PIL.Image", "Drawing explanations")
    height, width = image.image.shape[:2]
    scale = _PICTURE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = max(height, width) < 200
    canvas = pillow.fromarray(np.asarray(image.image, np.uint8)).resize(
        size, pillow.Resampling.NEAREST if small else pillow.Resampling.LANCZOS
    )
    corners = np.rint(np.clip(image.boxes, 0, 1) * np.array([size[0] - 1, size[1] - 1] * 2)).astype(int)
    if regions is not None and np.any(regions):
        canvas = pillow.fromarray(_faded(np.asarray(canvas), corners, lit(regions, image.boxes)))
    pen = require("PIL.ImageDraw", "Drawing explanations").Draw(canvas)
    if regions is None:
        for box in corners.tolist():
            pen.rectangle(box, outline=_QUIET)
        return canvas
    named = [number for number in strongest(regions, _NAMED) if strengths(regions)[number] > 0.02]
    for number in reversed(named):
        box = corners[number]
        pen.rectangle((box + np.array([-2, -2, 2, 2])).tolist(), outline="white", width=6)
        pen.rectangle(box.tolist(), outline=_AGAINST if regions[number] < 0 else _FOR, width=2)
    _names(pen, image, corners, regions, named, size, fonts.plain(16))
    return canvas


def _note(fonts: _Fonts) -> Any:
    font, width = fonts.plain(14), _WIDTH - 2 * _MARGIN
    lines = list(_lines(_NOTE, width, font))
    note = require("PIL.Image", "Drawing explanations").new("RGB", (width, 20 * len(lines)), "white")
    pen = require("PIL.ImageDraw", "Drawing explanations").Draw(note)
    for place, line in enumerate(lines):
        pen.text((0, 20 * place + 10), line, fill=_QUIET, font=font, anchor="lm")
    return note


def _faded(pixels: np.ndarray, corners: np.ndarray, kept_parts: np.ndarray) -> np.ndarray:
    """The image [H, W, 3], faded to white where no region counts; where regions overlap, the strongest is seen."""
    kept = np.zeros(pixels.shape[:2])
    for (left, top, right, bottom), value in zip(corners, kept_parts, strict=True):
        part = kept[top : bottom + 1, left : right + 1]
        np.maximum(part, value, out=part)
    grey = pixels @ np.array([0.2126, 0.7152, 0.0722])
    faded = 255 - _FADED * (255 - grey[..., None])
    return np.rint(faded + kept[..., None] * (pixels - faded)).astype(np.uint8)


def _names(
    pen: Any,
    image: ImageView,
    corners: np.ndarray,
    regions: np.ndarray,
    named: Sequence[int],
    size: tuple[int, int],
    font: Any,
) -> None:
    placed: list[tuple[int, int, int, int]] = []
    signed, of_all = bool(np.min(regions, initial=0) < 0), shares(regions)
    names = region_names(image.labels, len(regions))
    for number in named:
        text = _cut(f"{names[number]} {formatted(of_all[number], signed)}", size[0] * 0.6, font)
        label = Label(text, round(font.getlength(text)) + 12, 23)
        box = (corners[number] - np.array([0, label.height, 0, 0])).tolist()  # above the region where there is room
        left, top = label_place(label, box, placed, size)
        placed.append((left, top, left + label.width, top + label.height))
        pen.rectangle((left, top, *placed[-1][2:]), fill=_AGAINST if regions[number] < 0 else _FOR)
        pen.text((left + 6, top + 11), text, fill="white", font=font, anchor="lm")


def _cut(text: str, width: float, font: Any) -> str:
    """A text that is not wider than this; with an ellipsis where it was."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[: int(len(text) * 0.9)]
    return text + "…"


def _lines(text: str, width: float, font: Any) -> Iterator[str]:
    """A text in lines that are not wider than this."""
    line = ""
    for word in text.split():
        word = _cut(word, width, font)
        if line and font.getlength(f"{line} {word}") > width:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


class _Panel:
    """What stands beside the image: written from top to bottom."""

    def __init__(self, fonts: _Fonts, height: int):
        self.fonts = fonts
        self.canvas = require("PIL.Image", "Drawing explanations").new("RGB", (_PANEL, height), "white")
        self.pen = require("PIL.ImageDraw", "Drawing explanations").Draw(self.canvas)
        self.top = 0

    def question(self, question: QuestionView, model: ModelView) -> None:
        font = self.fonts.bold(22)
        for line in _lines(escaped(question.question), _PANEL, font):
            self.pen.text((0, self.top + 14), line, fill=_TEXT, font=font, anchor="lm")
            self.top += 30
        known = "" if question.truth is None else f"true answer: {escaped(question.truth)}"
        if known:
            self._line(known, _QUIET)
        self.heading(escaped(model.title))

    def heading(self, text: str) -> None:
        font = self.fonts.bold(16)
        self.top += 16
        self.pen.text((0, self.top + 10), _cut(text, _PANEL, font), fill=_QUIET, font=font, anchor="lm")
        self.top += 30

    def answers(self, question: QuestionView, model: ModelView) -> None:
        for place, answer in enumerate(model.answers):
            verdict = ""
            if question.truth is not None:
                verdict = "✓ right" if answer.answer == question.truth else "✗ wrong" if place == 0 else ""
            font = (self.fonts.bold if place == 0 else self.fonts.plain)(18)
            self._bar(
                escaped(answer.answer), answer.probability, probability_text(answer.probability), _QUIET, font, verdict
            )
        if model.note:
            self._line(escaped(model.note), _QUIET)

    def words(self, tokens: Sequence[str], values: np.ndarray) -> None:
        """Chips, shaded by share."""
        signed, of_all, strength = bool(np.min(values, initial=0) < 0), shares(values), strengths(values)
        left, font, small = 0, self.fonts.plain(18), self.fonts.plain(14)
        for token, share, shade in zip(tokens, of_all, strength, strict=True):
            text, number = _cut(escaped(token), _PANEL - 24, font), formatted(share, signed)
            width = round(max(font.getlength(text), small.getlength(number))) + 20
            if left + width >= _PANEL:
                left, self.top = 0, self.top + 58
            fill = _mixed(_AGAINST_FILL if share < 0 else _FOR_FILL, 0.72 * shade)
            self.pen.rounded_rectangle((left, self.top, left + width, self.top + 51), 5, fill=fill, outline=_LINE)
            middle = left + width / 2
            of_text = small if is_special(token) else font
            self.pen.text((middle, self.top + 18), text, fill=_TEXT, font=of_text, anchor="mm")
            self.pen.text((middle, self.top + 39), number, fill=_TEXT, font=small, anchor="mm")
            left += width + 6
        self.top += 70

    def regions(self, image: ImageView, values: np.ndarray) -> None:
        """Bars of the strongest."""
        signed, of_all, strength = bool(np.min(values, initial=0) < 0), shares(values), strengths(values)
        names = region_names(image.labels, len(values))
        for number in strongest(values, _LISTED):
            color = _AGAINST if values[number] < 0 else _FOR
            text = formatted(of_all[number], signed)
            self._bar(names[number], strength[number], text, color, self.fonts.plain(16))

    def _bar(self, text: str, part: float, number: str, color: Color, font: Any, verdict: str = "") -> None:
        middle, start, end = self.top + 15, round(_PANEL * 0.34), round(_PANEL * 0.71)
        self.pen.text((0, middle), _cut(text, start - 12, font), fill=_TEXT, font=font, anchor="lm")
        if part >= 0.0005:
            self.pen.rectangle((start, middle - 4, start + max(1, round((end - start) * part)), middle + 4), fill=color)
        self.pen.text((_PANEL * 0.86, middle), number, fill=_TEXT, font=font, anchor="rm")
        self.pen.text((_PANEL * 0.88, middle), verdict, fill=_TEXT, font=self.fonts.plain(15), anchor="lm")
        self.top += 30

    def _line(self, text: str, color: Color) -> None:
        font = self.fonts.plain(16)
        for line in _lines(text, _PANEL, font):
            self.pen.text((0, self.top + 11), line, fill=color, font=font, anchor="lm")
            self.top += 24


def _mixed(color: Color, part: float) -> Color:
    """A color on white."""
    red, green, blue = (round(255 + part * (value - 255)) for value in color)
    return red, green, blue
