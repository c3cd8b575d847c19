"""What importing and extracting say of a store that they made, and of damaged images that they skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxmert.data.features.import_features import ImportReport
    from lxmert.detection.extraction import ExtractionReport

_LISTED = 20


def summary(report: ImportReport | ExtractionReport) -> str:
    """One line about a store: what it holds, and what it does not."""
    resumed = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
    skipped = f"; {len(report.skipped):,} skipped as damaged" if report.skipped else ""
    return f"{report.folder}: {report.images:,} images, {report.regions:,} regions{resumed}{skipped}"


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
