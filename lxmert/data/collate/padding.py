"""Texts and regions padded to one shape for a whole run, so that batches differ in their numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.features import RegionStore


class PaddedRegions:
    """The regions of a store in batches of one shape; with a mask only if images have different numbers of regions."""

    def __init__(self, store: RegionStore, regions: int | None = None) -> None:
        self.store = store
        self.count = store.most_regions if regions is None else regions
        # As in the original: no mask if every image has as many regions.
        self.masked = bool((store.counts(np.arange(len(store))) < self.count).any())

    def batch(self, places: np.ndarray) -> dict[str, np.ndarray]:
        """`visual_feats` [B, R, F], `visual_pos` [B, R, 4] and, if needed, `visual_attention_mask` [B, R]."""
        found = self.store.batch(places, self.count)
        names = ("visual_feats", "visual_pos", *(("visual_attention_mask",) if self.masked else ()))
        return {name: found[name] for name in names}


def pad_texts(tokenizer: LxmertTokenizer, texts: Sequence[str], length: int) -> dict[str, np.ndarray]:
    """The token inputs of texts, as in the original truncated and padded to `length` tokens, [B, L]."""
    # The original strips texts; an empty one is [CLS] [SEP].
    found = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="np")
    return {name: found[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
