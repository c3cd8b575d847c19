"""Inputs without some of their words or regions, for the test of explanations by removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

STREAMS = ("regions", "words")
ORDERS = ("positive", "negative")
"""Which are removed first: the most relevant, or the least relevant."""

# Tokens at the beginning and at the end of a question that are never removed: [CLS] and [SEP]; of VisualBERT also that
# before [SEP], where the answer is read.
_KEPT_TOKENS = {"lxmert": (1, 1), "visual_bert": (1, 2)}


def kept_count(fraction: float, count: int) -> int:
    """How many of `count` words or regions are left when a fraction is removed.

    As in the published code: truncated in floating point, so 0.9 of 10 leaves none, and 0.9 of 20 leaves 1.
    """
    return int((1 - fraction) * count)


def real_places(inputs: Mapping[str, np.ndarray], stream: str) -> list[np.ndarray]:
    """The places of the words or regions of each example, without padding: B arrays of int64."""
    mask = inputs["visual_attention_mask" if stream == "regions" else "attention_mask"]
    return [np.flatnonzero(row) for row in np.asarray(mask)]


def removable(places: np.ndarray, stream: str, model_type: str) -> np.ndarray:
    """Those places of one example that may be removed: all regions, and the words between the special tokens."""
    if stream == "regions":
        return places
    first, last = _KEPT_TOKENS[model_type]
    return places[first : len(places) - last]


def removal_order(relevance: np.ndarray, ties: np.ndarray, order: str) -> np.ndarray:
    """The indices in the order in which they are removed.

    Args:
        relevance: ``[n]``.
        ties: ``[n]`` different random numbers, by which equally relevant ones are ordered. Several methods give exact
            zeros, and the order of words and regions in the input would say something about them.
        order: one of `ORDERS`.
    """
    return np.lexsort((ties, -relevance if order == "positive" else relevance))


def keep_places(
    inputs: Mapping[str, np.ndarray], stream: str, rows: np.ndarray, kept: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Examples whose words or regions are reduced to some places.

    What is left moves to the front, so words get new positions; behind it is padding. An example without a region is
    one whose regions are all padding. VisualBERT then reads the text alone. LXMERT's words attend to what the image
    encoder makes of regions of zeros, as for an image in which nothing was detected; the published code leaves the
    attention out instead.

    Args:
        inputs: ``[B, ...]`` by argument name.
        stream: one of `STREAMS`, which is reduced.
        rows: int64 ``[K]``, the examples.
        kept: for each of the K their places, in their order.

    Returns:
        The inputs, ``[K, ...]``, as long as the longest of `kept`.
    """
    width = max(1, *map(len, kept))
    places = np.zeros((len(kept), width), np.int64)
    is_padding = np.ones((len(kept), width), bool)
    for row, own in enumerate(kept):
        places[row, : len(own)], is_padding[row, : len(own)] = own, False
    found = {}
    for name, array in inputs.items():
        if name.startswith("visual_") == (stream == "regions"):
            found[name] = array[rows[:, None], places]
            found[name][is_padding] = 0
        else:
            found[name] = array[rows]
    return found


class Cases:
    """Examples of a batch without some of their words or regions, each once: methods often remove the same.

    Attributes:
        places: the places of all words or regions of each example.
        rows: the example of each case.
        kept: the places that are left in it.
    """

    def __init__(self, places: list[np.ndarray]):
        self.places = places
        self.rows: list[int] = []
        self.kept: list[np.ndarray] = []
        self._numbers: dict[tuple[int, bytes], int] = {}

    def number(self, row: int, removed: np.ndarray) -> int:
        """The number of an example without some places."""
        places = self.places[row]
        is_kept = np.zeros(places.max(initial=-1) + 1, bool)
        is_kept[places] = True
        is_kept[removed] = False
        key = row, is_kept.tobytes()
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(row)
            self.kept.append(np.flatnonzero(is_kept))
        return self._numbers[key]
