"""Batches for VCR: a question with four answers to choose from, or with its answer and four reasons.

As in the authors' code: regions are the objects of the image, of which the model sees those that the question, its
answers or its reasons name; `image_text_alignment` says which words name a region. Dimensions: B questions, C choices,
L tokens, R regions, F visual feature size, K mentions of an object.
"""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.batch import Batch
from lxmert.data.collate.padding import PaddedRegions
from lxmert.data.collate.word_pieces import WordPieces, text_arrays
from lxmert.data.datasets import CategoricalColumn, ChoiceQuestions
from lxmert.data.datasets.vcr import CHOICES, VcrText, named_objects, vcr_text
from lxmert.data.features import RegionStore

logger = logging.getLogger(__name__)

MENTIONS = 8
"""K: of an object that a text names more often, the first mentions count."""
_LEAST = 4  # [CLS], two [SEP], and a token


class ChoiceData:
    """Questions about images, with the texts to choose from.

    The regions of an image are its objects, in the order of the file, or those after a region of the whole image:
    then the model sees the named ones (and the whole image), and learns which words name them. With other regions (of
    a detector) it sees all of them, and nothing is aligned; the log says so.

    Args:
        questions: the questions.
        store: the regions of their images.
        tokenizer: of the model.
        text_length: L, tokens of a question and a choice with [CLS] and two [SEP].
        regions: R, regions of an image; the most in the store by default.
        choices: "answers", or "rationales" for the right answer.
        every_answer: whether each question is there four times, with each of its answers, right or not; of
            "rationales". Such data has no labels.

    Attributes:
        aligned: whether the regions are objects.

    Raises:
        ValueError: an image that is not in the store, or no room for a text.
    """

    def __init__(
        self,
        questions: ChoiceQuestions,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        text_length: int = 128,
        regions: int | None = None,
        choices: str = "answers",
        every_answer: bool = False,
    ) -> None:
        if text_length < _LEAST:
            raise ValueError(f"text_length must be at least {_LEAST} for two texts; got {text_length}.")
        self.examples, self.tokenizer, self.text_length, self.choices = questions, tokenizer, text_length, choices
        self.every_answer = every_answer
        self._arguments = store, tokenizer, text_length, regions, choices
        self.regions = PaddedRegions(store, regions)
        images = cast("CategoricalColumn[str]", questions.images)
        self.places = store.places(images.categories)[images.codes]
        self.pieces = WordPieces(tokenizer)
        self._first = self._first_object(store)  # the region of object 0; None where regions are not objects
        self.aligned = self._first is not None
        if not self.aligned:
            logger.info(
                "the regions of the store are not the objects of the questions (one for each, in the order of the "
                "file, maybe after one of the whole image): the model sees all regions, and no word is aligned with one"
            )

    def __len__(self) -> int:
        return len(self.examples) * (CHOICES if self.every_answer else 1)

    def with_every_answer(self) -> ChoiceData:
        """The data for the predictions of a result file: reasons for each of the answers, whichever is right."""
        return self if self.choices == "answers" else ChoiceData(self.examples, *self._arguments, every_answer=True)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`; see `TaskData`.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask` int64 ``[B, C, L]``; `visual_embeds` float32 ``[B, C, R,
            F]``; `visual_attention_mask`, `visual_token_type_ids` int64 ``[B, C, R]``, types 0; `image_text_alignment`
            int64 ``[B, C, R, K]`` if regions are objects; `labels` int64 ``[B]`` if they are known.
        """
        rows = np.asarray(rows)[part]
        which, answers = (rows // CHOICES, rows % CHOICES) if self.every_answer else (rows, None)
        found = self.regions.batch(self.places[which])
        features = found["visual_feats"]
        count, size = features.shape[:2]
        mask = found.get("visual_attention_mask", np.ones((count, size))).astype(np.int64)
        inputs: dict[str, Any] = text_arrays((count, CHOICES, self.text_length), self.tokenizer)
        alignment = np.full((count, CHOICES, size, MENTIONS), -1, np.int64)
        for place, row in enumerate(which.tolist()):
            context, choices = self._texts(row, None if answers is None else int(answers[place]))
            for number, choice in enumerate(choices):
                self._write(context, choice, {name: a[place, number] for name, a in inputs.items()})
                self._align(context, choice, alignment[place, number])
            if self._first is not None:
                mask[place] &= self._is_seen(row, size)
        inputs["visual_embeds"] = np.repeat(features[:, None], CHOICES, axis=1)
        inputs["visual_attention_mask"] = np.repeat(mask[:, None], CHOICES, axis=1)
        inputs["visual_token_type_ids"] = np.zeros((count, CHOICES, size), np.int64)
        if self.aligned:
            inputs["image_text_alignment"] = alignment
        labels = self.examples.labels if self.choices == "answers" else self.examples.rationale_labels
        if labels is not None and not self.every_answer:
            inputs["labels"] = np.array([labels[row] for row in which.tolist()], np.int64)
        return Batch(inputs, {})

    def _first_object(self, store: RegionStore) -> int | None:
        """0 if every image has a region for each object, 1 if it has one more, of the whole image, before them."""
        objects = cast("CategoricalColumn[tuple[str, ...]]", self.examples.objects)
        counts = np.array([len(classes) for classes in objects.categories], np.int64)[objects.codes]
        more = np.unique(store.counts(self.places) - counts).tolist()
        return more[0] if more in ([0], [1]) else None

    def _texts(self, row: int, answer: int | None) -> tuple[VcrText, list[VcrText]]:
        """The first text of a question, and the texts to choose from."""
        examples, objects = self.examples, self.examples.objects[row]
        tokens = json.loads(examples.texts[row])
        if self.choices == "answers":
            several = json.loads(examples.answer_choices[row])
        else:
            right = answer if answer is not None else cast("list[int]", examples.labels)[row]
            tokens += json.loads(examples.answer_choices[row])[right]
            several = json.loads(examples.rationale_choices[row])
        context = vcr_text(tokens, objects)
        return context, [vcr_text(choice, objects, context.names) for choice in several]

    def _write(self, context: VcrText, choice: VcrText, arrays: dict[str, np.ndarray]) -> None:
        """Write [CLS] context [SEP] choice [SEP] into the arrays of a row, [L]."""
        first, _, second, _ = self._cut(context, choice)
        ends = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        ids = [ends[0], *first, ends[1], *second, ends[1]]
        arrays["input_ids"][: len(ids)] = ids
        arrays["token_type_ids"][len(first) + 2 : len(ids)] = 1
        arrays["attention_mask"][: len(ids)] = 1

    def _cut(self, context: VcrText, choice: VcrText) -> tuple[list[int], list[int], list[int], list[int]]:
        """The pieces of both texts, and the word of each, with as many as there is room for.

        As in the original: a choice is cut from its front, and the context never; but for one that leaves no room,
        where the original fails.
        """
        (first, words), (second, others) = self.pieces(context.words), self.pieces(choice.words)
        room = self.text_length - 3
        start = max(len(first) - room, 0)
        first, words = first[start:], words[start:]
        start = max(len(first) + len(second) - room, 0)
        return first, words, second[start:], others[start:]

    def _align(self, context: VcrText, choice: VcrText, alignment: np.ndarray) -> None:
        """Write the positions of the words that name each region into a row, [R, K].

        As in the original, whose weights were trained so: a position counts the words of its text, not their pieces. It
        is too low behind a word of several pieces.
        """
        if self._first is None:
            return
        first, words, _, others = self._cut(context, choice)
        filled = np.zeros(len(alignment), np.int64)
        for text, known, offset in ((context, set(words), 1), (choice, set(others), len(first) + 2)):
            for word, number in text.mentions:
                region, position = number + self._first, offset + word
                if word in known and region < len(filled) and filled[region] < MENTIONS and position < self.text_length:
                    alignment[region, filled[region]] = position
                    filled[region] += 1

    def _is_seen(self, row: int, size: int) -> np.ndarray:
        """Which regions of an image the model sees, int64 ``[R]``."""
        first = cast("int", self._first)
        seen = np.zeros(size, np.int64)
        seen[:first] = 1
        seen[[first + number for number in named_objects(self.examples, row) if first + number < size]] = 1
        return seen
