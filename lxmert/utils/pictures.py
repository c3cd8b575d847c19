"""Pictures of curves by Matplotlib, as PNG or SVG: which files they may be, an empty figure, and writing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic_files import replacing
from .optional_imports import import_extra
from .output_files import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080", "#661100")
"""Of the lines of a picture, in their order; the first six are those of Okabe and Ito for colour-blind readers."""


def check_picture(output: str | Path, formats: Sequence[str] = FORMATS) -> None:
    """Refuse a file that no picture can be written to; see `check_output`.

    Raises:
        ValueError: another ending than those of `formats`, or a folder that does not exist.
        OSError: its folder cannot be written.
    """
    check_output(output, "output", formats)


def new_figure(wanted_by: str, size: tuple[float, float]) -> Figure:
    """An empty figure, which needs no display.

    Args:
        wanted_by: what draws it, for the error.
        size: width and height in inches, of 120 pixels each.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figures = import_extra("matplotlib.figure", "plot", wanted_by, "matplotlib")
    figure: Figure = figures.Figure(figsize=size, layout="constrained", dpi=120)
    return figure


def save_picture(figure: Figure, output: str | Path) -> None:
    """Write a figure, the same bytes for the same content: without a date and random names.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib

    path = Path(output)
    ending = path.suffix.lower()
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "lxmert"}):
        figure.savefig(temporary, format=ending[1:], metadata={"Date": None} if ending == ".svg" else None)
