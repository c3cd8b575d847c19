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
from lxmert.data.collate.fine_tuning import Regions
from lxmert.data.collate.masking import Masking, RegionChoice, choose_regions, mask_words, mismatch, sample_answers
from lxmert.data.datasets import CategoricalColumn, Sentences
from lxmert.weights.answer_vocabulary import matching_rows

if TYPE_CHECKING:
    from lxmert.data.features import RegionStore

TASKS = LOSS_NAMES
"""What can be learned, by the names of the losses."""


class PretrainingData:
    """Sentences about images, with labels for all pre-training tasks.

    As in the original: words and regions are masked whatever the tasks, so that leaving out a task changes only the
    loss; `Masking` with a rate of 0 disables masking. Only the task "match" exchanges sentences. Words and regions of
    exchanged pairs are predicted too, but not their answer.

    Args:
        sentences: N sentences, their images and answers.
        store: the regions of their images.
        tokenizer: of the model.
        answers: the answer vocabulary, in the order of the model's scores.
        text_length: L, tokens of a sentence with [CLS] and [SEP]; longer ones are truncated.
        regions: R, regions of an image; the most in the store by default.
        masking: the rates.
        tasks: the losses to make labels for.

    Attributes:
        outside: the number of sentences with answers of which none is in the vocabulary; 0 without the task "answers".

    Raises:
        ValueError: no sentences, an unknown task, no room for a word or a region, an image that is not in the store, a
            store without the object or attribute ids that a task needs, or no answer in the vocabulary.
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
        tasks: Sequence[str] = TASKS,
    ) -> None:
        unknown = [task for task in tasks if task not in TASKS]
        if unknown or not tasks:
            raise ValueError(f"tasks must be some of {', '.join(TASKS)}; got {', '.join(unknown) or 'none'}.")
        if not len(sentences):
            raise ValueError(f"{', '.join(sentences.files) or 'sentences'} must have at least one sentence; got none.")
        if text_length < 3:
            raise ValueError(f"text_length must be at least 3, for [CLS], a word and [SEP]; got {text_length}.")
        if regions is not None and regions < 1:
            raise ValueError(f"regions must be 1 or more, or None for the most in the store; got {regions}.")
        self.labelled = not {"objects", "attributes"}.isdisjoint(tasks)
        for task, known in (("objects", store.has_objects), ("attributes", store.has_attributes)):
            if task in tasks and not known:
                raise ValueError(
                    f"the task {task} must have the numbers of {task} that a detector gave each region; the region "
                    "store has images without. Import the features from files that hold them, as the original's TSV "
                    "does, or leave the task out."
                )
        self.texts, self.tokenizer, self.text_length = sentences.texts, tokenizer, text_length
        self.store, self.regions = store, Regions(store, regions)
        self.masking, self.tasks = Masking() if masking is None else masking, tuple(tasks)
        images = cast("CategoricalColumn[str]", sentences.images)
        self.images = images.codes  # which of the P images of these sentences, for each of them
        self.places = store.places(images.categories)
        self.outside = 0
        if "answers" in self.tasks:
            self._take_answers(sentences, answers)

    def _take_answers(self, sentences: Sentences, table: Sequence[str]) -> None:
        """Lay the answers that are in the table out flat, for each different set of them that a sentence may have."""
        column = cast("CategoricalColumn[dict[str, float] | None]", sentences.answers)
        texts = list({text: None for scores in column.categories for text in scores or ()})
        numbers = dict(zip(texts, matching_rows(table, texts).tolist(), strict=True))
        flat: list[tuple[int, float]] = []
        starts, outside = [0], []
        for scores in column.categories:
            known: dict[int, float] = {}
            for text, score in (scores or {}).items():
                number = numbers[text]
                # As in the original: where one answer is written in two ways, the score of the one that the table
                # writes otherwise counts.
                if number >= 0 and score > 0 and (number not in known or text != table[number]):
                    known[number] = score
            outside.append(bool(scores) and not known)
            flat.extend(known.items())
            starts.append(len(flat))
        self.outside = int(np.array(outside)[column.codes].sum())
        if self.outside and not flat:
            raise ValueError(
                f"no answer of {', '.join(sentences.files) or 'the sentences'} is in the table of {len(table)} "
                f"answers; the first one is {texts[0]!r}. Give the table that belongs to these sentences."
            )
        self._answer_sets = column.codes
        self._starts = np.array(starts)
        self._numbers = np.array([number for number, _ in flat], np.int64)
        self._sums = np.cumsum([0.0, *(score for _, score in flat)])

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`, and labels of the tasks; see `TaskData`.

        Returns:
            ``input_ids``, ``token_type_ids``, ``attention_mask`` int64 ``[B, L]``; ``visual_feats`` float32 ``[B, R,
            F]``; ``visual_pos`` float32 ``[B, R, 4]``; ``visual_attention_mask`` float32 ``[B, R]`` if an image of the
            store has fewer than R regions. By task: ``labels`` int64 ``[B, L]``; ``matched_label`` int64 ``[B]``;
            ``obj_labels`` with ``obj`` and ``attr`` as int64 and float32 ``[B, R]``, ``feat`` as float32 ``[B, R, F]``
            and ``[B, R]``; ``ans`` int64 ``[B]``.
        """
        tasks, rule, rows = self.tasks, self.masking, np.asarray(rows)
        # The order of what is drawn is fixed: sentences, words, regions, other regions, answers.
        sentences, matched = rows, np.ones(len(rows), np.int64)
        if "match" in tasks:
            sentences, matched = mismatch(self.images, rows, rule, random)
        text = self.tokenizer(
            [self.texts[row] for row in sentences.tolist()],
            padding="max_length",
            truncation=True,
            max_length=self.text_length,
            return_special_tokens_mask=True,
            return_tensors="np",
        )
        words, labels = mask_words(
            text["input_ids"],
            text["special_tokens_mask"] == 0,
            self.tokenizer.mask_token_id,
            self.tokenizer.vocab_size,
            rule,
            random,
        )
        inputs: dict[str, Any] = {
            "input_ids": words[part],
            "token_type_ids": text["token_type_ids"][part],
            "attention_mask": text["attention_mask"][part],
        }
        counts: dict[str, float] = {}
        if "words" in tasks:
            inputs["labels"] = labels[part]
            counts["words"] = float((labels != IGNORED_LABEL).sum())
        if "match" in tasks:
            inputs["matched_label"] = matched[part]
            counts["match"] = float(len(rows))
        inputs |= self._visual(self.places[self.images[rows]], random, part)
        counts |= {
            task: float(len(rows) * self.regions.count)
            for task in ("objects", "attributes", "features")
            if task in tasks
        }
        if "answers" in tasks:
            own = self._answer_sets[rows]
            drawn = sample_answers(self._sums, self._starts[own], self._starts[own + 1], random)
            known = (drawn >= 0) & (matched == 1)
            answers = np.full(len(rows), IGNORED_LABEL, np.int64)
            answers[known] = self._numbers[drawn[known]]
            inputs["ans"] = answers[part]
            counts["answers"] = float(known.sum())
        return Batch(inputs, counts)

    def _visual(self, places: np.ndarray, random: np.random.Generator, part: slice) -> dict[str, Any]:
        """Everything that is about regions, of the images in `places[part]`."""
        count = self.regions.count
        choice = choose_regions(np.arange(count) < self.store.counts(places)[:, None], self.masking, random)
        lent = self._lent_features(choice, random, part)
        choice = RegionChoice(*(array[part] for array in choice))
        found = self.store.batch(places[part], count, labels=self.labelled)
        features = found["visual_feats"]
        hidden = features.copy() if "features" in self.tasks else features
        hidden[choice.zeroed] = 0
        hidden[choice.replaced] = lent
        inputs: dict[str, Any] = {"visual_feats": hidden, "visual_pos": found["visual_pos"]}
        if self.regions.masked:
            inputs["visual_attention_mask"] = found["visual_attention_mask"]
        # As in the original: objects and attributes are guessed for every region by the detector's confidence, features
        # for the selected ones.
        labels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if "objects" in self.tasks:
            labels["obj"] = found["object_ids"], found["object_confidence"]
        if "attributes" in self.tasks:
            labels["attr"] = found["attribute_ids"], found["attribute_confidence"]
        if "features" in self.tasks:
            labels["feat"] = features, choice.selected.astype(np.float32)
        return inputs | ({"obj_labels": labels} if labels else {})

    def _lent_features(self, choice: RegionChoice, random: np.random.Generator, part: slice) -> np.ndarray:
        """For the replaced regions of the part, in their order, those of other regions: float32 ``[K, F]``.

        As in the original: an image with many sentences lends more often, because a sentence is drawn and then a
        region of its image.
        """
        total = int(choice.replaced.sum())
        places = self.places[self.images[random.integers(len(self), size=total)]]
        counts = self.store.counts(places)
        regions = random.integers(np.maximum(counts, 1))
        number = np.full(choice.replaced.shape, -1)
        number[choice.replaced] = np.arange(total)
        own = number[part][choice.replaced[part]]
        lent = np.zeros((len(own), self.store.feature_size), np.float32)
        full = counts[own] > 0  # an image without any region lends zeros
        lent[full] = self.store.features_at(places[own][full], regions[own][full])
        return lent
