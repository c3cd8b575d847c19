"""Making the checkpoint that comes with the package: from the data set to a measured model, in either backend."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.config import config_from_dict
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.synthetic import easy_vqa
from lxmert.data.synthetic.augmentation import AugmentedRegions
from lxmert.data.synthetic.batches import batches
from lxmert.data.synthetic.recipe import LXMERT_RECIPE, Recipe
from lxmert.data.synthetic.vocabulary import build_vocabulary
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.inference.backends import model_class
from lxmert.inference.question_models import QUESTION_MODELS
from lxmert.vision.regions import image_regions
from lxmert.weights.naming.tables import ANSWERS


def train_easy_vqa(
    backend: str = "pt",
    recipe: Recipe = LXMERT_RECIPE,
    progress: bool = True,
    data: easy_vqa.EasyVqa | None = None,
) -> VisualQuestionAnswering:
    """Train a model from scratch on the questions of the training split.

    Args:
        backend: "pt" for PyTorch, "tf" for Keras. Both take the same recipe and see the same batches.
        recipe: the kind of model, sizes, epochs, rates, seed.
        progress: whether to show progress bars.
        data: the questions; all of the training split by default.

    Returns:
        The trained model with its tokenizer and answers.
    """
    training, kind = import_module(f"lxmert.training.{backend}.train"), QUESTION_MODELS[recipe.model_type]
    data = easy_vqa.load("train") if data is None else data
    tokenizer = _tokenizer(data.questions)
    text = kind.encode(tokenizer, data.questions, recipe.text_length, padding="max_length")
    augmented = AugmentedRegions(data, recipe, progress)

    def of_epoch(epoch: int) -> Iterator[dict[str, np.ndarray]]:
        for batch in batches(text, augmented, data.image_index, data.labels, recipe.batch_size, recipe.seed, epoch):
            words = {name: batch[name] for name in text}
            yield {**words, **kind.name_regions(batch), "labels": batch["labels"]}

    _seed(backend, recipe.seed)
    answers = {ANSWERS[recipe.model_type][1]: len(easy_vqa.answer_list()), "vocab_size": len(tokenizer)}
    config = config_from_dict({"model_type": recipe.model_type, **answers, **recipe.config})
    model: Any = model_class(backend, kind.architecture)(config)
    training.train_question_answering(model, of_epoch, len(data) // recipe.batch_size, recipe, progress)
    return VisualQuestionAnswering(model, tokenizer, easy_vqa.answer_list())


def scores_of_split(
    answerer: VisualQuestionAnswering,
    data: easy_vqa.EasyVqa,
    progress: Callable[..., Iterable[int]] = iter,
    regions: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
) -> np.ndarray:
    """The probability of every answer, [Q, A], for all questions of a split.

    Args:
        answerer: who answers.
        data: the split.
        progress: wraps the starts of the batches, to show how far it is.
        regions: what `image_regions` gave for each image, where that is known already.
    """
    if regions is None:
        regions = [image_regions(path) for path in data.image_paths]
    return answerer.scores([regions[i] for i in data.image_index], data.questions, 512, progress)


def accuracy(answerer: VisualQuestionAnswering, data: easy_vqa.EasyVqa, scores: np.ndarray) -> float:
    """The part of the questions whose likeliest answer is the true one."""
    places = [answerer.answers.index(answer) for answer in data.answers]
    return float((scores.argmax(axis=1) == np.array(places)).mean())


def with_changes(recipe: Recipe, epochs: int | None, seed: int | None) -> Recipe:
    """The recipe with another number of epochs or another seed, where they are given."""
    changes: dict[str, Any] = {name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    return dataclasses.replace(recipe, **changes)


def _tokenizer(questions: Iterable[str]) -> LxmertTokenizer:
    """A tokenizer whose vocabulary is made from the questions."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("\n".join(build_vocabulary(questions)) + "\n", encoding="utf-8")
        return LxmertTokenizer(vocabulary)


def _seed(backend: str, seed: int) -> None:
    """Fix the initial weights."""
    if backend == "pt":
        import torch

        torch.manual_seed(seed)
    else:
        import keras

        keras.utils.set_random_seed(seed)
