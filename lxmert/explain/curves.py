"""The curves of the test by removal: the accuracy by the fraction removed, the areas below, and their errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from lxmert.utils.setting_names import setting

from .removal import ORDERS, STREAMS

RANDOM = "random"
"""The name of the baseline among the methods: a random order."""

WORD_FRACTIONS = (0.0, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
REGION_FRACTIONS = {"lxmert": WORD_FRACTIONS, "visual_bert": (0.0, 0.5, 0.75, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)}
"""The fractions that the published code removes, of regions by the kind of model."""

Curve = tuple[str, str, str]
"""The method, "regions" or "words", and "positive" or "negative"."""


class Estimate(NamedTuple):
    """A mean over questions and its standard error, in percent."""

    mean: float
    error: float


@dataclass(frozen=True)
class PerturbationCurves:
    """The accuracy by the fraction removed, for each method and for a random order.

    Attributes:
        methods: the methods, and last `RANDOM`.
        fractions: of "regions" and of "words", F numbers from 0 to 1.
        accuracies: by method, "regions" or "words", and "positive" or "negative": float64 ``[N, F]``, the score of the
            answer to each question in percent. Of a random order, which is the same in both, the mean of its draws.
    """

    methods: tuple[str, ...]
    fractions: Mapping[str, tuple[float, ...]]
    accuracies: Mapping[tuple[str, str, str], np.ndarray]

    def at(self, fractions: Sequence[float]) -> PerturbationCurves:
        """The same at some of the fractions, of regions and of words.

        Raises:
            ValueError: fractions at which nothing was measured, or out of order.
        """
        wanted = check_fractions(fractions)
        places = {}
        for stream, measured in self.fractions.items():
            if not set(wanted) <= set(measured):
                given = _listed(fraction for fraction in wanted if fraction not in measured)
                raise ValueError(f"fractions must be among {_listed(measured)}; got {given}.")
            places[stream] = [measured.index(fraction) for fraction in wanted]
        accuracies = {curve: values[:, places[curve[1]]] for curve, values in self.accuracies.items()}
        return PerturbationCurves(self.methods, dict.fromkeys(self.fractions, wanted), accuracies)

    def curve(self, method: str, stream: str, order: str) -> np.ndarray:
        """The mean accuracy at each fraction, ``[F]``."""
        mean: np.ndarray = self.accuracies[method, stream, order].mean(axis=0)
        return mean

    def areas(self, method: str, stream: str, order: str) -> np.ndarray:
        """The area under the curve of each question, ``[N]``."""
        return curve_areas(self.fractions[stream], self.accuracies[method, stream, order])

    def area(self, method: str, stream: str, order: str) -> Estimate:
        """The area under the mean curve."""
        return _estimate(self.areas(method, stream, order))

    def above_random(self, method: str, stream: str, order: str) -> Estimate:
        """The area under the curve minus that of the random order, question by question."""
        return _estimate(self.areas(method, stream, order) - self.areas(RANDOM, stream, order))

    def summary(self) -> dict[str, Any]:
        """Curves and areas with their standard errors, as JSON has them."""
        return {
            "questions": len(next(iter(self.accuracies.values()))),
            "fractions": {stream: list(self.fractions[stream]) for stream in STREAMS},
            "methods": {
                method: {
                    stream: {order: self._summary_of(method, stream, order) for order in ORDERS} for stream in STREAMS
                }
                for method in self.methods
            },
        }

    def _summary_of(self, *curve: str) -> dict[str, Any]:
        method, stream, order = curve
        area, above = self.area(method, stream, order), self.above_random(method, stream, order)
        return {
            "accuracies": self.curve(method, stream, order).tolist(),
            "area": area.mean,
            "area_error": area.error,
            "above_random": above.mean,
            "above_random_error": above.error,
        }


def curve_areas(fractions: Sequence[float], accuracies: np.ndarray) -> np.ndarray:  # [F], [..., F] -> [...]
    """The area under straight lines between the points of a curve, over the range of the fractions.

    So an area is a mean accuracy: 100 if every answer is right until everything is removed.
    """
    widths = np.diff(fractions)
    areas: np.ndarray = ((accuracies[..., 1:] + accuracies[..., :-1]) / 2 * widths).sum(axis=-1) / widths.sum()
    return areas


def _estimate(values: np.ndarray) -> Estimate:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Estimate(float(values.mean()), float(error))


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Refuse fractions that make no curve.

    Raises:
        ValueError: fewer than two, not ascending, or not from 0 to 1.
    """
    found = tuple(map(float, fractions))
    ascending = all(a < b for a, b in pairwise(found))
    if len(found) < 2 or not ascending or not (found[0] >= 0 and found[-1] <= 1):
        raise ValueError(f"{setting('fractions')} must be two or more, ascending, from 0 to 1; got {_listed(found)}.")
    return found


def _listed(fractions: Iterable[float]) -> str:
    return ", ".join(f"{fraction:g}" for fraction in fractions)
