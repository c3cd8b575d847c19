"""Weights on disk, told by content and read array by array, whatever the file is called."""

from .base import WeightFile
from .open import check_for_keras, choose_weights, find_weights, open_weights

__all__ = ["WeightFile", "check_for_keras", "choose_weights", "find_weights", "open_weights"]
