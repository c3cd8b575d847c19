"""Explanations compared: relative to the largest element of each array."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.compare import assert_same

ARRAYS = (
    "words",
    "regions",
    "language_to_language",
    "language_to_vision",
    "vision_to_language",
    "vision_to_vision",
)


def assert_close(given: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """The same arrays by name, each within `tolerance` of its largest element."""
    scales = {name: np.abs(array).max(initial=0) or 1.0 for name, array in expected.items() if array is not None}
    assert_same(
        *({name: scaled(one[name], scales.get(name)) for name in expected} for one in (given, expected)), tolerance
    )


def scaled(array: Any, scale: float | None) -> Any:
    """An array over its scale; None stays None."""
    return None if array is None or scale is None else array / scale


def arrays_of(explanation: Any) -> dict[str, Any]:
    """The relevance and its matrices by name, of a result of a rule or an `Explanation`."""
    return {name: getattr(explanation, name) for name in ARRAYS}
