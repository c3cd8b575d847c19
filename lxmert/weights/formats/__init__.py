"""Weights on disk, recognized by content and read array by array."""

from .base import WeightFile
from .in_memory import ArraysInMemory
from .open import USUAL, Selection, check_for_keras, choose_weights, find_weights, open_weights

__all__ = [
    "USUAL",
    "ArraysInMemory",
    "Selection",
    "WeightFile",
    "check_for_keras",
    "choose_weights",
    "find_weights",
    "open_weights",
]
