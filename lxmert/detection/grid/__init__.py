"""Grid features: the cells of an image backbone's map as regions, in either backend."""

from .detector import GridDetector
from .input import Normalization

__all__ = ["GridDetector", "Normalization"]
