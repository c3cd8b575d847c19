"""Why a model gives its answers to questions about an image."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lxmert.data.features.drawing import region_label, white_size
from lxmert.detection.region_detector import RegionDetector
from lxmert.detection.stored import StoredRegions
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.inference.backends import numpy_model
from lxmert.inference.question_models import scores_name
from lxmert.utils.counts import check_integer
from lxmert.utils.messages import shown
from lxmert.utils.setting_names import setting
from lxmert.utils.softmax import softmax
from lxmert.vision.detections import ImageDetections
from lxmert.vision.images import ImageInput, open_image
from lxmert.weights.naming.tables import MODELS

from .explaining import explain_methods
from .explanation import Explanation
from .methods import checked_methods
from .views import AnswerView, ImageView, MethodView, ModelView, QuestionView

_WHOLE = 0.001  # how far the box of the whole image may be from its border, as a fraction


class Wanted(NamedTuple):
    """What is to be explained: by which methods, how many of the likeliest answers, and the numbers of others."""

    methods: list[str]
    top_k: int
    others: list[int]


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
    progress: bool = False,
) -> ImageView:
    """Answer questions about an image, and explain the answers; `write_page` and `draw_explanations` show the result.

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
        progress: whether to show how far integrated gradients are, on standard error.

    Raises:
        ValueError: no questions; a method or an answer that the model does not have, with the nearest ones; or the
            model is in training mode. See `VisualQuestionAnswering` for images.
    """
    texts = [questions] if isinstance(questions, str) else list(questions)
    if not texts:
        raise ValueError("questions must be at least one; got none.")
    batch_size = check_integer("batch_size", batch_size)
    wanted = check_wanted(answerer, methods, top_k, answers)
    (found,) = answerer.find_regions([image])
    inputs = answerer.inputs([(found.features, found.normalized_boxes)] * len(texts), texts)
    read = [_read(answerer, batch) for batch in _batches(inputs, np.arange(len(texts)), batch_size)]
    scores, attention = (np.concatenate(parts) for parts in zip(*read, strict=True))
    chosen = [_likeliest(row, wanted) for row in scores]
    explained = _explained(answerer, inputs, chosen, wanted.methods, steps, batch_size, progress)
    views = []
    for row, text in enumerate(texts):
        kept = np.flatnonzero(inputs["attention_mask"][row])
        answered = [
            AnswerView(answerer.answers[number], float(scores[row, number]), next(explained)) for number in chosen[row]
        ]
        model = ModelView(
            MODELS[answerer.model.config.model_type].title if title is None else title,
            answerer.tokenizer.convert_ids_to_tokens(inputs["input_ids"][row, kept].tolist()),
            answered,
            attention[row][:, :, kept],
            attention_layers=answerer.kind.attention_layers,
        )
        views.append(QuestionView(text, [model]))
    shown = _shown(image, picture, answerer.detector)
    return ImageView(
        name=_name(image) if name is None else name,
        image=np.full((*white_size(found.size), 3), 255, np.uint8) if shown is None else open_image(shown),
        boxes=found.normalized_boxes.astype(np.float64),
        labels=_labels(found, answerer.detector),
        questions=views,
    )


def check_wanted(
    answerer: VisualQuestionAnswering,
    methods: str | Sequence[str] | None = None,
    top_k: int = 3,
    answers: str | Sequence[str] | None = None,
) -> Wanted:
    """Check what `explain_questions` is asked for, before any work.

    Raises:
        ValueError: a method or answers that the model does not have, of which all are named, with the nearest ones.
    """
    known = answerer.answers
    places = {answer: number for number, answer in reversed(list(enumerate(known)))}
    others = [answers] if isinstance(answers, str) else list(answers or ())
    unknown = [answer for answer in others if answer not in places]
    if unknown:
        hints = "; ".join(_nearest(answer, known) for answer in unknown)
        raise ValueError(f"the model has {len(known):,} answers, and not these: {hints}.")
    return Wanted(
        checked_methods(methods, answerer.model.config.model_type),
        min(check_integer(setting("top_k"), top_k), len(known)),
        [places[answer] for answer in others],
    )


def _nearest(answer: str, known: Sequence[str]) -> str:
    """An answer that a model does not have, and the most similar ones of those that it has."""
    lowered = {one.lower(): one for one in known}
    near = difflib.get_close_matches(str(answer).lower(), list(lowered), n=3, cutoff=0.5)
    return f"{shown(answer)} (nearest: {', '.join(shown(lowered[one]) for one in near)})" if near else shown(answer)


def _read(answerer: VisualQuestionAnswering, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a model says to a batch: probabilities [B, A]; and attention to regions [B, layers, N, L, R]."""
    outputs = numpy_model(answerer.model)(inputs, output_attentions=True)
    scores = outputs[scores_name(answerer.model.config.model_type)]
    return softmax(scores), answerer.kind.region_attention(outputs, inputs["input_ids"].shape[1])


def _batches(inputs: Mapping[str, np.ndarray], rows: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Rows of the inputs, a batch at a time."""
    for start in range(0, len(rows), batch_size):
        yield {name: array[rows[start : start + batch_size]] for name, array in inputs.items()}


def _likeliest(scores: np.ndarray, wanted: Wanted) -> list[int]:
    """The numbers of the answers to explain, the likeliest first."""
    order = np.argsort(-scores, kind="stable").tolist()
    return [number for place, number in enumerate(order) if place < wanted.top_k or number in wanted.others]


def _explained(
    answerer: VisualQuestionAnswering,
    inputs: Mapping[str, np.ndarray],
    chosen: Sequence[Sequence[int]],
    methods: Sequence[str],
    steps: int,
    batch_size: int,
    progress: bool,
) -> Iterator[dict[str, MethodView]]:
    """Each of the chosen answers to each row of the inputs, by method."""
    rows = np.repeat(np.arange(len(chosen)), [len(answers) for answers in chosen])
    numbers = iter(np.concatenate(chosen))
    for batch in _batches(inputs, rows, batch_size):
        answers = np.array([next(numbers) for _ in batch["input_ids"]])
        found = explain_methods(answerer.model, batch, answers, methods, steps=steps, progress=progress)
        for place in range(len(answers)):
            yield {name: _view(one, place) for name, one in found.items()}


def _view(found: Explanation, place: int) -> MethodView:
    """One answer of a batch by one method, without padding."""
    words, regions = found.word_mask[place] > 0, found.region_mask[place] > 0
    links = found.language_to_vision
    return MethodView(
        words=found.words[place, words],
        regions=found.regions[place, regions],
        language_to_vision=None if links is None else links[place][np.ix_(words, regions)],
    )


def _labels(found: ImageDetections, detector: RegionDetector | None) -> list[str] | None:
    """What each region shows; None where nothing is known of any. Ids without names tell a reader nothing."""
    objects, attributes = (None, None) if detector is None else (detector.objects, detector.attributes)
    named = replace(
        found,
        object_ids=None if objects is None else found.object_ids,
        attribute_ids=None if attributes is None else found.attribute_ids,
    )
    labels = [region_label(named, number, objects, attributes) for number in range(len(found))]
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


def _name(image: ImageInput | ImageDetections) -> str:
    return Path(image).name if isinstance(image, (str, os.PathLike)) else "image"
