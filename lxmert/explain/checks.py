"""Whether views can be shown: their arrays fit together, and hold numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lxmert.utils.messages import first_few

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
        raise ValueError(f"these arrays cannot be shown: {first_few(faults)}.")


def _faults(image: ImageView) -> Iterator[str]:
    """What does not fit together in an image's arrays."""
    name, regions = image.name, len(image.boxes)
    yield from _array_faults(f"boxes of {name}", image.boxes, (regions, 4))
    if regions and np.shape(image.boxes) == (regions, 4):
        if (np.diff(np.reshape(image.boxes, (-1, 2, 2)), axis=1) < 0).any():
            yield f"boxes of {name} must be x1, y1, x2, y2, the smaller first"
        if np.max(image.boxes) > _LARGEST:
            yield f"boxes of {name} must be fractions of its width and height, got {np.max(image.boxes):g}"
    pixels = np.asarray(image.image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        yield f"{name} must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}"
    if image.labels is not None and len(image.labels) != regions:
        yield f"{name} has {regions} regions, but {len(image.labels)} labels"
    for question in image.questions:
        for model in question.models:
            yield from _model_faults(f"{model.title} to {question.question!r} of {name}", model, regions)


def _model_faults(where: str, model: ModelView, regions: int) -> Iterator[str]:
    words = len(model.tokens)
    if model.attention is not None:
        layers, heads = (*np.shape(model.attention), 0, 0)[:2]
        yield from _array_faults(f"attention of {where}", model.attention, (layers, heads, words, regions))
    for answer in model.answers:
        if not 0 <= answer.probability <= 1:
            yield f"the probability of {answer.answer!r} by {where} must be 0 to 1, got {answer.probability}"
        for name, view in answer.methods.items():
            for array_name, shape in (
                ("words", (words,)),
                ("regions", (regions,)),
                ("language_to_vision", (words, regions)),
            ):
                array = getattr(view, array_name)
                if array is not None:
                    yield from _array_faults(f"{array_name} by {name} for {answer.answer!r} of {where}", array, shape)


def _array_faults(name: str, array: np.ndarray, shape: tuple[int, ...]) -> Iterator[str]:
    if np.shape(array) != shape:
        yield f"{name} must be {list(shape)}, got {list(np.shape(array))}"
    elif not np.isfinite(np.asarray(array, np.float64)).all():
        yield f"{name} hold values that are not finite"
