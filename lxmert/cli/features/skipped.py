"""Damaged images that were skipped, a line each."""

from __future__ import annotations

from collections.abc import Sequence

_LISTED = 20


def print_skipped(skipped: Sequence[str], every: str = "") -> None:
    """Print what was skipped and why.

    Args:
        skipped: a sentence about each.
        every: the option that lists all of them; without one, all are listed.
    """
    from lxmert.utils.messages import escaped

    listed = skipped[:_LISTED] if every else skipped
    for sentence in listed:
        print(escaped(f"skipped: {sentence}"))
    if len(listed) < len(skipped):
        print(f"and {len(skipped) - len(listed):,} more ({every})")
