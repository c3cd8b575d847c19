"""Why a model gives an answer: how much each word and each region counts for it."""

from .explanation import Explanation

__all__ = ["Explanation"]
