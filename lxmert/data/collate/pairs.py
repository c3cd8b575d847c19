"""Many texts held against many images, with as little work as can be: what is encoded together, and what is crossed.

An image is encoded once for all texts that it is held against, a text once for all images of a window. TextColumn go
together by their length in tokens, so that none is padded. Images go through in windows, which bounds the memory:
encoded are the window's images and the texts that they are held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer

WINDOW = 512  # images that are held encoded at a time: 57 MB of the base model in float32


class Crossing(NamedTuple):
    """Pairs that are crossed together.

    Attributes:
        rows: int64 ``[B]``, which pairs they are.
        length: L, the tokens of each of their texts.
        texts: int64 ``[B]``, which of the window's texts of this length.
        images: int64 ``[B]``, which of the window's images.
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
        texts: by length in tokens the texts that they are held against, int64 ``[T, L]`` of token ids.
        crossings: the pairs, in batches.
    """

    images: np.ndarray
    texts: Mapping[int, np.ndarray]
    crossings: Sequence[Crossing]


class TokenizedTexts:
    """TextColumn as token ids without padding.

    Args:
        tokenizer: of the model.
        texts: N texts; equal ones are kept once.
        length: tokens that a text is cut to, [CLS] and [SEP] among them.

    Attributes:
        numbers: int64 ``[N]``, which of the different texts each is.
        ids: the token ids of each different text.
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
    """Pairs in the order in which they are best worked through.

    Args:
        texts: the texts.
        text_of: int64 ``[K]``, the text of each pair, as a number among all texts.
        image_of: int64 ``[K]``, the image of each pair, as a place in the store.
        batch_size: pairs that are crossed together, at most.
        images: how many are held in memory, at most.

    Yields:
        Windows, the images in the order of their first pairs.
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
    """The pairs `rows`, with the text and the image of each."""
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
            crossings.append(Crossing(rows[some], length, own[start : start + size], image[some]))
    return Window(places, grouped, crossings)
