"""A checkpoint in both backends: it is converted from one to the other, asked questions in both, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lxmert.demo.questions import QuestionSet
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.inference.backends import model_class
from lxmert.utils.progress import tracked
from lxmert.weights.convert import convert
from lxmert.weights.model_files import find_model
from lxmert.weights.naming.tables import MODELS

TITLES = {"pt": "PyTorch", "tf": "Keras"}
_BATCH = 512


@dataclass
class BackendComparison:
    """The answers of one model to a set of questions, in both backends.

    Attributes:
        title: what people call the model.
        asked: the questions.
        parameters: how many numbers the model holds.
        right: for each backend whether it answered each question rightly, bool [Q].
        difference: the largest difference of any score between the backends.
        agreeing: how many questions got the same answer from both.
        scores: for each backend the probability of every answer, [Q, A].
        answerers: the model in each backend.
    """

    title: str
    asked: QuestionSet
    parameters: int
    right: dict[str, np.ndarray]
    difference: float
    agreeing: int
    scores: dict[str, np.ndarray]
    answerers: dict[str, VisualQuestionAnswering]


def load_both(source: str | Path, folder: Path, show: Callable[[str], None]) -> dict[str, VisualQuestionAnswering]:
    """Load a checkpoint in PyTorch, convert it to Keras' format, and load that in Keras.

    Args:
        source: the checkpoint.
        folder: where the converted file goes.
        show: is called with a line for the user.
    """
    origin = find_model(source)
    in_torch = VisualQuestionAnswering.from_pretrained(origin, backend="pt")
    keras_class = model_class("tf", in_torch.kind.architecture)  # a missing framework is an error before the conversion
    done = convert(origin, folder / f"{origin.name}.weights.h5")
    keras_model = keras_class.from_pretrained(done.target)
    show(
        f"{source}: {title_of(in_torch)} with {in_torch.model.num_parameters():,} parameters, loaded in PyTorch; "
        f"{done.tensors} tensors converted ({done.size / 1e6:.1f} MB), loaded in Keras."
    )
    return {"pt": in_torch, "tf": VisualQuestionAnswering(keras_model, in_torch.tokenizer, in_torch.answers)}


def title_of(answerer: VisualQuestionAnswering) -> str:
    """What people call a model: "LXMERT" or "VisualBERT"."""
    return MODELS[answerer.model.config.model_type].title


def compare(answerers: dict[str, VisualQuestionAnswering], asked: QuestionSet, progress: bool) -> BackendComparison:
    """Ask one model all questions in both backends.

    Args:
        answerers: the model in each backend.
        asked: the questions.
        progress: whether to show progress bars.
    """
    title, scores = title_of(answerers["pt"]), {}
    of_questions = [asked.regions[image] for image in asked.image_index]
    for backend, answerer in answerers.items():

        def bar(starts: range, where: str = TITLES[backend]) -> Iterator[int]:
            return tracked(starts, f"{title} on {asked.title} in {where}", len(starts), "batches", progress)

        scores[backend] = answerer.scores(of_questions, asked.questions, _BATCH, bar)
    truth = np.array([answerers["pt"].answers.index(answer) for answer in asked.answers])
    best = {backend: of_backend.argmax(axis=1) for backend, of_backend in scores.items()}
    return BackendComparison(
        title=title,
        asked=asked,
        parameters=answerers["pt"].model.num_parameters(),
        right={backend: found == truth for backend, found in best.items()},
        difference=float(np.abs(scores["pt"] - scores["tf"]).max()),
        agreeing=int((best["pt"] == best["tf"]).sum()),
        scores=scores,
        answerers=answerers,
    )


def figures(comparisons: Sequence[BackendComparison]) -> list[tuple[str, ...]]:
    """Rows of a table: its heading, and one for each model with the questions that it was asked."""
    heading = (
        "",
        "questions",
        *(f"right in {where}" for where in TITLES.values()),
        "same answer",
        "largest difference",
    )
    rows = [
        (
            f"{c.title} on {c.asked.title}",
            f"{len(c.asked):,}",
            *(f"{c.right[backend].mean():.2%}" for backend in TITLES),
            f"{c.agreeing:,}",
            f"{c.difference:.1e}",
        )
        for c in comparisons
    ]
    return [heading, *rows]
