"""Many texts held against many pictures, with as little work as can be: what is encoded together, and what is crossed.

A picture is encoded once for all texts that it is held against, a text once for all pictures of a window. Texts go
together by their length in tokens, so that none is padded. Pictures go through in windows, which bounds the memory:
encoded are the window's pictures and the texts that they are held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer

WINDOW = 512  # pictures that are held encoded at a time: 57 MB of the base model in float32


class Crossing(NamedTuple):
    """Pairs that are crossed together.

    Attributes:
        rows: int64 ``[B]``, which pairs they are.
        length: L, the tokens of each of their texts.
        texts: int64 ``[B]``, which of the window's texts of this length.
        pictures: int64 ``[B]``, which of the window's pictures.
    """

    rows: np.ndarray
    length: int
    texts: np.ndarray
    pictures: np.ndarray


@dataclass(frozen=True)
class Window:
    """Pairs whose pictures are in memory together.

    Attributes:
        pictures: int64 ``[P]``, their places in the store.
        texts: by length in tokens the texts that they are held against, int64 ``[T, L]`` of token ids.
        crossings: the pairs, in batches.
    """

    pictures: np.ndarray
    texts: Mapping[int, np.ndarray]
    crossings: Sequence[Crossing]


class TokenizedTexts:
    """Texts as token ids without padding.

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
    texts: TokenizedTexts, text_of: np.ndarray, picture_of: np.ndarray, batch_size: int, pictures: int = WINDOW
) -> Iterator[Window]:
    """Pairs in the order in which they are best worked through.

    Args:
        texts: the texts.
        text_of: int64 ``[K]``, the text of each pair, as a number among all texts.
        picture_of: int64 ``[K]``, the picture of each pair, as a place in the store.
        batch_size: pairs that are crossed together, at most.
        pictures: how many are held in memory, at most.

    Yields:
        Windows, the pictures in the order of their first pairs.
    """
    _, first, which = np.unique(picture_of, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)  # of a picture among those in the order of their first pairs
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    place_of = picture_of[np.sort(first)]
    order = rank[which]
    by_picture = np.argsort(order, kind="stable")
    bounds = np.searchsorted(order[by_picture], np.arange(0, len(first) + pictures, pictures))
    for number, (begin, end) in enumerate(pairwise(bounds)):
        start = number * pictures
        rows = by_picture[begin:end]
        places = place_of[start : start + pictures]
        yield _window(texts, text_of[rows], order[rows] - start, rows, places, batch_size)


def _window(
    texts: TokenizedTexts, text_of: np.ndarray, picture: np.ndarray, rows: np.ndarray, places: np.ndarray, size: int
) -> Window:
    """The pairs `rows`, with the text and the picture of each."""
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
            crossings.append(Crossing(rows[some], length, own[start : start + size], picture[some]))
    return Window(places, grouped, crossings)
