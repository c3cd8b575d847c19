"""Answer questions about images with one object, in either backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict

import numpy as np

from lxmert.common.config import config_from_pretrained
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import check_integer
from lxmert.inference.backends import backend_of, model_class, numpy_model
from lxmert.inference.question_models import QUESTION_MODELS, answer_count, scores_name
from lxmert.utils.atomic_files import write_text
from lxmert.utils.messages import warn_caller
from lxmert.vision.images import ImageInput
from lxmert.vision.regions import FEATURE_SIZE, image_regions, pad_regions
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

if TYPE_CHECKING:
    from lxmert.inference.backends import AnyModel

ANSWERS_NAME = "answers.json"

ImageRegions = tuple[np.ndarray, np.ndarray]  # features [R, F] and boxes [R, 4] of one image


class ScoredAnswer(TypedDict):
    """An answer and its probability."""

    answer: str
    score: float


def checkpoint_folder(source: str | Path) -> Path:
    """The folder of a checkpoint: one that comes with the package, by its name, or the path of a folder.

    Raises:
        FileNotFoundError: neither.
    """
    shipped = Path(str(resources.files("lxmert"))) / "checkpoints"
    names = sorted(path.name for path in shipped.iterdir() if path.is_dir()) if shipped.is_dir() else []
    if str(source) in names:
        return shipped / str(source)
    if not Path(source).is_dir():
        raise FileNotFoundError(f"{source} is neither a folder nor a checkpoint of this package ({', '.join(names)}).")
    return Path(source)


def checkpoint_answers(folder: str | Path) -> list[str]:
    """The answers of a checkpoint, in the order of its scores.

    Raises:
        FileNotFoundError: no answers.json in the folder.
        ValueError: it is no answer vocabulary.
    """
    path = Path(folder) / ANSWERS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {ANSWERS_NAME}, the list of answers in the order of the scores.")
    return read_answer_vocabulary(path)


class VisualQuestionAnswering:
    """Answers questions about images.

    `answerer = VisualQuestionAnswering.from_pretrained("easy-vqa", backend="tf")`, then
    `answerer("image.png", "what color is the circle?")` returns `[{"answer": "red", "score": 0.99}]`.

    Args:
        model: a question-answering model of either backend, LXMERT or VisualBERT.
        tokenizer: its tokenizer.
        answers: its answers, in the order of its scores.
        pack_weights: whether to pack the weights for the CPU once, in PyTorch (`lxmert.pt.PackedWeights`). After the
            first sixteen calls a question is then answered up to twice as fast. The copies take as much memory as the
            model's linear layers, until this object is gone. They follow the weights, except those that are changed in
            place through `weight.data` outside of training.

    Attributes:
        model, tokenizer, answers: as given.
        kind: the inputs of this kind of model.
        backend: "pt" or "tf".
    """

    def __init__(
        self, model: AnyModel, tokenizer: LxmertTokenizer, answers: Sequence[str], *, pack_weights: bool = True
    ):
        config = model.config
        self.kind = QUESTION_MODELS[config.model_type]
        features = getattr(config, self.kind.features)
        if features != FEATURE_SIZE:
            raise ValueError(
                f"the model reads regions of {features} features; this package finds regions of "
                f"{FEATURE_SIZE}. A model of other features needs its own: call the model itself with them."
            )
        if len(answers) != answer_count(config):
            raise ValueError(f"answers must be one per score: {answer_count(config)}; got {len(answers)}.")
        self.model = model
        self.tokenizer = tokenizer
        self.answers = list(answers)
        self.backend = backend_of(model)
        self._run = numpy_model(model, pack_weights)

    @classmethod
    def from_pretrained(
        cls, source: str | Path = "easy-vqa", backend: str = "pt", *, pack_weights: bool = True
    ) -> Self:
        """Load a model with its tokenizer and its answers.

        Args:
            source: "easy-vqa" (LXMERT) or "easy-vqa-visual-bert", the checkpoints that come with the package, or a
                folder with config.json, weights, vocabulary and answers.json.
            backend: "pt" for PyTorch, "tf" for Keras.
            pack_weights: see the class.

        Raises:
            FileNotFoundError: no such checkpoint, or a file of it is missing.
            ImportError: the backend's framework is not installed.
            ValueError: an unknown backend, or files that do not fit each other.
        """
        folder = checkpoint_folder(source)
        kind = QUESTION_MODELS[config_from_pretrained(folder).model_type]
        model = model_class(backend, kind.architecture).from_pretrained(folder)
        return cls(
            model, LxmertTokenizer.from_pretrained(folder), checkpoint_answers(folder), pack_weights=pack_weights
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads, in either backend."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_text(Path(folder) / ANSWERS_NAME, json.dumps(self.answers, indent=1) + "\n")

    def __call__(
        self,
        images: ImageInput | Sequence[ImageInput],
        questions: str | Sequence[str],
        top_k: int = 1,
        batch_size: int = 64,
    ) -> list[ScoredAnswer] | list[list[ScoredAnswer]]:
        """Answer questions about images.

        Args:
            images: one image (a path, a PIL image or an array [H, W, 3]) or several.
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
            raise ValueError(f"top_k must be 1 to {len(self.answers)}; got {top_k!r}.")
        if not isinstance(questions, (str, list, tuple)):
            raise TypeError(f"questions must be a text or a list of texts; got {type(questions).__name__}.")
        single = isinstance(questions, str) and not isinstance(images, (list, tuple))
        texts = [questions] if isinstance(questions, str) else list(questions)
        several = list(images) if isinstance(images, (list, tuple)) else [images]
        for name, given in (("images", several), ("questions", texts)):
            if not given:
                raise ValueError(f"{name} must be at least one; got none.")
        count = max(len(several), len(texts))
        if not {len(several), len(texts)} <= {1, count}:
            raise ValueError(
                f"images and questions must be as many of each, or one of either; got {len(several)} and {len(texts)}."
            )
        regions = [image_regions(image) for image in several]
        for number, (_, boxes) in enumerate(regions, start=1):
            if len(boxes) == 1:
                which = f" {number}" if len(several) > 1 else ""
                warn_caller(f"no shape was found in image{which}; the answer is a guess.")
        texts = texts * count if len(texts) == 1 else texts
        scores = self.scores([regions[i % len(regions)] for i in range(count)], texts, batch_size)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        found: list[list[ScoredAnswer]] = [
            [{"answer": self.answers[i], "score": float(row[i])} for i in order]
            for row, order in zip(scores, best, strict=True)
        ]
        return found[0] if single else found

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
            logits = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows.append(logits / logits.sum(axis=1, keepdims=True))
        return np.concatenate(rows)

    def region_attention(
        self, regions: Sequence[ImageRegions], questions: Sequence[str]
    ) -> list[np.ndarray]:  # [L, R] each
        """How much each token of a question attends to each region, for every question; rows sum to one.

        The attention of language to vision, averaged over the heads and over the layers that have it.
        """
        inputs = self.inputs(regions, questions)
        outputs = self._run(inputs, output_attentions=True)
        means = self.kind.region_attention(outputs, inputs["input_ids"].shape[1])
        tokens = inputs["attention_mask"].sum(axis=1)
        return [m[: int(n), : len(boxes)] for m, n, (_, boxes) in zip(means, tokens, regions, strict=True)]

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
                warn_caller(f"no word of the question {question!r} is known; the answer is a guess.")
