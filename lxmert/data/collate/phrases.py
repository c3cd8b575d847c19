"""Batches for Flickr30K Entities: sentences, and for each phrase the regions that show what it names.

Dimensions: B sentences, L tokens, R regions, F visual feature size, P phrases.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.boxes import matches_any
from lxmert.data.collate.batch import Batch
from lxmert.data.collate.padding import PaddedRegions
from lxmert.data.collate.word_pieces import WordPieces, text_arrays
from lxmert.data.datasets import CategoricalColumn, PhraseSentences
from lxmert.data.features import RegionStore

BOX_FEATURES = 6
"""The numbers of a box that may follow the features of its region."""


class PhraseData:
    """Sentences about images, with the phrases that name something in a box.

    As in the authors' code: a phrase is read at the last word piece of its last word; the regions that overlap one of
    its boxes by half or more share a probability of one. A phrase without such a region, or one that is cut off, has
    no label, but counts in the scores.

    Args:
        sentences: the sentences.
        store: the regions of their images.
        tokenizer: of the model.
        text_length: L, tokens of a sentence with [CLS] and [SEP]; longer ones are cut.
        regions: R, regions of an image; the most in the store by default.
        box_features: whether x1, y1, x2, y2, width and height of its box, as fractions of the image, follow the
            features of a region.

    Raises:
        ValueError: an image that is not in the store, or no room for a word.
    """

    def __init__(
        self,
        sentences: PhraseSentences,
        store: RegionStore,
        tokenizer: LxmertTokenizer,
        text_length: int = 128,
        regions: int | None = None,
        box_features: bool = False,
    ) -> None:
        if text_length < 3:
            raise ValueError(f"text_length must be at least 3, for [CLS], a word and [SEP]; got {text_length}.")
        self.examples, self.tokenizer, self.text_length = sentences, tokenizer, text_length
        self.store, self.regions, self.box_features = store, PaddedRegions(store, regions), box_features
        images = cast("CategoricalColumn[str]", sentences.images)
        self.places = store.places(images.categories)[images.codes]
        self.pieces = WordPieces(tokenizer)
        phrases = cast("CategoricalColumn[Any]", sentences.phrases)
        self.phrases = max(map(len, phrases.categories), default=1)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, random: np.random.Generator, part: slice = slice(None)) -> Batch:
        """The inputs of `rows[part]`; see `TaskData`.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask` int64 ``[B, L]``; `visual_embeds` float32 ``[B, R, F]``, F
            six larger with the numbers of boxes; `visual_attention_mask`, `visual_token_type_ids` int64 ``[B, R]``,
            types 0; `region_to_phrase_position` int64 ``[B, P]``, -1 without a phrase; `labels` float32 ``[B, P, R]``.
        """
        rows = np.asarray(rows)[part]
        found = self.regions.batch(self.places[rows])
        features, boxes = found["visual_feats"], found["visual_pos"]
        count, size = features.shape[:2]
        mask = found.get("visual_attention_mask", np.ones((count, size))).astype(np.int64)
        if self.box_features:
            features = np.concatenate([features, boxes, boxes[..., 2:] - boxes[..., :2]], axis=-1)
        inputs: dict[str, Any] = text_arrays((count, self.text_length), self.tokenizer)
        positions = np.full((count, self.phrases), -1, np.int64)
        labels = np.zeros((count, self.phrases, size), np.float32)
        pixels = self._in_pixels(rows, boxes)
        for place, row in enumerate(rows.tolist()):
            ends = self._write(row, {name: array[place] for name, array in inputs.items()})
            shown = int(mask[place].sum())
            for number, phrase in enumerate(self.examples.phrases[row]):
                if phrase.last in ends:
                    positions[place, number] = ends[phrase.last]
                    right = matches_any(pixels[place, :shown], phrase.boxes)
                    labels[place, number, :shown] = right / max(right.sum(), 1)
        inputs |= {
            "visual_embeds": features,
            "visual_attention_mask": mask,
            "visual_token_type_ids": np.zeros((count, size), np.int64),
            "region_to_phrase_position": positions,
            "labels": labels,
        }
        return Batch(inputs, {})

    def boxes(self, rows: np.ndarray) -> list[np.ndarray]:
        """The boxes of the regions that the model sees, in pixels: for each row ``[r, 4]``."""
        found = self.regions.batch(self.places[rows])
        counts = np.minimum(self.store.counts(self.places[rows]), self.regions.count)
        pixels = self._in_pixels(rows, found["visual_pos"])
        return [own[:count] for own, count in zip(pixels, counts.tolist(), strict=True)]

    def _in_pixels(self, rows: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Boxes as fractions of the images' sides in pixels, ``[B, R, 4]``."""
        height, width = self.store.sizes(self.places[rows]).astype(np.float64).T
        return boxes * np.stack([width, height, width, height], axis=1)[:, None]

    def _write(self, row: int, arrays: dict[str, np.ndarray]) -> dict[int, int]:
        """Write [CLS] sentence [SEP] into the arrays of a row, [L]; returns the last position of each word."""
        ids, words = self.pieces(self.examples.texts[row].split(" "))
        room = self.text_length - 2
        ends = {word: position for position, word in enumerate(words, 1)}  # of each word, the last piece stays
        ids = [self.tokenizer.cls_token_id, *ids[:room], self.tokenizer.sep_token_id]
        arrays["input_ids"][: len(ids)] = ids
        arrays["attention_mask"][: len(ids)] = 1
        return {word: position for word, position in ends.items() if position <= room}
