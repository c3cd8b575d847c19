"""The tasks that VisualBERT alone is trained for: choosing a text about an image, and finding what phrases name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.batch import TaskData
from lxmert.data.features import RegionStore
from lxmert.utils.softmax import softmax

from .settings import Settings


class ChoiceTask:
    """Questions with four answers to choose from, or four reasons for the right answer: VCR."""

    models: Mapping[str, str] = {"visual_bert": "VisualBertForMultipleChoice"}
    has_answers = False
    score = "accuracy"
    lower_is_better = False
    pair_head: str | None = None

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The questions in some files."""
        from lxmert.data.datasets import read_vcr

        return read_vcr(files)

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The questions as batches."""
        from lxmert.data.collate.choices import ChoiceData

        return ChoiceData(examples, store, tokenizer, settings.text_length, settings.regions, settings.choices)

    def outcome(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities of the choices, [B, 4]."""
        return softmax(scores)

    def to_predict(self, data: Any) -> Any:
        """Each question, or for reasons each question with each of its answers."""
        return data.with_every_answer()

    def scores(self, data: Any, predicted: np.ndarray, answers: list[str]) -> dict[str, float]:
        """The part of the questions with the right answer, or with the right reason for the right answer."""
        examples = data.examples
        right = examples.labels if data.choices == "answers" else examples.rationale_labels
        return {"accuracy": 100 * float((predicted.argmax(axis=1) == np.array(right)).mean())}

    def write_predictions(self, path: Path, data: Any, predicted: np.ndarray, answers: list[str]) -> None:
        """Write the columns of the leaderboard's file that the model knows."""
        from lxmert.data.metrics import vcr_results, write_vcr_results

        write_vcr_results(path, vcr_results(data.examples.ids, predicted))


class PhraseTask:
    """Phrases of sentences and the regions that show what they name: Flickr30K Entities."""

    models: Mapping[str, str] = {"visual_bert": "VisualBertForRegionToPhraseAlignment"}
    has_answers = False
    score = "recall@1"
    lower_is_better = False
    pair_head: str | None = None

    def read(self, files: Sequence[str], settings: Settings) -> Any:
        """The sentences of the images in some splits."""
        from lxmert.data.datasets import read_flickr30k

        return read_flickr30k(files)

    def data(
        self, examples: Any, store: RegionStore, tokenizer: LxmertTokenizer, answers: list[str], settings: Settings
    ) -> TaskData:
        """The sentences as batches."""
        from lxmert.data.collate.phrases import PhraseData

        options = settings.text_length, settings.regions, settings.box_features
        return PhraseData(examples, store, tokenizer, *options)

    def outcome(self, scores: np.ndarray) -> np.ndarray:
        """The regions of each phrase, the best first: int32 [B, P, R]; padding comes last."""
        return (-scores).argsort(axis=-1, kind="stable").astype(np.int32)

    def to_predict(self, data: Any) -> Any:
        """The same data."""
        return data

    def scores(self, data: Any, predicted: np.ndarray, answers: list[str]) -> dict[str, float]:
        """The recall among the first 1, 5 and 10 regions, and among all."""
        from lxmert.data.metrics import flickr30k_scores

        found = flickr30k_scores(self._ranking(data, predicted), data.examples)
        return {**{f"recall@{rank}": score for rank, score in found.recall.items()}, "upper_bound": found.upper_bound}

    def write_predictions(self, path: Path, data: Any, predicted: np.ndarray, answers: list[str]) -> None:
        """Write the boxes of each phrase, the best first."""
        from lxmert.data.metrics import write_flickr30k_results

        write_flickr30k_results(path, self._ranking(data, predicted), data.examples)

    def _ranking(self, data: Any, predicted: np.ndarray) -> dict[str, list[np.ndarray]]:
        """The boxes of each phrase by sentence, the best first."""
        ranking: dict[str, list[np.ndarray]] = {}
        for row, (name, phrases) in enumerate(zip(data.examples.ids, data.examples.phrases, strict=True)):
            (boxes,) = data.boxes(np.array([row]))
            orders = predicted[row, : len(phrases)]
            ranking[name] = [boxes[order[order < len(boxes)]] for order in orders]
        return ranking
