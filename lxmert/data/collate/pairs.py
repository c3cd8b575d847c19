"""Plan the scoring of many pairs of text and image, so that each text and each image is encoded as seldom as possible.

Each image is encoded once, and each text once per window of images, which bounds the memory. Texts are grouped by their
number of tokens, so that none is padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer

WINDOW = 512  # images that are held encoded at a time: 57 MB of the base model in float32


class PairBatch(NamedTuple):
    """A batch of pairs for the cross layers.

    Attributes:
        rows: int64 ``[B]``, the numbers of the pairs.
        length: L, the number of tokens of each text.
        texts, images: int64 ``[B]``, indices into the window's texts of this length, and into its images.
    """

    rows: np.ndarray
    length: int
    texts: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Window:
    """Pairs whose images are in memory together.

    Attributes:
        images: int64 ``[P]``, their places in the store.
        texts: the token ids of their texts, int64 ``[T, L]``, by length L.
        crossings: the pairs, in batches.
    """

    images: np.ndarray
    texts: Mapping[int, np.ndarray]
    crossings: Sequence[PairBatch]


class TokenizedTexts:
    """Texts as token ids without padding.

    Args:
        tokenizer: of the model.
        texts: N texts; equal ones are kept once.
        length: the most tokens of a text, including [CLS] and [SEP].

    Attributes:
        numbers: int64 ``[N]``, the index of each text in `ids`.
        ids: the token ids of each distinct text.
    """

    def __init__(self, tokenizer: LxmertTokenizer, texts: Sequence[str], length: int):
        different = dict.fromkeys(texts)
        known = {text: number for number, text in enumerate(different)}
        self.numbers = np.array([known[text] for text in texts], np.int64)
        found = tokenizer(list(different), truncation=True, max_length=length) if different else {"input_ids": []}
        self.ids: list[list[int]] = found["input_ids"]


def windows(
    texts: TokenizedTexts, text_of: np.ndarray, image_of: np.ndarray, batch_size: int, images: int = WINDOW
) -> Iterator[Window]:
    """Group pairs into windows of images, in the order of the images' first pairs.

    Args:
        texts: the texts.
        text_of, image_of: int64 ``[K]``, of each pair the text, as an index into all texts, and the image, as a place
            in the store.
        batch_size: the most pairs of a crossing.
        images: the most images of a window.
    """
    _, first, which = np.unique(image_of, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)  # of an image among those in the order of their first pairs
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    place_of = image_of[np.sort(first)]
    order = rank[which]
    by_image = np.argsort(order, kind="stable")
    bounds = np.searchsorted(order[by_image], np.arange(0, len(first) + images, images))
    for number, (begin, end) in enumerate(pairwise(bounds)):
        start = number * images
        rows = by_image[begin:end]
        places = place_of[start : start + images]
        yield _window(texts, text_of[rows], order[rows] - start, rows, places, batch_size)


def _window(
    texts: TokenizedTexts, text_of: np.ndarray, image: np.ndarray, rows: np.ndarray, places: np.ndarray, size: int
) -> Window:
    """The window of the pairs `rows`, with the text and the image of each."""
    needed, which = np.unique(texts.numbers[text_of], return_inverse=True)
    lengths = np.array([len(texts.ids[number]) for number in needed], np.int64)
    grouped, crossings = {}, []
    for length in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == length)
        grouped[length] = np.array([texts.ids[needed[member]] for member in members], np.int64)
        of_length = np.flatnonzero(lengths[which] == length)
        own = np.searchsorted(members, which[of_length])
        for start in range(0, len(of_length), size):
            some = of_length[start : start + size]
            crossings.append(PairBatch(rows[some], length, own[start : start + size], image[some]))
    return Window(places, grouped, crossings)
