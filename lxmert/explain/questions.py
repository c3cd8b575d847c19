"""Why a model gives its answers to questions about an image."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.data.features.drawing import region_label
from lxmert.data.features.image_regions import FRACTIONS_SIZE
from lxmert.detection.region_detector import RegionDetector
from lxmert.detection.stored import StoredRegions
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.inference.backends import numpy_model
from lxmert.inference.question_models import scores_name
from lxmert.utils.counts import check_integer
from lxmert.utils.setting_names import setting
from lxmert.utils.softmax import softmax
from lxmert.vision.detections import ImageDetections
from lxmert.vision.images import ImageInput, open_image
from lxmert.weights.naming.tables import MODELS

from .explaining import explain_methods
from .explanation import Explanation
from .methods import checked_methods
from .views import AnswerView, ImageView, MethodView, ModelView, QuestionView

_UNKNOWN_SIZE = (480, 640)  # height and width of the white image where its regions do not tell them
_WHOLE = 0.001  # how far the box of the whole image may be from its border, as a fraction


def explain_questions(
    answerer: VisualQuestionAnswering,
    image: ImageInput | ImageDetections,
    questions: str | Sequence[str],
    *,
    methods: str | Sequence[str] | None = None,
    top_k: int = 3,
    answers: str | Sequence[str] | None = None,
    picture: ImageInput | None = None,
    name: str | None = None,
    title: str | None = None,
    steps: int = 50,
    batch_size: int = 32,
) -> ImageView:
    """Answer questions about an image, and explain the answers.

    `write_page` and `draw_explanations` show what this returns.

    Args:
        answerer: a model with its tokenizer, answers and detector, in either backend.
        image: a path, a PIL image or an array [H, W, 3]; of an answerer with region stores the image's name there. Or
            its regions, of `answerer.find_regions`.
        questions: one question or several.
        methods: names of `METHODS`; all that the model has by default.
        top_k: how many answers of each question to explain, the likeliest; all of them where the model has fewer.
        answers: others to explain for each question.
        picture: what to show of an image that is given by its name in a store, or by its regions; white by default.
        name: what to call the image; by default that of its file or its name in the store.
        title: what to call the model; "LXMERT" or "VisualBERT" by default.
        steps: of integrated gradients.
        batch_size: how many answers go through the model at once.

    Raises:
        ValueError: no questions; a method or an answer that the model does not have, with the nearest ones; or the
            model is in training mode. See `VisualQuestionAnswering` for images.
    """
    texts = [questions] if isinstance(questions, str) else list(questions)
    if not texts:
        raise ValueError("questions must be at least one; got none.")
    kind = answerer.model.config.model_type
    wanted = checked_methods(methods, kind)
    others = answer_numbers(answerer.answers, [answers] if isinstance(answers, str) else answers or [])
    top_k = min(check_integer(setting("top_k"), top_k), len(answerer.answers))
    batch_size = check_integer("batch_size", batch_size)
    (found,) = answerer.find_regions([image])
    inputs = answerer.inputs([(found.features, found.normalized_boxes)] * len(texts), texts)
    read = [_read(answerer, part) for part in _batches(inputs, np.arange(len(texts)), batch_size)]
    scores = np.concatenate([part.probabilities for part in read])
    attention = [row for part in read for row in part.attention]
    chosen = [_likeliest(row, top_k, others) for row in scores]
    rows = np.repeat(np.arange(len(texts)), [len(several) for several in chosen])
    numbers = np.concatenate(chosen)
    explained = iter(_explanations(answerer, inputs, rows, numbers, wanted, steps, batch_size))
    views = []
    for row, text in enumerate(texts):
        kept = np.flatnonzero(inputs["attention_mask"][row])
        ids = [int(number) for number in inputs["input_ids"][row, kept]]
        of_answers = [
            AnswerView(answerer.answers[number], float(scores[row, number]), _views(next(explained), kept, len(found)))
            for number in chosen[row]
        ]
        model = ModelView(
            MODELS[kind].title if title is None else title,
            answerer.tokenizer.convert_ids_to_tokens(ids),
            of_answers,
            attention[row][:, :, kept, : len(found)] if attention[row].size else None,
        )
        views.append(QuestionView(text, [model]))
    detector = answerer.detector
    shown = _shown(image, picture, detector)
    return ImageView(
        name=_name(image) if name is None else name,
        image=_white(found.size) if shown is None else open_image(shown),
        boxes=found.normalized_boxes.astype(np.float64),
        labels=_labels(found, detector),
        questions=views,
    )


def answer_numbers(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The numbers of answers in the order of a model's scores.

    Raises:
        ValueError: answers that the model does not have; the message names them all, with the nearest ones.
    """
    places = {answer: number for number, answer in reversed(list(enumerate(known)))}
    unknown = [answer for answer in wanted if answer not in places]
    if not unknown:
        return [places[answer] for answer in wanted]
    lowered = {answer.lower(): answer for answer in known}
    hints = []
    for answer in unknown:
        near = difflib.get_close_matches(str(answer).lower(), list(lowered), n=3, cutoff=0.5)
        hints.append(
            f"{answer!r} (nearest: {', '.join(repr(lowered[one]) for one in near)})" if near else f"{answer!r}"
        )
    raise ValueError(f"The model does not have these among its {len(known):,} answers: {'; '.join(hints)}.")


