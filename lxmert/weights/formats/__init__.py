"""Weights on disk, recognized by content and read array by array."""

from .base import WeightFile
from .open import check_for_keras, choose_weights, find_weights, open_weights

__all__ = ["WeightFile", "check_for_keras", "choose_weights", "find_weights", "open_weights"]
