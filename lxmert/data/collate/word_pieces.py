"""The word pieces of texts that are given word by word, and which word each piece belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer


class WordPieces:
    """Tokenizes words one by one; each distinct word once."""

    def __init__(self, tokenizer: LxmertTokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def __call__(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The ids of the pieces of some words, and for each piece the place of its word."""
        ids: list[int] = []
        places: list[int] = []
        for place, word in enumerate(words):
            if word not in self._known:
                self._known[word] = self.tokenizer.convert_tokens_to_ids(self.tokenizer.tokenize(word))
            own = self._known[word]
            ids += own
            places += [place] * len(own)
        return ids, places


def text_arrays(shape: tuple[int, ...], tokenizer: LxmertTokenizer) -> dict[str, np.ndarray]:
    """The text inputs of a model, int64 ``[..., L]``, with nothing but padding."""
    return {
        "input_ids": np.full(shape, tokenizer.pad_token_id, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
        "attention_mask": np.zeros(shape, np.int64),
    }
