"""The tasks that a model is trained for: their files, batches, models, scores and result files.

Only a task depends on the layout of its examples; the rest of a run is the same for all tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.batch import TaskData
from lxmert.data.features import RegionStore
from lxmert.utils.softmax import softmax

from .grounded_tasks import ChoiceTask, PhraseTask
from .settings import Settings

if TYPE_CHECKING:
    from lxmert.data.datasets.answer_tables import AnswerTable


class Task(Protocol):
    """One task.

    Attributes:
        models: the class of its model for each architecture, without the prefix TF.
        has_answers: whether it needs a table of answers.
        score: the name of the score that chooses the best checkpoint.
        lower_is_better: whether the best is the lowest.
    """

    models: Mapping[str, str]
    has_answers: bool
    score: str
    lower_is_better: bool

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The examples in some files."""

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The examples as batches."""


class PredictingTask(Task, Protocol):
    """A task whose model predicts something for every example, which is right or wrong.

    Attributes:
        pair_head: the head of LXMERT that scores a pair of a text and an image; None if an example is more than that.
    """

    pair_head: str | None

    def outcome(self, scores: np.ndarray) -> np.ndarray:
        """What is kept of the model's scores [B, ...]: the predictions of B examples, [B, ...]."""

    def to_predict(self, data: Any) -> Any:
        """The data whose predictions a result file holds."""

    def scores(self, data: Any, predicted: np.ndarray, answers: list[str]) -> dict[str, float]:
        """Score the predictions of all examples, [N, ...]; returns scores by name, accuracies in percent."""

    def write_predictions(self, path: Path, data: Any, predicted: np.ndarray, answers: list[str]) -> None:
        """Write the official result file."""


class QuestionTask:
    """Questions with a table of answers: VQA and GQA."""

    models: Mapping[str, str] = {
        "lxmert": "LxmertForQuestionAnswering",
        "visual_bert": "VisualBertForQuestionAnswering",
    }
    has_answers = True
    score = "accuracy"
    lower_is_better = False
    pair_head: str | None = "answer"

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The questions in some files."""
        from lxmert.data.datasets import read_gqa, read_vqa

        return (read_vqa if self.name == "vqa" else read_gqa)(files, settings.answer_scores)

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The questions as batches."""
        from lxmert.data.collate.fine_tuning import QuestionData

        best = settings.answer_labels == "best"
        options = settings.text_length, settings.regions, best, settings.architecture
        return QuestionData(examples, store, tokenizer, answers, *options)

    def make_answers(self, settings: Settings) -> AnswerTable:
        """A table of the answers in the training files.

        Raises:
            ValueError: there are no such files, or they have no answers.
        """
        from lxmert.data.datasets import make_answer_table

        if not settings.train:
            raise ValueError("answers must be given: the table of answers in the order of the model's scores.")
        return make_answer_table(self.read(settings.train, settings), settings.answer_min_count)

    def outcome(self, scores: np.ndarray) -> np.ndarray:
        """The answers with the highest scores, and their probabilities: float64 [B, 2]."""
        best = scores.argmax(axis=1)
        return np.stack([best, softmax(scores)[np.arange(len(best)), best]], axis=1)

    def to_predict(self, data: Any) -> Any:
        """The same data."""
        return data

    def scores(self, data: Any, predicted: np.ndarray, answers: list[str]) -> dict[str, float]:
        """The mean score of the chosen answers, as the original's evaluator has it, and for each type of question."""
        from lxmert.data.metrics import soft_accuracy

        found = soft_accuracy(self._predictions(data.examples, predicted, answers), data.examples)
        scores = {"accuracy": found.overall}
        for name, kinds in (("accuracy", found.per_question_type), ("accuracy/answer", found.per_answer_type)):
            if 1 < len(kinds) <= _MOST_KINDS:
                scores |= {f"{name}/{kind}": score for kind, score in kinds.items()}
        return scores

    def write_predictions(self, path: Path, data: Any, predicted: np.ndarray, answers: list[str]) -> None:
        """Write the official result file."""
        from lxmert.data.datasets.question_layouts import HATEFUL_CLASSES, HATEFUL_MEMES, VIZWIZ
        from lxmert.data.metrics import write_meme_predictions, write_predictions

        examples = data.examples
        if examples.layout == HATEFUL_MEMES and set(answers) <= set(HATEFUL_CLASSES):
            hateful = [answers[int(number)] == HATEFUL_CLASSES[1] for number in predicted[:, 0]]
            write_meme_predictions(path, examples.ids, hateful, predicted[:, 1].tolist())
            return
        id_key = "image" if examples.layout == VIZWIZ else None  # as its server expects
        write_predictions(self.name, path, self._predictions(examples, predicted, answers), examples.ids, id_key)

    def _predictions(self, examples: Any, predicted: np.ndarray, answers: list[str]) -> dict[Any, str]:
        return {name: answers[int(number)] for name, number in zip(examples.ids, predicted[:, 0], strict=True)}


