"""Batches for pre-training LXMERT: masked sentences and images, and labels.

`masking` has the random rules. Words are tokenized and features read when a batch is made. Dimensions: B batch,
L language tokens, R regions, F visual feature size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lxmert.common.specs import LOSS_NAMES
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import IGNORED_LABEL
from lxmert.data.collate.batch import Batch
from lxmert.data.collate.masking import Masking, RegionChoice, choose_regions, mask_text, mismatch, sample_answers
from lxmert.data.collate.padding import PaddedRegions
from lxmert.data.datasets import CategoricalColumn, Sentences
from lxmert.utils.messages import shown
from lxmert.weights.answer_vocabulary import matching_rows

if TYPE_CHECKING:
    from lxmert.data.features import RegionStore


class PretrainingData:
    """Sentences about images, with labels for all pre-training losses.

    As in the original: words and regions are masked whatever the losses, so that leaving out a loss changes only the
    total; `Masking` with a rate of 0 disables masking. Only the loss "match" exchanges sentences. Words and regions of
    exchanged pairs are predicted too, but not their answer.

    Args:
        sentences: N sentences, their images and answers.
        store: the regions of their images.
        tokenizer: of the model.
        answers: the answer vocabulary, in the order of the model's scores.
        text_length: L, tokens of a sentence with [CLS] and [SEP]; longer ones are truncated.
        regions: R, regions of an image; the most in the store by default.
        masking: the rates.
        losses: their names; labels are made for these.

    Attributes:
        outside: the number of sentences with answers of which none is in the vocabulary; 0 without the loss "answers".

    Raises:
        ValueError: no sentences, an unknown loss, no room for a word or a region, an image that is not in the store, a
            store without the object or attribute ids that a loss needs, or no answer in the vocabulary.
    """

    def __init__(
        self,
        sentences: Sentences,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        answers: Sequence[str],
        text_length: int = 20,
        regions: int | None = None,
        masking: Masking | None = None,
        losses: Sequence[str] = LOSS_NAMES,
    ) -> None:
        unknown = [loss for loss in losses if loss not in LOSS_NAMES]
        if unknown or not losses:
            raise ValueError(f"losses must be some of {', '.join(LOSS_NAMES)}; got {', '.join(unknown) or 'none'}.")
        if not len(sentences):
            raise ValueError(f"{', '.join(sentences.files) or 'sentences'} must have at least one sentence; got none.")
        if text_length < 3:
            raise ValueError(f"text_length must be at least 3, for [CLS], a word and [SEP]; got {text_length}.")
        if regions is not None and regions < 1:
            raise ValueError(f"regions must be 1 or more, or None for the most in the store; got {regions}.")
        self.labelled = not {"objects", "attributes"}.isdisjoint(losses)
        for loss, known in (("objects", store.has_objects), ("attributes", store.has_attributes)):
            if loss in losses and not known:
                raise ValueError(
                    f"the loss of {loss} must have the ids of {loss} that a detector gave each region; the region "
                    "store has images without. Import the features from files that have them, as the original's TSV "
                    "does, or leave out the loss."
                )
        self.texts, self.tokenizer, self.text_length = sentences.texts, tokenizer, text_length
        self.store, self.regions = store, PaddedRegions(store, regions)
        self.masking, self.losses = Masking() if masking is None else masking, tuple(losses)
        images = cast("CategoricalColumn[str]", sentences.images)
        self.images = images.codes  # the index of each sentence's image, of P
        self.places = store.places(images.categories)
        self.outside = 0
        if "answers" in self.losses:
            self._index_answers(sentences, answers)

    def _index_answers(self, sentences: Sentences, table: Sequence[str]) -> None:
        """Flatten the answers in the vocabulary, for each distinct set of answers that a sentence may have."""
        column = cast("CategoricalColumn[dict[str, float] | None]", sentences.answers)
        texts = list({text: None for scores in column.categories for text in scores or ()})
        numbers = dict(zip(texts, matching_rows(table, texts).tolist(), strict=True))
        flat: list[tuple[int, float]] = []
        starts, outside = [0], []
        for scores in column.categories:
            known: dict[int, float] = {}
            for text, score in (scores or {}).items():
                number = numbers[text]
                # As in the original: of two spellings of one answer, the score of the one that is not the
                # vocabulary's counts.
                if number >= 0 and score > 0 and (number not in known or text != table[number]):
                    known[number] = score
            outside.append(bool(scores) and not known)
            flat.extend(known.items())
            starts.append(len(flat))
        self.outside = int(np.array(outside)[column.codes].sum())
        if self.outside and not flat:
            raise ValueError(
                f"no answer of {', '.join(sentences.files) or 'the sentences'} is in the table of {len(table)} "
                f"answers; the first one is {shown(texts[0])}. Pass the table that belongs to these sentences."
            )
        self._answer_sets = column.codes
        self._starts = np.array(starts)
        self._numbers = np.array([number for number, _ in flat], np.int64)
        self._sums = np.cumsum([0.0, *(score for _, score in flat)])

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`, and labels of the losses; see `TaskData`.

        Returns:
            ``input_ids``, ``token_type_ids``, ``attention_mask`` int64 ``[B, L]``; ``visual_feats`` float32 ``[B, R,
            F]``; ``visual_pos`` float32 ``[B, R, 4]``; ``visual_attention_mask`` float32 ``[B, R]`` if an image of the
            store has fewer than R regions. By loss: ``labels`` int64 ``[B, L]``; ``matched_label`` int64 ``[B]``;
            ``obj_labels`` with ``obj`` and ``attr`` as int64 and float32 ``[B, R]``, ``feat`` as float32 ``[B, R, F]``
            and ``[B, R]``; ``ans`` int64 ``[B]``.
        """
        rows = np.asarray(rows)
        # Random numbers are drawn in a fixed order: sentences, words, regions, other regions, answers.
        sentences, matched = rows, np.ones(len(rows), np.int64)
        if "match" in self.losses:
            sentences, matched = mismatch(self.images, rows, self.masking, random)
        text, words = self._masked_text(sentences, random)
        inputs: dict[str, Any] = {name: array[part] for name, array in text.items()}
        inputs |= self._visual(self.places[self.images[rows]], random, part)
        labels = {"words": ("labels", words), "match": ("matched_label", matched)}
        if "answers" in self.losses:
            labels["answers"] = "ans", self._draw_answers(rows, matched, random)
        counts = dict.fromkeys(("words", "match", "objects", "attributes", "features", "answers"), 0.0)
        for loss, (name, values) in labels.items():
            if loss in self.losses:
                inputs[name] = values[part]
                counts[loss] = float((values != IGNORED_LABEL).sum())
        for loss in ("objects", "attributes", "features"):
            counts[loss] = float(len(rows) * self.regions.count)
        return Batch(inputs, {loss: count for loss, count in counts.items() if loss in self.losses})

    def _masked_text(self, rows: np.ndarray, random: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The model's inputs of sentences, masked, and the labels of their words."""
        text = self.tokenizer(
            [self.texts[row] for row in rows.tolist()],
            padding="max_length",
            truncation=True,
            max_length=self.text_length,
            return_special_tokens_mask=True,
            return_tensors="np",
        )
        words, labels = mask_text(text, self.tokenizer, self.masking, random)
        return {"input_ids": words, **{name: text[name] for name in ("token_type_ids", "attention_mask")}}, labels

    def _draw_answers(self, rows: np.ndarray, matched: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The label of one answer of each example, int64 ``[B]``; `IGNORED_LABEL` without one."""
        sets = self._answer_sets[rows]
        drawn = sample_answers(self._sums, self._starts[sets], self._starts[sets + 1], random)
        known = (drawn >= 0) & (matched == 1)
        answers = np.full(len(rows), IGNORED_LABEL, np.int64)
        answers[known] = self._numbers[drawn[known]]
        return answers

    def _visual(self, places: np.ndarray, random: np.random.Generator, part: slice) -> dict[str, Any]:
        """The regions of the images in `places[part]`, masked, and their labels."""
        count = self.regions.count
        choice = choose_regions(np.arange(count) < self.store.counts(places)[:, None], self.masking, random)
        substitutes = self._random_features(choice, random, part)
        choice = RegionChoice(*(array[part] for array in choice))
        found = self.store.batch(places[part], count, labels=self.labelled)
        features = found["visual_feats"]
        masked = features.copy() if "features" in self.losses else features
        masked[choice.zeroed] = 0
        masked[choice.replaced] = substitutes
        inputs: dict[str, Any] = {"visual_feats": masked, "visual_pos": found["visual_pos"]}
        if self.regions.masked:
            inputs["visual_attention_mask"] = found["visual_attention_mask"]
        # As in the original: objects and attributes are predicted for every region, weighted by the detector's
        # confidence, and features for the selected ones.
        labels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if "objects" in self.losses:
            labels["obj"] = found["object_ids"], found["object_confidence"]
        if "attributes" in self.losses:
            labels["attr"] = found["attribute_ids"], found["attribute_confidence"]
        if "features" in self.losses:
            labels["feat"] = features, choice.selected.astype(np.float32)
        return inputs | ({"obj_labels": labels} if labels else {})

    def _random_features(self, choice: RegionChoice, random: np.random.Generator, part: slice) -> np.ndarray:
        """The features that replace those of the part's regions, in their order: float32 ``[K, F]``.

        As in the original: a sentence is drawn, and then a region of its image, so images with many sentences are
        chosen more often.
        """
        total = int(choice.replaced.sum())
        places = self.places[self.images[random.integers(len(self), size=total)]]
        counts = self.store.counts(places)
        regions = random.integers(np.maximum(counts, 1))
        number = np.full(choice.replaced.shape, -1)
        number[choice.replaced] = np.arange(total)
        own = number[part][choice.replaced[part]]
        substitutes = np.zeros((len(own), self.store.feature_size), np.float32)
        full = counts[own] > 0  # an image without regions gives zeros
        substitutes[full] = self.store.features_at(places[own][full], regions[own][full])
        return substitutes
