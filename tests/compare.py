"""The only comparison of results. It asserts, and names all that differs and by how much; it returns no verdict.

What is compared may be a tensor of either framework, an array, or any nesting of mappings, tuples and model outputs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def arrays(tree: Any, path: str = "") -> dict[str, np.ndarray | None]:
    """Every array of a structure by its path; None stays None, so that an absent gradient is not an absent name."""
    if hasattr(tree, "items"):
        children = list(tree.items())
    elif isinstance(tree, (tuple, list)):
        children = list(enumerate(tree))
    elif tree is None:
        return {path: None}
    else:
        return {path: np.asarray(tree.detach().cpu() if hasattr(tree, "detach") else tree)}
    if not children and path:
        return {f"{path}/(empty)": None}
    flat: dict[str, np.ndarray | None] = {}
    for key, child in children:
        flat |= arrays(child, f"{path}/{key}".lstrip("/"))
    return flat


def assert_same(given: Any, expected: Any, tolerance: float) -> None:
    """The same names, shapes, dtypes and, within `tolerance` (absolute), finite values."""
    given, expected = arrays(given), arrays(expected)
    _assert_same(given, expected, dict.fromkeys(expected, tolerance))


def assert_same_gradients(given: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """As `assert_same`, with `tolerance` relative to the largest entry of each gradient.

    Query, key and value of one attention share a scale, the largest of theirs: the gradient of a key's bias is 0 but
    for rounding (it moves all scores of a query alike), and so are those of query and key where only one region is
    attended to. Weight and bias of the head that scores choices share one for the same reason: its bias moves all
    choices alike. A gradient that is None on one side must be None on the other.
    """
    given, expected = arrays(given), arrays(expected)
    scales: dict[str, float] = {}
    for name, values in expected.items():
        largest = 0.0 if values is None or not values.size else float(np.abs(values).max())
        scales[_scale_of(name)] = max(scales.get(_scale_of(name), 0.0), largest)
    _assert_same(given, expected, {name: tolerance * scales[_scale_of(name)] for name in expected})


def _scale_of(name: str) -> str:
    """The group of gradients that are measured by one scale."""
    owner, _, leaf = name.rpartition(".")
    part = owner.rpartition(".")[2]
    if part == "choice":
        return owner
    return f"{owner.rpartition('.')[0]}.projections" if part in ("query", "key", "value") else f"{owner}.{leaf}"


def difference(given: np.ndarray, expected: np.ndarray) -> float:
    """The largest absolute difference of two arrays of one shape."""
    return float(np.abs(given.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))


def _assert_same(
    given: dict[str, np.ndarray | None], expected: dict[str, np.ndarray | None], tolerances: dict[str, float]
) -> None:
    faults = [f"{name} is missing" for name in expected if name not in given]
    faults += [f"{name} is not expected" for name in given if name not in expected]
    for name, wanted in expected.items():
        if name not in given:
            continue
        fault = _fault(given[name], wanted, tolerances[name])
        if fault:
            faults.append(f"{name} {fault}")
    assert expected, "there is nothing to compare"
    assert not faults, "\n".join(faults)


def _fault(values: np.ndarray | None, wanted: np.ndarray | None, tolerance: float) -> str | None:
    """What is wrong with `values`, None if nothing."""
    if values is None or wanted is None:
        return None if values is wanted else f"is {_what(values)}, expected {_what(wanted)}"
    if values.shape != wanted.shape or values.dtype != wanted.dtype:
        return f"is {_what(values)}, expected {_what(wanted)}"
    for array, side in ((values, "it"), (wanted, "the expected one")):
        if not np.isfinite(array).all():
            count = np.count_nonzero(~np.isfinite(array))
            return f"is not finite: {side} holds {count} of {array.size} values that are not"
    differs = difference(values, wanted)
    # Written so that anything but a proven "at most" is a fault.
    if not differs <= tolerance:
        return f"differs by {differs:.3g}, allowed is {tolerance:.3g}"
    return None


def _what(values: np.ndarray | None) -> str:
    return "None" if values is None else f"{values.dtype} {list(values.shape)}"
