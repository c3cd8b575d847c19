"""Answer questions about images with one object, in either backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.hub import HubOptions
from lxmert.inference.backends import backend_of, model_class, numpy_model
from lxmert.inference.question_models import QUESTION_MODELS, answer_count, scores_name
from lxmert.inference.region_sources import (
    SEVERAL_IMAGES,
    Detector,
    Features,
    ImageRegions,
    Images,
    check_sources,
    choose_detector,
    find_regions,
    images_of,
    missing_regions,
    wanted_regions,
)
from lxmert.utils.atomic_files import write_text
from lxmert.utils.counts import check_integer
from lxmert.utils.messages import shown, warn_caller
from lxmert.utils.paths import ANSWERS_NAME
from lxmert.utils.setting_names import setting
from lxmert.utils.softmax import softmax
from lxmert.vision.detections import ImageDetections
from lxmert.vision.region_batch import pad_regions
from lxmert.weights.loading_arguments import Quantize
from lxmert.weights.model_files import AnswerTable, Vocabulary, answers_of, find_model, open_model_files

if TYPE_CHECKING:
    from lxmert.inference.backends import AnyModel


class ScoredAnswer(TypedDict):
    """An answer and its probability."""

    answer: str
    score: float


def checkpoint_answers(source: str | Path) -> list[str]:
    """The answers of a checkpoint, in the order of its scores.

    Args:
        source: the name of a checkpoint of this package, a folder, or a model on the hub.

    Raises:
        FileNotFoundError: no such checkpoint, or no answers.json in its folder.
        ValueError: it is no answer vocabulary.
    """
    answers = answers_of(find_model(source))
    if answers is None:
        raise FileNotFoundError(f"{source} has no {ANSWERS_NAME}, the list of answers in the order of the scores.")
    return answers


class VisualQuestionAnswering:
    """Answers questions about images.

    `answerer = VisualQuestionAnswering.from_pretrained("easy-vqa", backend="tf")`, then
    `answerer("image.png", "what color is the circle?")` returns `[{"answer": "red", "score": 0.99}]`.

    Args:
        model: a question-answering model of either backend, LXMERT or VisualBERT.
        tokenizer: its tokenizer.
        answers: its answers, in the order of its scores.
        detector: finds the regions of images: a `RegionDetector`, or a source of one, such as
            "unc-nlp/frcnn-vg-finetuned" for the published LXMERT weights. By default the shapes of drawn images, which
            only models can read that were trained on them, as "easy-vqa" was.
        features: region stores, or their folders, from which the regions come instead. Images are then asked about by
            their names in the store.
        detector_options: keyword arguments of `RegionDetector.from_pretrained`, for a detector given by its source.
        pack_weights: whether PyTorch models pack their weights for the CPU, as they do by default: see
            `lxmert.pt.use_packed_weights`. The copies take as much memory as the linear layers, up to a limit.
            In Keras, whether to trace a graph after sixteen calls that keeps packed kernels, up to 1 GiB.

    Attributes:
        model, tokenizer, answers: as given.
        kind: the inputs of this kind of model.
        backend: "pt" or "tf".
        detector: what finds the regions; None of a model that reads others than shapes, and for which none was given.
    """

    def __init__(
        self,
        model: AnyModel,
        tokenizer: LxmertTokenizer,
        answers: Sequence[str],
        *,
        detector: Detector | None = None,
        features: Features | None = None,
        detector_options: Mapping[str, Any] | None = None,
        pack_weights: bool = True,
    ):
        config = model.config
        self.kind = QUESTION_MODELS[config.model_type]
        self.backend = backend_of(model)
        size, name = getattr(config, self.kind.features), str(config.name_or_path) or "the model"
        self.detector = choose_detector(features, detector, detector_options, size, name, self.backend)
        if len(answers) != answer_count(config):
            raise ValueError(f"answers must be one per score: {answer_count(config)}; got {len(answers)}.")
        self.model = model
        self.tokenizer = tokenizer
        self.answers = list(answers)
        self._run = numpy_model(model, pack_weights)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "easy-vqa",
        backend: str = "pt",
        *,
        vocabulary: Vocabulary | None = None,
        answers: AnswerTable | None = None,
        detector: Detector | None = None,
        features: Features | None = None,
        detector_options: Mapping[str, Any] | None = None,
        pack_weights: bool = True,
        quantize: Quantize = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a model with its tokenizer and its answers.

        Args:
            source: "easy-vqa" or "scenes" (LXMERT), "easy-vqa-visual-bert" or "scenes-visual-bert", the checkpoints
                that come with the package; or any model that answers questions and that this package reads: a folder, a
                file, or a model on the hub.
            backend: "pt" for PyTorch, "tf" for Keras.
            vocabulary: the tokenizer, a vocab.txt or a folder; by default that next to the weights.
            answers: the answers in the order of the scores, or a file that lists them; by default answers.json next to
                the weights, or else the labels in config.json.
            detector, features, detector_options: see the class. A model that reads the features of an object detector
                needs one of the first two.
            pack_weights: see the class.
            quantize: "int8" rounds the matrices of the layers; see the model's `from_pretrained`.
            revision: of a model on the hub: a branch, a tag or a commit.
            cache_dir, token, local_files_only: of the hub, also for a detector given by its source; see `HubOptions`.
            overrides: fields of the configuration with other values than the file's.

        Raises:
            FileNotFoundError: no such checkpoint.
            ImportError: the backend's framework is not installed.
            ValueError: an unknown backend; files that are missing, of which all are listed, or that do not fit each
                other; or a detector whose regions have another size than the model reads.
        """
        check_sources(features, detector)
        classes = {name: kind.architecture for name, kind in QUESTION_MODELS.items()}
        shared = HubOptions(cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        path = find_model(source, {"revision": revision, **shared})
        files = open_model_files(
            path,
            classes,
            vocabulary=vocabulary,
            answers=answers,
            missing=() if features is not None or detector is not None else missing_regions(path, overrides),
            **overrides,
        )
        architecture = classes[files.config.model_type]
        size = getattr(files.config, QUESTION_MODELS[files.config.model_type].features)
        model_type = model_class(backend, architecture)
        if isinstance(detector, (str, Path)):
            detector_options = {**shared, **(detector_options or {})}
        found = choose_detector(features, detector, detector_options, size, str(source), backend)
        model = model_type.from_pretrained(path, quantize=quantize, **overrides)
        return cls(model, files.tokenizer, files.answers, detector=found, pack_weights=pack_weights)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads, in either backend."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_text(Path(folder) / ANSWERS_NAME, json.dumps(self.answers, indent=1) + "\n")

    def __call__(
        self,
        images: Images,
        questions: str | Sequence[str],
        top_k: int = 1,
        batch_size: int = 64,
    ) -> list[ScoredAnswer] | list[list[ScoredAnswer]]:
        """Answer questions about images.

        Args:
            images: one image (a path, a PIL image or an array [H, W, 3]) or several; with `features` their names in
                the region store. Or their regions: of `find_regions`, or what a detector returned.
            questions: one question or several. Several images and several questions are paired one by one; a single
                one is paired with each of the other.
            top_k: how many answers to return for each, the likeliest first.
            batch_size: how many questions go through the model at once.

        Returns:
            For each question a list of `{"answer": str, "score": float}`, the scores in 0 … 1; a list of such lists
            if there were several images or several questions.

        Raises:
            ValueError, TypeError: no images or questions, different numbers of them, or an image that is none.
        """
        if not isinstance(top_k, int) or not 1 <= top_k <= len(self.answers):
            raise ValueError(f"{setting('top_k')} must be 1 to {len(self.answers)}; got {top_k!r}.")
        if not isinstance(questions, (str, list, tuple)):
            raise TypeError(f"questions must be a text or a list of texts; got {type(questions).__name__}.")
        several, texts = images_of(images), [questions] if isinstance(questions, str) else list(questions)
        single = isinstance(questions, str) and not isinstance(images, SEVERAL_IMAGES)
        for name, given in (("images", several), ("questions", texts)):
            if not given:
                raise ValueError(f"{name} must be at least one; got none.")
        count = max(len(several), len(texts))
        if not {len(several), len(texts)} <= {1, count}:
            raise ValueError(
                f"images and questions must be as many of each, or one of either; got {len(several)} and {len(texts)}."
            )
        regions = [(found.features, found.normalized_boxes) for found in self.find_regions(several)]
        texts = texts * count if len(texts) == 1 else texts
        scores = self.scores([regions[i % len(regions)] for i in range(count)], texts, batch_size)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        found: list[list[ScoredAnswer]] = [
            [{"answer": self.answers[i], "score": float(row[i])} for i in order]
            for row, order in zip(scores, best, strict=True)
        ]
        return found[0] if single else found

    def find_regions(self, images: Images) -> list[ImageDetections]:
        """The regions of one image or several, which may be asked about in their place, as often as needed.

        A warning says where the detector knows that they may not describe the image.

        Raises:
            ValueError: the model needs a detector, and none was given; or see `RegionDetector.detect`.
        """
        images = images_of(images)
        unknown = [image for image in images if not isinstance(image, ImageDetections)]
        if unknown and self.detector is None:
            raise ValueError(f"This must be given: {wanted_regions(self.model.config)}.")
        found = iter(find_regions(self.detector, unknown) if unknown and self.detector is not None else ())
        return [image if isinstance(image, ImageDetections) else next(found) for image in images]

    def scores(
        self,
        regions: Sequence[ImageRegions],
        questions: Sequence[str],
        batch_size: int = 64,
        progress: Callable[..., Iterable[int]] = iter,
    ) -> np.ndarray:
        """The probability of every answer, [questions, answers], for the regions of one image per question.

        Args:
            regions: features [R, F] and boxes [R, 4] of the image of each question, as `image_regions` returns them.
            questions: the questions.
            batch_size: how many go through the model at once.
            progress: wraps the starts of the batches, to show the progress.
        """
        batch_size = check_integer("batch_size", batch_size)
        rows = []
        for start in progress(range(0, len(questions), batch_size)):
            inputs = self.inputs(regions[start : start + batch_size], questions[start : start + batch_size])
            logits = self._run(inputs)[scores_name(self.model.config.model_type)].astype(np.float64)
            rows.append(softmax(logits))
        return np.concatenate(rows)

    def inputs(self, regions: Sequence[ImageRegions], questions: Sequence[str]) -> dict[str, np.ndarray]:
        """The model's inputs by argument name, padded to the longest question and the image with most regions."""
        length = self.model.config.max_position_embeddings
        text = self.kind.encode(self.tokenizer, questions, length)
        self._warn_of_unknown(questions, text["input_ids"])
        return {**text, **self.kind.name_regions(pad_regions(list(regions)))}

    def _warn_of_unknown(self, questions: Sequence[str], ids: np.ndarray) -> None:
        """Warn of questions of which the model knows no word: it answers them from the image alone."""
        special = set(self.tokenizer.all_special_tokens)
        for question, row in zip(questions, ids, strict=True):
            tokens = self.tokenizer.convert_ids_to_tokens([int(i) for i in row])
            # Single characters are no words, and neither are words that are spelled out in pieces.
            if not any(
                len(token) > 1 and token not in special and not token.startswith("##") and not after.startswith("##")
                for token, after in zip(tokens, [*tokens[1:], ""], strict=True)
            ):
                warn_caller(f"no word of the question {shown(question)} is known; the answer is a guess.")
