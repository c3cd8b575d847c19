"""Images that are the same bytes for the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def subplots(*grid: int, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, as Matplotlib's `subplots` gives them."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "lxmert"
    return plt.subplots(*grid, **options)


def save(figure: Any, path: Path) -> None:
    """Write a figure, without the date."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
