"""What pre-training hides from the model, and what it has to guess: words, regions, the match of text and image.

The rules are those of the original's code. Only chance is here, on arrays of any data: a choice is drawn for a whole
batch at once, in a fixed order, so that equal generators decide alike. The data are in `lxmert.data.collate.batch`.

Dimensions: B batch, L language tokens, R regions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from lxmert.common.validation.shared import IGNORED_LABEL

# Draws of another sentence before those of one image are left out by hand. With images of a few sentences each,
# the first draw does for nearly all.
_DRAWS = 20


@dataclass(frozen=True)
class Masking:
    """How much is hidden; by default as much as in the original. Every value is a probability.

    Attributes:
        word_rate: That a word piece is selected, and so has to be guessed.
        word_masked: That a selected one is replaced by [MASK].
        word_random: That it is replaced by any word piece of the vocabulary. Else it stays as it is.
        region_rate: That a region is selected.
        region_zeroed: That the feature of a selected one is replaced by zeros.
        region_random: That it is replaced by that of a random region of a random image. Else it stays as it is.
        mismatch_rate: That the sentence is replaced by one about another image.

    Raises:
        ValueError: A value is outside 0 ... 1, or the two ways of replacing are more than all together.
    """

    word_rate: float = 0.15
    word_masked: float = 0.8
    word_random: float = 0.1
    region_rate: float = 0.15
    region_zeroed: float = 0.8
    region_random: float = 0.1
    mismatch_rate: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be a probability from 0 to 1; got {value!r}.")
        for one, other in (("word_masked", "word_random"), ("region_zeroed", "region_random")):
            values = getattr(self, one), getattr(self, other)
            if sum(values) > 1 + 1e-9:  # 1 in decimals may be a little more in binary
                raise ValueError(f"{one} and {other} must be at most 1 together; got {values[0]!r} and {values[1]!r}.")


class RegionChoice(NamedTuple):
    """Which regions are selected, and what becomes of the features of these; all bool ``[B, R]``.

    Attributes:
        selected: The regions whose feature has to be guessed.
        zeroed: Those of them whose feature becomes zeros.
        replaced: Those of them whose feature becomes another region's.
    """

    selected: np.ndarray
    zeroed: np.ndarray
    replaced: np.ndarray


def mask_words(
    input_ids: np.ndarray,
    selectable: np.ndarray,
    mask_id: int,
    vocab_size: int,
    rule: Masking,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide word pieces.

    As in the original: each piece by itself, not whole words; a random piece may be any of the vocabulary, also a
    special one and the hidden one itself; what is selected has to be guessed also where it stays as it is.

    Args:
        input_ids: int ``[B, L]``; is not changed.
        selectable: bool ``[B, L]``, True for the pieces of the text: not for [CLS], [SEP] and padding.
        mask_id: The id of [MASK].
        vocab_size: The number of word pieces.
        rule: How much is hidden.
        random: What chance is drawn from.

    Returns:
        The ids with pieces hidden, ``[B, L]`` of the same kind; and labels int64 ``[B, L]``: the id that was there
        where a piece is selected, `IGNORED_LABEL` elsewhere.
    """
    draw = random.random(input_ids.shape)
    other = random.integers(vocab_size, size=input_ids.shape, dtype=input_ids.dtype)
    selected = selectable & (draw < rule.word_rate)
    masked, replaced = _divided(selected, draw, rule.word_rate, rule.word_masked, rule.word_random)
    labels = np.where(selected, input_ids, IGNORED_LABEL).astype(np.int64)
    hidden = np.where(replaced, other, input_ids)
    hidden[masked] = mask_id
    return hidden, labels


def choose_regions(mask: np.ndarray, rule: Masking, random: np.random.Generator) -> RegionChoice:
    """Choose the regions whose features are hidden. Boxes never are.

    Args:
        mask: ``[B, R]``, true where there is a region.
        rule: How much is hidden.
        random: What chance is drawn from.
    """
    draw = random.random(mask.shape)
    selected = mask.astype(bool) & (draw < rule.region_rate)
    return RegionChoice(selected, *_divided(selected, draw, rule.region_rate, rule.region_zeroed, rule.region_random))


def _divided(
    selected: np.ndarray, draw: np.ndarray, rate: float, first: float, second: float
) -> tuple[np.ndarray, np.ndarray]:
    """The first share of what is selected, and the second. A draw below the rate is even between 0 and the rate, so
    that it tells the shares too.
    """
    in_first = selected & (draw < rate * first)
    return in_first, selected & ~in_first & (draw < rate * (first + second))


def mismatch(
    images: np.ndarray, rows: np.ndarray, rule: Masking, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give some examples the sentence of another one, about another image.

    As in the original, every sentence about any other image is equally likely.

    Args:
        images: int ``[N]``, the image of each sentence of the data.
        rows: int ``[B]``, the examples: sentences, and through them images.
        rule: How many are replaced.
        random: What chance is drawn from.

    Returns:
        Rows int64 ``[B]``, the sentence that each example gets; and int64 ``[B]``, 1 where it is its own, 0 where it is
        another image's.

    Raises:
        ValueError: A sentence has to be replaced, and all are about one image.
    """
    matched = (random.random(len(rows)) >= rule.mismatch_rate).astype(np.int64)
    sentences = np.array(rows, np.int64)
    open_places = np.flatnonzero(matched == 0)
    for _ in range(_DRAWS):
        if not len(open_places):
            return sentences, matched
        sentences[open_places] = random.integers(len(images), size=len(open_places))
        same = images[sentences[open_places]] == images[rows[open_places]]
        open_places = open_places[same]
    for place in open_places:
        others = np.flatnonzero(images != images[rows[place]])
        if not len(others):
            raise ValueError(
                "the sentences must be about two images at least, for some to be matched with another image; all "
                "are about one. Leave the task out, or set mismatch_rate to 0."
            )
        sentences[place] = random.choice(others)
    return sentences, matched


def sample_answers(sums: np.ndarray, starts: np.ndarray, stops: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw one of the answers of each example, in proportion to their scores.

    Args:
        sums: float64 ``[M + 1]``, the running sum from 0 of the scores of M answers, which lie one example after the
            other; all above 0.
        starts: int ``[B]``, the first answer of each example.
        stops: int ``[B]``, the end of its answers; equal to the start where it has none.
        random: What chance is drawn from.

    Returns:
        int64 ``[B]``, the place of an answer among the M; -1 where the example has none.
    """
    low, high = sums[starts], sums[stops]
    drawn = np.searchsorted(sums, low + random.random(len(starts)) * (high - low), side="right") - 1
    # Rounding may reach the end of the last answer, which is the start of the next example's first.
    return np.where(starts < stops, np.clip(drawn, starts, np.maximum(stops - 1, starts)), -1).astype(np.int64)