_MOST_KINDS = 12  # VQA has 65 kinds of questions by their first words: too many for a log


class StatementTask:
    """Statements about two images: NLVR2."""

    models: Mapping[str, str] = {
        "lxmert": "LxmertForVisualReasoning",
        "visual_bert": "VisualBertForVisualReasoning",
    }
    has_answers = False
    score = "accuracy"
    lower_is_better = False
    pair_head: str | None = None

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The statements in some files."""
        from lxmert.data.datasets import read_nlvr2

        return read_nlvr2(files)

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The statements as batches."""
        from lxmert.data.collate.fine_tuning import StatementData

        options = settings.text_length, settings.regions, settings.architecture
        return StatementData(examples, store, tokenizer, *options)

    def outcome(self, scores: np.ndarray) -> np.ndarray:
        """The classes with the highest scores, int64 [B]."""
        return scores.argmax(axis=1)

    def to_predict(self, data: Any) -> Any:
        """The same data."""
        return data

    def scores(self, data: Any, predicted: np.ndarray, answers: list[str]) -> dict[str, float]:
        """Accuracy, and the part of the sentences that are right about all of their images."""
        from lxmert.data.metrics import nlvr2_scores

        found = nlvr2_scores(dict(zip(data.examples.ids, map(bool, predicted), strict=True)), data.examples)
        scores = {"accuracy": found.accuracy}
        return scores if found.consistency is None else {**scores, "consistency": found.consistency}

    def write_predictions(self, path: Path, data: Any, predicted: np.ndarray, answers: list[str]) -> None:
        """Write the official result file."""
        from lxmert.data.metrics import write_predictions

        ids = data.examples.ids
        write_predictions("nlvr2", path, dict(zip(ids, map(bool, predicted), strict=True)), ids)


class PretrainTask:
    """Sentences and questions with the losses of the model's paper; the score is the sum of the losses."""

    models: Mapping[str, str] = {"lxmert": "LxmertForPreTraining", "visual_bert": "VisualBertForPreTraining"}
    has_answers = True
    score = "loss"
    lower_is_better = True

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The sentences in some files."""
        from lxmert.data.datasets import read_pretraining

        return read_pretraining(files)

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The sentences as batches, randomly masked and mismatched."""
        from lxmert.data.collate.caption_pairs import CaptionPairData
        from lxmert.data.collate.pretraining import PretrainingData

        length, regions, losses = settings.text_length, settings.regions, settings.losses
        if settings.architecture == "visual_bert":
            return CaptionPairData(examples, store, tokenizer, length, regions, losses=losses)
        return PretrainingData(examples, store, tokenizer, answers, length, regions, losses=losses)


PREDICTING: dict[str, PredictingTask] = {
    "vqa": QuestionTask("vqa"),
    "gqa": QuestionTask("gqa"),
    "nlvr2": StatementTask(),
    "vcr": ChoiceTask(),
    "flickr30k": PhraseTask(),
}
TASKS: dict[str, Task] = {"pretrain": PretrainTask(), **PREDICTING}


def model_class_name(settings: Settings) -> str:
    """The class of the model that a run trains, without the prefix TF."""
    return TASKS[settings.task].models[settings.architecture]
