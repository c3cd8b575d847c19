"""The regions of a list of photographs, one after the other: opened ahead by threads, detected in batches."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, Protocol

from lxmert.utils.foreign_files import is_of_the_system
from lxmert.utils.run_ahead import run_ahead
from lxmert.vision.detections import ImageDetections

from ..region_detector import RegionDetector
from .photographs import Photograph

DAMAGE = (ValueError, TypeError, OSError)
"""The errors of a photograph that cannot be opened, or in which no regions can be found."""


class Finder(Protocol):
    """Finds the regions of photographs.

    Attributes:
        waited: the seconds that a detector waited for photographs to be opened.
    """

    waited: float

    def find(self, photographs: Sequence[Photograph]) -> Generator[ImageDetections | Exception, None, None]:
        """Yield the regions of each photograph in their order, or why there are none: one of `DAMAGE`."""


class LocalFinder:
    """Finds the regions of photographs in this process; a `Finder`.

    Args:
        detector: finds the regions; it gets `detector.batch_size` photographs at a time.
        readers: threads that open photographs while others are computed.
    """

    def __init__(self, detector: RegionDetector, readers: int):
        self._detector, self._readers = detector, readers
        self.waited = 0.0

    def find(self, photographs: Sequence[Photograph]) -> Generator[ImageDetections | Exception, None, None]:
        """See `Finder.find`."""
        size = self._detector.batch_size
        calls = (partial(self._open, photograph) for photograph in photographs)
        with closing(run_ahead(calls, self._readers, size + 2 * self._readers)) as results:
            while True:
                started = time.perf_counter()
                opened = list(islice(results, size))
                self.waited += time.perf_counter() - started
                if not opened:
                    return
                good = [place for place, value in enumerate(opened) if not isinstance(value, Exception)]
                for place, found in zip(good, self._detect([opened[place] for place in good]), strict=True):
                    opened[place] = found
                yield from opened

    def _open(self, photograph: Photograph) -> Any:
        try:
            return self._detector.prepare(photograph.image)
        except DAMAGE as error:
            if is_of_the_system(error):
                raise
            return error

    def _detect(self, images: list[Any]) -> list[ImageDetections | Exception]:
        """The regions of each image, or why there are none."""
        try:
            return list(self._detector.detect(images)) if images else []
        except ValueError as error:
            if len(images) == 1:
                return [error]
            return [found for image in images for found in self._detect([image])]


def damage_text(error: Exception) -> str:
    """What an error says of a photograph."""
    text = str(error) or type(error).__name__
    return error.strerror if isinstance(error, OSError) and error.strerror else text
