"""Batches for fine-tuning: questions with the scores of their answers, and statements about two images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import IGNORED_LABEL
from lxmert.data.collate.batch import Batch
from lxmert.data.collate.model_inputs import MODEL_INPUTS
from lxmert.data.collate.padding import PaddedRegions
from lxmert.data.datasets import Questions, Statements
from lxmert.data.features import RegionStore
from lxmert.utils.messages import shown

logger = logging.getLogger(__name__)


class QuestionData:
    """Questions about images, with a row of answer scores for each if the file has answers.

    As in the original: an answer outside of the table adds nothing, so a question without any answer in it has zeros.

    Args:
        questions: the questions.
        store: the regions of their images.
        tokenizer: of the model.
        answers: the table, in the order of the model's scores.
        text_length: tokens of a question.
        regions: R, regions of an image; the most in the store by default.
        best: whether labels are the number of the best answer, [B], with -100 if none is in the table, for
            cross-entropy: the original's `--mceLoss` for GQA (which it also multiplies by the number of answers).
        model_type: "lxmert" or "visual_bert".

    Raises:
        ValueError: an image that is not in the store, or no answer that is in the table.
    """

    def __init__(
        self,
        questions: Questions,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        answers: Sequence[str],
        text_length: int = 20,
        regions: int | None = None,
        best: bool = False,
        model_type: str = "lxmert",
    ) -> None:
        self.best, self.model_inputs = best, MODEL_INPUTS[model_type]
        self.examples, self.tokenizer, self.text_length = questions, tokenizer, text_length
        self.regions = PaddedRegions(store, regions)
        self.places = store.places(questions.images)
        self.answers = len(answers)
        self._numbers = {answer: number for number, answer in enumerate(answers)}
        self.unlabelled = self.outside = 0
        if questions.answers is not None:
            first = self._count_unknown(questions.answers)
            if self.unlabelled + self.outside == len(questions) > 0:
                raise ValueError(
                    f"no answer of {', '.join(map(str, questions.files))} is in the table of {len(answers)} answers; "
                    f"the first one is {shown(first)}. Pass the table that belongs to these questions."
                )
            self._log_unknown(first)

    def _count_unknown(self, labels: Sequence[Mapping[str, float]]) -> str:
        """Count the questions without an answer in the table, by reason; returns the first answer outside of it."""
        first = ""
        for label in labels:
            if not label:
                self.unlabelled += 1
            elif not any(answer in self._numbers for answer in label):
                self.outside += 1
                first = first or next(iter(label))
        return first

    def _log_unknown(self, first: str) -> None:
        reasons = []
        if self.outside:
            have = "have answers" if self.outside > 1 else "has answers"
            reasons.append(f"{self.outside:,} {have}, but none that is in the table (the first one is {shown(first)})")
        if self.unlabelled:
            reasons.append(f"{self.unlabelled:,} {'have' if self.unlabelled > 1 else 'has'} no answer with a score")
        if reasons:
            files = ", ".join(map(str, self.examples.files)) or "these"
            logger.info(
                "of the %s questions of %s, %s: they teach no answer", f"{len(self):,}", files, ", and ".join(reasons)
            )

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`; see `TaskData`."""
        every, rows = rows, rows[part]
        texts = [self.examples.texts[row] for row in rows]
        regions = self.regions.batch(self.places[rows])
        inputs = self.model_inputs.questions(self.tokenizer, texts, regions, self.text_length)
        if self.examples.answers is None:
            return Batch(inputs, {})
        if not self.best:
            return Batch({**inputs, "labels": self.labels(rows)}, {})
        # Cross-entropy is a mean over the questions that have an answer.
        answered = int((self.best_answers(every) != IGNORED_LABEL).sum())
        return Batch({**inputs, "labels": self.best_answers(rows)}, {"loss": answered})

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The scores of the answers, float32 [B, A]."""
        labels = np.zeros((len(rows), self.answers), np.float32)
        for place, row in enumerate(rows):
            for answer, score in self.examples.answers[row].items():  # type: ignore[index]
                number = self._numbers.get(answer)
                if number is not None:
                    labels[place, number] = score
        return labels

    def best_answers(self, rows: np.ndarray) -> np.ndarray:
        """The number of the answer with the highest score, int64 [B]; -100 where none is in the table."""
        labels = np.full(len(rows), IGNORED_LABEL, np.int64)
        for place, row in enumerate(rows):
            known = {a: score for a, score in self.examples.answers[row].items() if a in self._numbers}  # type: ignore[index]
            if known:
                labels[place] = self._numbers[max(known, key=known.__getitem__)]
        return labels


class StatementData:
    """Statements about two images, as in NLVR2; the arguments are those of `QuestionData`."""

    def __init__(
        self,
        statements: Statements,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        text_length: int = 20,
        regions: int | None = None,
        model_type: str = "lxmert",
    ) -> None:
        self.model_inputs = MODEL_INPUTS[model_type]
        self.examples, self.tokenizer, self.text_length = statements, tokenizer, text_length
        self.regions = PaddedRegions(store, regions)
        names = [name for pair in statements.images for name in pair]
        self.places = store.places(names).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`; see `TaskData`."""
        rows = rows[part]
        texts = [self.examples.texts[row] for row in rows]
        regions = self.regions.batch(self.places[rows].reshape(-1))
        inputs = self.model_inputs.statements(self.tokenizer, texts, regions, self.text_length)
        if self.examples.labels is not None:
            inputs["labels"] = np.array([self.examples.labels[row] for row in rows], np.int64)
        return Batch(inputs, {})
