"""Weights on disk, told by content and read array by array, whatever the file is called."""

from .opening import WeightFile, choose_weights, open_weights

__all__ = ["WeightFile", "choose_weights", "open_weights"]
