"""Make a small WordPiece vocabulary from the texts that a model is trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_lowercase, digits

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PUNCTUATION = "!\"'(),-./:;?"


def build_vocabulary(texts: Iterable[str]) -> list[str]:
    """The lines of a vocab.txt for an uncased WordPiece tokenizer, an id per place.

    The special tokens come first with [PAD] at 0, as the models expect; then punctuation; letters and digits, alone
    and as the rest of a word (``##a``), so that an unknown word is spelled out and not lost; then the texts' words.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be several texts; got one str. Pass [texts].")
    words = {word for text in texts for word in re.findall(r"[^\W_]+", text.lower())}
    letters = [*ascii_lowercase, *digits]
    return [*SPECIAL, *_PUNCTUATION, *letters, *(f"##{letter}" for letter in letters), *sorted(words - set(letters))]
