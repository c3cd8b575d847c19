"""From photographs to a region store: in one process or several, or on a cluster of Ray."""

from .extract import ExtractionReport, extract_features

__all__ = ["ExtractionReport", "extract_features"]
