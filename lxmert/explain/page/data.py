"""The data of the page: views as JSON that can stand in a script element."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lxmert.explain.checks import check_views
from lxmert.explain.methods import METHODS
from lxmert.explain.shares import WHOLE, region_names
from lxmert.explain.views import AnswerView, ImageView, MethodView, ModelView, QuestionView
from lxmert.utils.messages import escaped
from lxmert.utils.optional_imports import require

_LONGEST_SIDE = 1600  # of an image in the page, in pixels
_LEVELS = 32767  # of a matrix: int16


def data_text(images: Sequence[ImageView]) -> str:
    """The views as JSON. No character of it ends the script element that it stands in.

    Raises:
        ValueError: arrays do not fit together, or hold values that are not finite.
        ImportError: pillow is not installed.
    """
    check_views(images)
    data = {"whole": WHOLE, "methods": _methods(images), "images": [_image(image) for image in images]}
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII alone
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def method_views(images: Sequence[ImageView]) -> Iterator[tuple[str, MethodView]]:
    """Every view by a method, with the name of the method."""
    for image in images:
        for question in image.questions:
            for model in question.models:
                for answer in model.answers:
                    yield from answer.methods.items()


def _methods(images: Sequence[ImageView]) -> dict[str, dict[str, Any]]:
    """What the page says of each method that occurs, in the order of the menu."""
    found: dict[str, bool] = {}  # whether it has negative values
    for name, view in method_views(images):
        arrays = [array for array in (view.words, view.regions) if np.size(array)]
        found[name] = found.get(name, False) or any(np.min(array) < 0 for array in arrays)
    known = [name for name in METHODS if name in found]
    methods: dict[str, dict[str, Any]] = {
        name: {
            "title": METHODS[name].title,
            "summary": METHODS[name].summary,
            "signed": METHODS[name].signed or found[name],
            "dependsOnAnswer": METHODS[name].depends_on_answer,
        }
        for name in known
    }
    for name in found.keys() - METHODS.keys():
        methods[escaped(name)] = {
            "title": escaped(name),
            "summary": "",
            "signed": found[name],
            "dependsOnAnswer": True,
        }
    return methods


def _image(image: ImageView) -> dict[str, Any]:
    height, width = image.image.shape[:2]
    return {
        "name": escaped(image.name),
        "width": width,
        "height": height,
        "source": _data_uri(image.image),
        "boxes": np.clip(np.asarray(image.boxes, np.float64), 0, 1).round(4).tolist(),
        "names": region_names(image.labels, len(image.boxes)),
        "questions": [_question(question) for question in image.questions],
    }


def _question(question: QuestionView) -> dict[str, Any]:
    return {
        "question": escaped(question.question),
        "truth": None if question.truth is None else escaped(question.truth),
        "models": [_model(model) for model in question.models],
    }


def _model(model: ModelView) -> dict[str, Any]:
    return {
        "title": escaped(model.title),
        "tokens": [escaped(token) for token in model.tokens],
        "note": escaped(model.note),
        "answers": [_answer(answer) for answer in model.answers],
        "attention": None if model.attention is None else _packed(model.attention),
        "attentionLayers": escaped(model.attention_layers),
    }


def _answer(answer: AnswerView) -> dict[str, Any]:
    return {
        "answer": escaped(answer.answer),
        "probability": float(answer.probability),  # rounded, 0.99996 would be certain
        "methods": _views(answer.methods),
    }


def _views(methods: Mapping[str, MethodView]) -> dict[str, Any]:
    return {
        escaped(name): {
            "words": [_short(value) for value in view.words],
            "regions": [_short(value) for value in view.regions],
            "links": None if view.language_to_vision is None else _packed(view.language_to_vision),
        }
        for name, view in methods.items()
    }


def _short(value: float) -> float:
    """A number with the digits that a reader can see."""
    return float(f"{float(value):.4g}")


def _packed(array: np.ndarray) -> dict[str, Any]:
    """An array as base64 of little-endian int16, and the factor to multiply them by."""
    array = np.asarray(array, np.float64)
    largest = float(np.abs(array).max(initial=0))
    levels = np.rint(array / (largest or 1) * _LEVELS).astype("<i2")
    data = base64.b64encode(levels.tobytes()).decode()
    return {"shape": list(array.shape), "scale": largest / _LEVELS, "data": data}


def _data_uri(pixels: np.ndarray) -> str:
    """An image inside the page: as PNG or as JPEG, whichever is smaller. PNG is it for what is drawn."""
    image = require("PIL.Image", "Writing the page").fromarray(np.asarray(pixels, np.uint8))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    files = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 85})):
        buffer = io.BytesIO()
        image.save(buffer, format=kind.upper(), **options)
        files[kind] = buffer.getvalue()
    kind = min(files, key=lambda kind: len(files[kind]))
    return f"data:image/{kind};base64,{base64.b64encode(files[kind]).decode()}"
