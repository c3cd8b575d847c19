"""Cases for parametrized tests."""

import itertools

import pytest


def covering(*choices):
    """The product of some lists, or dicts of names and values, as parameters.

    A few of them, in which every value occurs, run always; the others with `make test-all`.
    """
    choices = [choice if isinstance(choice, dict) else {str(value): value for value in choice} for choice in choices]
    few = {tuple(i % len(choice) for choice in choices) for i in range(max(map(len, choices)))}
    cases = []
    for places in itertools.product(*(range(len(choice)) for choice in choices)):
        names = [list(choice)[i] for choice, i in zip(choices, places, strict=True)]
        values = [choice[name] for choice, name in zip(choices, names, strict=True)]
        cases.append(pytest.param(*values, id=", ".join(names), marks=() if places in few else pytest.mark.full))
    return cases


def mostly_full(names, always):
    """Parameters of which only those in `always` run always; the others with `make test-all`."""
    return [name if name in always else pytest.param(name, marks=pytest.mark.full) for name in names]
