"""Whether views can be shown: their arrays fit together and hold numbers, and their texts are texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few, shown

from .views import ImageView, ModelView

_LARGEST = 2  # of a box, as a fraction: beyond the image a little is cut off, pixels are a mistake


def check_views(images: Sequence[ImageView]) -> None:
    """Refuse views that cannot be shown.

    Raises:
        ValueError: arrays do not fit together, or hold what cannot be shown, as values that are not finite; the
            message names them.
    """
    faults = [fault for image in images for fault in _faults(image)]
    if faults:
        raise ValueError(f"these views cannot be shown: {first_few(faults)}.")


def _faults(image: ImageView) -> Iterator[str]:
    """What does not fit together in an image, or is of the wrong type."""
    name, regions = image.name, (*_shape(image.boxes), 0)[0]
    yield from _text_faults("the name of an image", [name])
    faults = list(_array_faults(f"boxes of {name}", image.boxes, (regions, 4)))
    yield from faults
    if regions and not faults:
        if (np.diff(np.reshape(image.boxes, (-1, 2, 2)), axis=1) < 0).any():
            yield f"boxes of {name} must be x1, y1, x2, y2, the smaller first"
        if np.max(image.boxes) > _LARGEST:
            yield f"boxes of {name} must be fractions of its width and height, got {np.max(image.boxes):g}"
    pixels = np.asarray(image.image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        yield f"{name} must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}"
    if image.labels is not None:
        yield from _text_faults(f"labels of {name}", image.labels)
        if len(image.labels) != regions:
            yield f"{name} has {regions} regions, but {len(image.labels)} labels"
    for question in image.questions:
        truth = [] if question.truth is None else [question.truth]
        yield from _text_faults(f"a question of {name} and its true answer", [question.question, *truth])
        for model in question.models:
            yield from _model_faults(f"{model.title} to {shown(question.question)} of {name}", model, regions)


def _model_faults(where: str, model: ModelView, regions: int) -> Iterator[str]:
    words = len(model.tokens)
    yield from _text_faults(f"title and tokens of {where}", [model.title, *model.tokens])
    if model.attention is not None:
        layers, heads = (*_shape(model.attention), 0, 0)[:2]
        yield from _array_faults(f"attention of {where}", model.attention, (layers, heads, words, regions))
    for answer in model.answers:
        yield from _text_faults(f"an answer of {where}", [answer.answer])
        if not isinstance(answer.probability, (Real, np.number)) or not 0 <= answer.probability <= 1:
            given = shown(answer.probability)
            yield f"the probability of {shown(answer.answer)} by {where} must be 0 to 1, got {given}"
        for name, view in answer.methods.items():
            of = f"by {name} for {shown(answer.answer)} of {where}"
            yield from _array_faults(f"words {of}", view.words, (words,))
            yield from _array_faults(f"regions {of}", view.regions, (regions,))
            if view.language_to_vision is not None:
                yield from _array_faults(f"language_to_vision {of}", view.language_to_vision, (words, regions))


def _text_faults(name: str, texts: Sequence[object]) -> Iterator[str]:
    others = [text for text in texts if not isinstance(text, str)]
    if others:
        yield f"{name} must be text, got {shown(others[0])}"


def _array_faults(name: str, array: Any, shape: tuple[int, ...]) -> Iterator[str]:
    try:
        values = np.asarray(array)
    except ValueError:  # lists of unequal lengths
        yield f"{name} must be {list(shape)}, got rows of unequal lengths"
        return
    if values.dtype.kind in "OSUcMm":  # objects, texts, complex numbers, times
        yield f"{name} must be real numbers, got {'None' if array is None else values.dtype}"
    elif values.shape != shape:
        yield f"{name} must be {list(shape)}, got {list(values.shape)}"
    elif not np.isfinite(values.astype(np.float64)).all():
        yield f"{name} hold values that are not finite"


def _shape(array: Any) -> tuple[int, ...]:
    try:
        return np.shape(array)
    except ValueError:
        return ()
