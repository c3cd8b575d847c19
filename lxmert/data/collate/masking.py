"""The random part of pre-training: which words and regions are masked, and which sentences are exchanged.

The rules are those of the original's code. The random numbers for a whole batch are drawn at once and in a fixed order,
so that equal generators decide alike. Dimensions: B batch, L language tokens, R regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.validation.shared import IGNORED_LABEL

# Draws of another sentence before those of one image are left out by hand. With images of a few sentences each,
# the first draw does for nearly all.
_DRAWS = 20


@dataclass(frozen=True)
class Masking:
    """The rates of masking, by default the original's. Every value is a probability.

    Attributes:
        word_rate: a word piece is selected for prediction.
        word_masked: a selected word piece is replaced by [MASK],
        word_random: or by any word piece of the vocabulary. Otherwise it stays.
        region_rate: a region is selected.
        region_zeroed: the feature of a selected region is replaced by zeros,
        region_random: or by that of a random region of a random image. Otherwise it stays.
        mismatch_rate: the sentence is replaced by one about another image.

    Raises:
        ValueError: a value outside 0 ... 1, or two replacements that are together more than 1.
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
    """The selected regions, and how their features are replaced; all bool ``[B, R]``.

    Attributes:
        selected: the regions whose feature is to be predicted.
        zeroed: those of them whose feature becomes zeros.
        replaced: those of them whose feature becomes another region's.
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
    """Mask word pieces.

    As in the original: single pieces, not whole words; a random piece may be any of the vocabulary, even a special one
    or the same one; selected pieces that stay are predicted too.

    Args:
        input_ids: int ``[B, L]``; it is not changed.
        selectable: bool ``[B, L]``, False for [CLS], [SEP] and padding.
        mask_id: the id of [MASK].
        vocab_size: the number of word pieces.
        rule: the rates.
        random: the random numbers.

    Returns:
        The masked ids ``[B, L]``, in the same dtype; and labels int64 ``[B, L]``, the original ids of the selected
        pieces and `IGNORED_LABEL` elsewhere.
    """
    draw = random.random(input_ids.shape)
    other = random.integers(vocab_size, size=input_ids.shape, dtype=input_ids.dtype)
    selected = selectable & (draw < rule.word_rate)
    masked, replaced = _divided(selected, draw, rule.word_rate, rule.word_masked, rule.word_random)
    labels = np.where(selected, input_ids, IGNORED_LABEL).astype(np.int64)
    hidden = np.where(replaced, other, input_ids)
    hidden[masked] = mask_id
    return hidden, labels


def mask_text(
    text: Mapping[str, np.ndarray], tokenizer: LxmertTokenizer, rule: Masking, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`mask_words` for what the tokenizer returned with `return_special_tokens_mask`."""
    selectable = text["special_tokens_mask"] == 0
    return mask_words(text["input_ids"], selectable, tokenizer.mask_token_id, tokenizer.vocab_size, rule, random)


def choose_regions(mask: np.ndarray, rule: Masking, random: np.random.Generator) -> RegionChoice:
    """Choose the regions whose features are masked, where `mask` ``[B, R]`` has one. Boxes are never masked."""
    draw = random.random(mask.shape)
    selected = mask.astype(bool) & (draw < rule.region_rate)
    return RegionChoice(selected, *_divided(selected, draw, rule.region_rate, rule.region_zeroed, rule.region_random))


def _divided(
    selected: np.ndarray, draw: np.ndarray, rate: float, first: float, second: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two shares of what is selected. The draws below the rate are uniform, so they choose the shares too."""
    in_first = selected & (draw < rate * first)
    return in_first, selected & ~in_first & (draw < rate * (first + second))


def mismatch(
    images: np.ndarray, rows: np.ndarray, rule: Masking, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give some examples the sentence of another example, about another image.

    As in the original, all sentences about other images are equally likely.

    Args:
        images: int ``[N]``, the image of each sentence.
        rows: int ``[B]``, the examples.
        rule: the rates.
        random: the random numbers.

    Returns:
        int64 ``[B]``, the row of each example's sentence; and int64 ``[B]``, 1 for its own and 0 for another image's.

    Raises:
        ValueError: a sentence is to be replaced, and all are about one image.
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
    """Draw one answer of each example, with probabilities proportional to their scores.

    Args:
        sums: float64 ``[M + 1]``, the running sum from 0 of the scores of M answers, one example after the other; all
            scores are above 0.
        starts, stops: int ``[B]``, where the answers of each example start and stop; equal without answers.
        random: the random numbers.

    Returns:
        int64 ``[B]``, the index of an answer among the M; -1 for an example without.
    """
    low, high = sums[starts], sums[stops]
    drawn = np.searchsorted(sums, low + random.random(len(starts)) * (high - low), side="right") - 1
    # Rounding may reach the end of the last answer, which is the start of the next example's first.
    return np.where(starts < stops, np.clip(drawn, starts, np.maximum(stops - 1, starts)), -1).astype(np.int64)
