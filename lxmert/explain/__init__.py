"""Why a model gives an answer: how much each word and each region counts for it."""

from .explaining import explain, explain_methods
from .explanation import Explanation
from .methods import METHODS, methods_of

__all__ = ["METHODS", "Explanation", "explain", "explain_methods", "methods_of"]