class _Read(NamedTuple):
    """What a model says to a batch of questions: probabilities [B, A], and attention [B, layers, N, L, R]."""

    probabilities: np.ndarray
    attention: np.ndarray


def _read(answerer: VisualQuestionAnswering, inputs: Mapping[str, np.ndarray]) -> _Read:
    outputs = numpy_model(answerer.model)(inputs, output_attentions=True)
    scores = outputs[scores_name(answerer.model.config.model_type)]
    return _Read(softmax(scores), answerer.kind.region_attention(outputs, inputs["input_ids"].shape[1]))


def _batches(inputs: Mapping[str, np.ndarray], rows: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Rows of the inputs, a batch at a time."""
    for start in range(0, len(rows), batch_size):
        yield {name: array[rows[start : start + batch_size]] for name, array in inputs.items()}


def _likeliest(scores: np.ndarray, top_k: int, others: Sequence[int]) -> list[int]:
    """The numbers of the likeliest answers and of others, the likeliest first."""
    order = np.argsort(-scores, kind="stable").tolist()
    return [number for place, number in enumerate(order) if place < top_k or number in others]


def _explanations(
    answerer: VisualQuestionAnswering,
    inputs: Mapping[str, np.ndarray],
    rows: np.ndarray,
    answers: np.ndarray,
    methods: Sequence[str],
    steps: int,
    batch_size: int,
) -> Iterator[tuple[dict[str, Explanation], int]]:
    """The explanations by method of an answer to each row of the inputs, and their place in these."""
    for start, batch in enumerate(_batches(inputs, rows, batch_size)):
        chosen = answers[start * batch_size :][: len(batch["input_ids"])]
        found = explain_methods(answerer.model, batch, chosen, methods, steps=steps)
        for place in range(len(chosen)):
            yield found, place


def _views(explained: tuple[dict[str, Explanation], int], kept: np.ndarray, regions: int) -> dict[str, MethodView]:
    """One answer by every method, without padding."""
    found, place = explained

    def cut(matrix: np.ndarray | None, rows: Any, columns: Any) -> np.ndarray | None:
        return None if matrix is None else matrix[place][rows][:, columns]

    real = np.arange(regions)
    return {
        name: MethodView(
            words=one.words[place, kept],
            regions=one.regions[place, real],
            language_to_vision=cut(one.language_to_vision, kept, real),
            vision_to_language=cut(one.vision_to_language, real, kept),
        )
        for name, one in found.items()
    }


def _labels(found: ImageDetections, detector: RegionDetector | None) -> list[str] | None:
    """What each region shows; None where nothing is known of any."""
    objects, attributes = (None, None) if detector is None else (detector.objects, detector.attributes)
    labels = [region_label(found, number, objects, attributes) for number in range(len(found))]
    whole = np.abs(found.normalized_boxes - [0, 0, 1, 1]).max(axis=1) < _WHOLE
    labels = [label or ("whole image" if of_all else "") for label, of_all in zip(labels, whole, strict=True)]
    return labels if any(labels) else None


def _shown(
    image: ImageInput | ImageDetections, picture: ImageInput | None, detector: RegionDetector | None
) -> ImageInput | None:
    """The picture to show; None where there is none."""
    if picture is not None or isinstance(image, ImageDetections):
        return picture
    return None if isinstance(detector, StoredRegions) else image


def _white(size: tuple[int, int]) -> np.ndarray:
    return np.full((*(_UNKNOWN_SIZE if size == FRACTIONS_SIZE else size), 3), 255, np.uint8)


def _name(image: ImageInput | ImageDetections) -> str:
    return Path(image).name if isinstance(image, (str, os.PathLike)) else "image"
