"""Images and questions in, answers out: the whole journey of a question in one object, over either backend."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Self

import numpy as np

from lxmert.common.config import config_from_pretrained
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import check_integer
from lxmert.inference.question_models import QUESTION_MODELS, answer_count, scores_name
from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import read_json
from lxmert.vision.images import ImageInput
from lxmert.vision.regions import FEATURE_SIZE, image_regions, pad_regions

ANSWERS_NAME = "answers.json"
BACKENDS = ("pt", "tf")


def backend_module(backend: str) -> Any:
    """Import `lxmert.pt` or `lxmert.tf`.

    Raises:
        ValueError: another backend.
        ImportError: its framework is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be "pt" (PyTorch) or "tf" (Keras); got {backend!r}.')
    return import_module(f"lxmert.{backend}")


def question_model_class(backend: str, model_type: str) -> Any:
    """The question-answering class of a backend for one kind of model."""
    prefix = "TF" if backend == "tf" else ""
    return getattr(backend_module(backend), prefix + QUESTION_MODELS[model_type].architecture)


def checkpoint_folder(source: str | Path) -> Path:
    """The folder of a checkpoint: one that comes with the package by its name, or the path of a folder.

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


class VisualQuestionAnswering:
    """Answers questions about images.

    `answerer = VisualQuestionAnswering.from_pretrained("easy-vqa", backend="tf")`, then
    `answerer("image.png", "what color is the circle?")` gives `[{"answer": "red", "score": 0.99}]`.

    Attributes:
        model: the question-answering model of the backend, LXMERT or VisualBERT.
        kind: how this kind of model is asked.
        tokenizer: its tokenizer.
        answers: its answers, in the order of its scores.
        backend: "pt" or "tf".
    """

    def __init__(self, model: Any, tokenizer: LxmertTokenizer, answers: Sequence[str], backend: str):
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
        self.backend = backend
        self._run: Callable[..., dict[str, Any]] = import_module(f"lxmert.inference.{backend}_arrays").run_arrays

    @classmethod
    def from_pretrained(cls, source: str | Path = "easy-vqa", backend: str = "pt") -> Self:
        """Load a model with its tokenizer and its answers.

        Args:
            source: "easy-vqa" (LXMERT) or "easy-vqa-visual-bert", the checkpoints that come with the package, or a
                folder with config.json, weights, vocabulary and answers.json.
            backend: "pt" for PyTorch, "tf" for Keras.

        Raises:
            FileNotFoundError: no such checkpoint, or a file of it is missing.
            ImportError: the backend's framework is not installed.
            ValueError: an unknown backend, or files that do not fit each other.
        """
        backend_module(backend)  # says what is missing, before anything is read
        folder = checkpoint_folder(source)
        kind = question_model_class(backend, config_from_pretrained(folder).model_type)
        model = kind.from_pretrained(folder)
        return cls(model, LxmertTokenizer.from_pretrained(folder), read_answers(folder), backend)

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
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Answer questions about images.

        Args:
            images: one image (a path, a PIL image or an array [H, W, 3]) or several.
            questions: one question or several. Several images and several questions go together one by one; a single
                one goes with all of the other.
            top_k: how many answers to give for each, the likeliest first.
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
        asked = [questions] if isinstance(questions, str) else list(questions)
        shown = list(images) if isinstance(images, (list, tuple)) else [images]
        for name, given in (("images", shown), ("questions", asked)):
            if not given:
                raise ValueError(f"{name} must be at least one; got none.")
        if not (len(shown) == len(asked) or len(shown) == 1 or len(asked) == 1):
            raise ValueError(
                f"images and questions must be as many of each, or one of either; got {len(shown)} and {len(asked)}."
            )
        regions = [image_regions(image) for image in shown]
        for number, (_, boxes) in enumerate(regions, start=1):
            if len(boxes) == 1:
                which = f" {number}" if len(shown) > 1 else ""
                warnings.warn(f"no shape was found in image{which}; the answer is a guess.", stacklevel=2)
        count = max(len(shown), len(asked))
        asked = asked * count if len(asked) == 1 else asked
        scores = self.scores([regions[i % len(regions)] for i in range(count)], asked, batch_size)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        found = [
            [{"answer": self.answers[i], "score": float(row[i])} for i in order]
            for row, order in zip(scores, best, strict=True)
        ]
        return found[0] if single else found

    def scores(
        self,
        regions: Sequence[tuple[np.ndarray, np.ndarray]],
        questions: Sequence[str],
        batch_size: int = 64,
        progress: Callable[..., Iterable[int]] = iter,
    ) -> np.ndarray:
        """The probability of every answer, [questions, answers], for the regions of one image per question.

        Args:
            regions: features [R, F] and boxes [R, 4] of the image of each question, as `image_regions` gives them.
            questions: the questions.
            batch_size: how many go through the model at once.
            progress: wraps the starts of the batches, to show how far it is.
        """
        batch_size = check_integer("batch_size", batch_size)
        rows = []
        for start in progress(range(0, len(questions), batch_size)):
            inputs = self.inputs(regions[start : start + batch_size], questions[start : start + batch_size])
            logits = self._run(self.model, inputs)[scores_name(self.model.config.model_type)].astype(np.float64)
            logits = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows.append(logits / logits.sum(axis=1, keepdims=True))
        return np.concatenate(rows)

    def maps(self, regions: Sequence[tuple[np.ndarray, np.ndarray]], questions: Sequence[str]) -> list[np.ndarray]:
        """Where each question looked: for every question [L, R], how much each of its tokens attends to each region.

        The attention of language to vision, averaged over the heads and the layers that have it; rows sum to one.
        """
        inputs = self.inputs(regions, questions)
        outputs = self._run(self.model, inputs, output_attentions=True)
        means = self.kind.region_attention(outputs, inputs["input_ids"].shape[1])
        tokens = inputs["attention_mask"].sum(axis=1)
        return [m[: int(n), : len(boxes)] for m, n, (_, boxes) in zip(means, tokens, regions, strict=True)]

    def inputs(
        self, regions: Sequence[tuple[np.ndarray, np.ndarray]], questions: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The model's inputs by argument name, padded to the longest question and the image with most regions."""
        length = self.model.config.max_position_embeddings
        text = self.kind.encode(self.tokenizer, questions, length)
        self._warn_of_unknown(questions, text["input_ids"])
        return {**text, **self.kind.name_regions(pad_regions(list(regions)))}

    def _warn_of_unknown(self, questions: Sequence[str], ids: np.ndarray) -> None:
        """Warn of questions in which the model knows no word: it answers them, but from the image alone."""
        for question, row in zip(questions, ids, strict=True):
            if not self._knows_a_word(self.tokenizer.convert_ids_to_tokens([int(i) for i in row])):
                warnings.warn(f"no word of the question {question!r} is known; the answer is a guess.", stacklevel=5)

    def _knows_a_word(self, tokens: Sequence[str]) -> bool:
        """Whether a token is a whole word; single characters, and words spelled out in pieces, are none."""
        special = set(self.tokenizer.all_special_tokens)
        return any(
            len(token) > 1 and token not in special and not token.startswith("##") and not after.startswith("##")
            for token, after in zip(tokens, [*tokens[1:], ""], strict=True)
        )


def read_answers(folder: str | Path) -> list[str]:
    """The answers of a checkpoint, in the order of its scores.

    Raises:
        FileNotFoundError: no answers.json in the folder.
        ValueError: it is not a list of strings.
    """
    path = Path(folder) / ANSWERS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {ANSWERS_NAME}, the list of answers in the order of the scores.")
    answers = read_json(path, list)
    if not all(isinstance(answer, str) for answer in answers):
        raise ValueError(f"{path} must hold a list of strings.")
    return answers
