"""Batches for pre-training VisualBERT: two captions of an image, of which the second may be about another image.

As in the authors' code: words of both captions are masked, regions never are, and the model predicts whether the second
caption is about the image. `masking` has the rules for words. Dimensions: B batch, L language tokens, R regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import IGNORED_LABEL
from lxmert.data.collate.batch import Batch
from lxmert.data.collate.masking import Masking, mask_text, mismatch
from lxmert.data.collate.padding import PaddedRegions
from lxmert.data.datasets import CategoricalColumn, Sentences
from lxmert.data.features import RegionStore

LOSSES = ("words", "match")
"""The names of the losses."""


class CaptionPairData:
    """Sentences about images, each with a second one: of the same image, or in half of the cases of another.

    An image with a single sentence gives an example of one sentence, which is exchanged in half of the cases. Without
    the loss "match" nothing is exchanged.

    Args:
        sentences: N sentences and their images.
        store: the regions of the images.
        tokenizer: of the model.
        text_length: L, tokens of both sentences with [CLS] and two [SEP]; the longer one is truncated first.
        regions: R, regions of an image; the most in the store by default.
        masking: the rates of words and of exchanges.
        losses: the losses to make labels for.

    Raises:
        ValueError: no sentences, an unknown loss, no room for a word, or an image that is not in the store.
    """

    def __init__(
        self,
        sentences: Sentences,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        text_length: int = 128,
        regions: int | None = None,
        masking: Masking | None = None,
        losses: Sequence[str] = LOSSES,
    ) -> None:
        if not losses or not set(losses) <= set(LOSSES):
            raise ValueError(f"losses must be some of {', '.join(LOSSES)}; got {', '.join(losses) or 'none'}.")
        if not len(sentences):
            raise ValueError(f"{', '.join(sentences.files) or 'sentences'} must have at least one sentence; got none.")
        if text_length < 5:
            raise ValueError(f"text_length must be at least 5: [CLS], a word, [SEP], a word, [SEP]; got {text_length}.")
        self.examples, self.texts, self.tokenizer, self.text_length = sentences, sentences.texts, tokenizer, text_length
        self.regions, self.losses = PaddedRegions(store, regions), tuple(losses)
        self.masking = Masking() if masking is None else masking
        if "match" not in losses:
            self.masking = Masking(**{**vars(self.masking), "mismatch_rate": 0.0})
        images = cast("CategoricalColumn[str]", sentences.images)
        self.images = images.codes  # which of the P images of these sentences, for each of them
        self.places = store.places(images.categories)
        # The sentences sorted by image, the start of each image's sentences, and each sentence's position.
        self._by_image = np.argsort(self.images, kind="stable")
        self._starts = np.searchsorted(self.images[self._by_image], np.arange(len(self.places) + 1))
        self._position = np.empty(len(self.images), np.int64)
        self._position[self._by_image] = np.arange(len(self.images))

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`, and labels of the losses; see `TaskData`.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask` int64 `[B, L]`; `visual_embeds` float32 `[B, R, F]`;
            `visual_attention_mask` `[B, R]`; `visual_token_type_ids` int64 `[B, R]`, zeros. By loss: `labels` int64
            `[B, L + R]`; `sentence_image_labels` int64 `[B]`, 1 if the (second) sentence is about the image.
        """
        rows = np.asarray(rows)
        # Random numbers are drawn in a fixed order: second sentences of the image, other sentences, words.
        second = self._other_sentences(rows, random)
        exchanged, matched = mismatch(self.images, rows, self.masking, random)
        second = np.where(matched == 1, second, exchanged)
        alone = self._counts(rows) == 1
        first = np.where(alone, exchanged, rows)
        text = self._tokenized(first, np.where(alone, -1, second))
        words, labels = mask_text(text, self.tokenizer, self.masking, random)
        regions = self.regions.batch(self.places[self.images[rows[part]]])
        features = regions["visual_feats"]
        count, size = features.shape[:2]
        inputs: dict[str, Any] = {
            "input_ids": words[part],
            "token_type_ids": text["token_type_ids"][part],
            "attention_mask": text["attention_mask"][part],
            "visual_embeds": features,
            "visual_attention_mask": regions.get("visual_attention_mask", np.ones((count, size), np.float32)),
            "visual_token_type_ids": np.zeros((count, size), np.int64),
        }
        counts: dict[str, float] = {}
        if "words" in self.losses:
            of_regions = np.full((count, size), IGNORED_LABEL, np.int64)
            inputs["labels"] = np.concatenate([labels[part], of_regions], axis=1)
            counts["words"] = float((labels != IGNORED_LABEL).sum())
        if "match" in self.losses:
            inputs["sentence_image_labels"] = matched[part]
            counts["match"] = float(len(rows))
        return Batch(inputs, counts)

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """The number of sentences of each row's image."""
        return np.diff(self._starts)[self.images[rows]]

    def _other_sentences(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """For each row another sentence of its image, all equally likely; its own if there is no other."""
        counts = self._counts(rows)
        own = self._position[rows] - self._starts[self.images[rows]]
        step = 1 + random.integers(np.maximum(counts - 1, 1))
        return self._by_image[self._starts[self.images[rows]] + (own + step) % counts]

    def _tokenized(self, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        """Sentences and, where `second` is not -1, the second ones as token ids `[B, L]`."""
        names = ("input_ids", "token_type_ids", "attention_mask", "special_tokens_mask")
        found = {name: np.zeros((len(first), self.text_length), np.int64) for name in names}
        for rows in (np.flatnonzero(second >= 0), np.flatnonzero(second < 0)):
            if not len(rows):
                continue
            pairs = [self.texts[row] for row in second[rows].tolist()] if second[rows[0]] >= 0 else None
            text = self.tokenizer(
                [self.texts[row] for row in first[rows].tolist()],
                pairs,
                padding="max_length",
                truncation=True,
                max_length=self.text_length,
                return_special_tokens_mask=True,
                return_token_type_ids=True,
                return_tensors="np",
            )
            for name in names:
                found[name][rows] = text[name]
        return found
